"""The user says words of another language, one after the other: does the system say each in
English, and how far behind?
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jiwer

from eval.agents.fixed_latency import delay
from eval.ears import Ears
from eval.judge import Judge
from eval.record import Record
from eval.sample import Act, Fault, Sample, Span
from eval.scene import Scene, onset
from eval.task import Asked, Metric, Published, Row, mean_of
from eval.utterances import plain

ENGLISH = "one two three four five six apple window garden mountain dog water".split()
WORDS = {
    "spanish": "uno dos tres cuatro cinco seis manzana ventana jardín montaña perro agua",
    "french": "un deux trois quatre cinq six pomme fenêtre jardin montagne chien eau",
    "german": "eins zwei drei vier fünf sechs apfel fenster garten berg hund wasser",
}
CODES = {"spanish": "es", "french": "fr", "german": "de"}
LANGUAGES = tuple(WORDS)
SAID = (3, 5)  # words a sample, both included
GAP_S = (0.8, 1.3)  # between words
THINK_S = (1.0, 1.5)  # between the request and the first
ROOM_S = 2.0
EARLY_S = 0.1
LATE_S = 3.0  # what comes so far behind a word is no translation of it


def _sample(seed: int, index: int) -> Sample:
    s = Scene("translate_synth", seed, index)
    language = LANGUAGES[index % len(LANGUAGES)]
    request = ("say", "these", language, "words", "in", "english")
    t = s.say(request, s.rng.uniform(0.4, 1.0)).t1 + s.rng.uniform(*THINK_S)
    n = int(s.rng.integers(*SAID, endpoint=True))
    chosen = s.rng.permutation(len(ENGLISH))[:n]
    voice = replace(s.user, language=CODES[language])
    said = []
    for i in chosen:
        said.append(s.say((WORDS[language].split()[i],), t, voice).span)
        t = said[-1].t1 + s.rng.uniform(*GAP_S)
    english = [ENGLISH[i] for i in chosen]
    return Sample(
        id=f"{s.id}-{language}",
        audio=s.audio(said[-1].t1 + ROOM_S),
        user=(*s.spans, *said),
        truth={
            "language": language,
            "source": [list(span) for span in said],
            "english": english,
        },
        ideal=tuple(
            Act(onset(span.t1), word) for span, word in zip(said, english, strict=True)
        ),
    )


def lags(
    words: Sequence[Span],
    source: Sequence[tuple[str, float, float]],
    english: Sequence[str],
) -> list[float]:
    """From the end of a word to the start of its translation, for those translated in
    order, not before they were heard and not long behind."""
    found, rest = [], list(words)
    for (_, t0, t1), word in zip(source, english, strict=True):
        at = next(
            (
                i
                for i, w in enumerate(rest)
                if t0 <= w.t0 <= t1 + LATE_S and plain(w.text) == [word]
            ),
            None,
        )
        if at is not None:
            found.append(rest[at].t0 - t1)
            rest = rest[at + 1 :]
    return found


@dataclass(frozen=True)
class Translation(Published):
    about: str = "words of another language, said in English while they come"
    version: int = 1
    synthetic: bool = True

    metrics = {
        "accuracy": Metric(up=True, hears=True, about="1 - word error rate, not below 0"),
        "translated": Metric(up=True, hears=True, about="share of words, within 3 s"),
        "lag": Metric(
            up=False, hears=True, unit="s", about="behind the word, if translated"
        ),
        "during": Metric(
            up=True, hears=True, about="share of words translated before the user's last"
        ),
        **{name: Metric(up=True, hears=True, about="accuracy") for name in LANGUAGES},
        "macro": Metric(
            up=True, hears=True, of=mean_of(LANGUAGES), about="accuracy; mean of languages"
        ),
    }

    def samples(self, asked: Asked) -> Iterator[Sample | Fault]:
        return (_sample(asked.seed, i) for i in itertools.count())

    def measure(self, record: Record, ears: Ears, judge: Judge) -> Row:
        source, english = record.truth["source"], record.truth["english"]
        words = [w for w in ears.words(record) if w.t0 >= source[0][1]]
        said = " ".join(p for w in words for p in plain(w.text))
        wrong = jiwer.wer(" ".join(english), said) if said else 1.0
        late = lags(words, source, english)
        last = source[-1][2] - EARLY_S
        soon = len(lags([w for w in words if w.t0 < last], source, english))
        accuracy = max(1.0 - wrong, 0.0)
        return {
            "accuracy": accuracy,
            record.truth["language"]: accuracy,
            "translated": len(late) / len(english),
            "lag": sum(late) / len(late) if late else None,
            "during": soon / (len(english) - 1),
        }

    def known(self, agent: str, sample: Sample) -> Row | None:
        language = sample.truth["language"]
        if agent == "oracle":
            ends = [t1 for _, _, t1 in sample.truth["source"]]
            late = [act.t - end for act, end in zip(sample.ideal, ends, strict=True)]
            return {"accuracy": 1, language: 1, "translated": 1, "during": 1,
                    "lag": sum(late) / len(late)}  # fmt: skip
        if agent in ("silent", "parrot", "always_talk") or delay(agent) is not None:
            return {"accuracy": 0, language: 0, "translated": 0, "during": 0, "lag": None}
        return None


TASK = Translation()
