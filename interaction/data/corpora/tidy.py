"""A conversation's words against its sound: small slips are mended, others refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from interaction.data.corpora.conversation import Conversation, Said
from interaction.data.dialogue import Word
from interaction.errors import InputError

TOLERANCE_S = 1.0  # a transcript may run this far past the end of the sound

PAST_END = "words past the end of the sound, left out"
OVERLAP = "words that overlap the next one of their speaker, cut short"
UNEVEN = "sides of unequal length (over 1 s), the shorter one padded with silence"
SILENT = "sides without any words"
GUESSED = "utterances with word times interpolated"


def tidy(
    conversation: Conversation, lengths_s: tuple[float, float]
) -> tuple[list[Said], Counter[str]]:
    """Utterances in order of time, words in order inside the sound; what was mended.

    Raises InputError, with the sound file's name, where two people say not one word, or
    the transcript runs more than `TOLERANCE_S` past the sound: they do not belong together.
    """
    end, mended = max(lengths_s), Counter[str]()
    path = conversation.tracks[0].path
    if not conversation.said and conversation.agent is None:
        raise InputError(f"{path}: its transcript has no words; leave it out")
    runs_to = max((said.t1 for said in conversation.said), default=0.0)
    if runs_to > end + TOLERANCE_S:
        raise InputError(
            f"{path}: the sound ends at {end:.1f} s but its transcript runs to "
            f"{runs_to:.1f} s; one of them belongs to another file or is cut short"
        )
    if abs(lengths_s[0] - lengths_s[1]) > TOLERANCE_S:
        mended[UNEVEN] += 1
    found = []
    for said in conversation.said:
        words = tuple(_in_order(said.words, end, mended))
        if words:
            t0 = max(min(said.t0, words[0].t0), 0.0)
            t1 = min(max(said.t1, words[-1].t1), end)
            found.append(replace(said, words=words, t0=t0, t1=t1))
            mended[GUESSED] += said.guessed
    mended[SILENT] += 2 - len({said.side for said in found if said.lane is None})
    return sorted(found, key=lambda said: (said.t0, said.side)), +mended


def _in_order(words: tuple[Word, ...], end: float, mended: Counter[str]) -> Iterator[Word]:
    ordered = sorted(words, key=lambda word: (word.t0, word.t1))
    following = [word.t0 for word in ordered[1:]] + [end]
    for word, after in zip(ordered, following, strict=True):
        if word.t0 >= end:
            mended[PAST_END] += 1
            continue
        mended[OVERLAP] += word.t1 > after + 1e-3 and after < end
        yield Word(word.text, word.t0, max(word.t0, min(word.t1, after)))
