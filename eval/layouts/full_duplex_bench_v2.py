"""Full-Duplex-Bench v2: conversations that its orchestrator recorded, and its prompts.

    DATA/SPLIT/ID/, or DATA/SPLIT/CLASS/ID/
        A.wav       the examiner, 48 kHz
        A.json      its words: {"text", "chunks": [{"text", "timestamp": [s, e]}]}
        B.wav, B.json    the system under test; `--agent=recorded` takes them
    CHECKOUT/v2/prompts_staged_200.json, or DATA/prompts_staged_200.json
                    {"splits": {SPLIT: {"tasks": [{"id", "staged_reveal": {"T1": ...}}]}}}
    CHECKOUT/v2/eval/eval_prompts.json
                    {"system_prompt", "turn_taking_fluency_prompt", "output_format_prompt",
                     "multi_turn_instruction_following_prompt",
                     "task_specific_prompts": [{"id", "prompt"}]}

SPLIT: Daily, Correction, EntityTracking, Safety; an ID is "SPLIT.CLASS.number". From
v2/README.md of DanielLin94144/Full-Duplex-Bench (CC BY-NC 4.0), of which nothing is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.layouts.fields import noted
from eval.layouts.full_duplex_bench import check, read_json
from eval.sample import Fault, Sample, Span, whole_turns
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import read_audio

RUBRICS = {"Correction": "correction", "EntityTracking": "entity_tracking",
           "Safety": "safety"}  # fmt: skip
SPLITS = ("Daily", *RUBRICS)
GOALS = ("T1", "T2", "T3", "T4")
TASKS = "prompts_staged_200.json"


def samples(data: Path | None, official: Path | None) -> Iterator[Sample | Fault]:
    """One of every task that the prompts tell of, in their order. What was not recorded, or
    cannot be read, is a Fault."""
    if data is None:
        raise InputError(
            "--data: name the directory that Full-Duplex-Bench v2's orchestrator recorded "
            "its conversations to (its --base-out)"
        )
    if not any((data / split).is_dir() for split in SPLITS):
        raise InputError(f"--data={data}: has none of the folders {', '.join(SPLITS)}")
    for split, id_, goals in _tasks(data, official):
        try:
            yield _sample(_place(data, split, id_), split, id_, goals)
        except (InputError, OSError) as error:
            yield Fault(id_, str(error))


def _tasks(
    data: Path, official: Path | None
) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """(split, id, goals) of all."""
    places = [data / TASKS, *([checkout(official) / TASKS] if official else [])]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(
            f"{places[0]}: not there; put it there, or name your checkout by "
            "--official-repo"
        )
    try:
        splits = read_json(file)["splits"]
        for split in SPLITS:
            for one in splits[split]["tasks"]:
                goals = one["staged_reveal"]
                yield split, one["id"], {t: str(goals[t]) for t in GOALS if t in goals}
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: is of another form ({error!r})") from None


def _place(data: Path, split: str, id_: str) -> Path:
    """A conversation's folder, as the orchestrator names it or sorted by class."""
    named = id_.split(".")
    for place in (data / split / id_, data / split / ".".join(named[1:-1]) / id_):
        if place.is_dir():
            return place
    raise InputError(f"{data / split / id_}: not there; it was not recorded")


def _sample(place: Path, split: str, id_: str, goals: Mapping[str, str]) -> Sample:
    file = place / "A.json"
    told = read_json(file)
    others = check(file, told, ["text", "chunks"])
    user = tuple(_words(file, told["chunks"], others))
    wave = read_audio(place / "A.wav")
    truth = {
        "split": split,
        "goals": goals,
        "examiner": str(told["text"]),
        "seconds": len(wave) / SAMPLE_RATE,
    }
    return noted(Sample(id_, whole_turns(wave), user, truth=truth), others)


def _words(file: Path, chunks: Any, others: list[str]) -> Iterator[Span]:
    """others: gets what chunks have beside their words."""
    if not isinstance(chunks, list):
        raise InputError(f"{file}: chunks must be a list")
    for one in chunks:
        others += check(file, one, ["text", "timestamp"])
        yield Span(str(one["text"]).strip(), *map(float, one["timestamp"]))


def checkout(official: Path) -> Path:
    """Where a checkout has its v2."""
    for place in (official / "v2", official):
        if (place / "eval").is_dir():
            return place
    raise InputError(
        f"--official-repo={official}: no v2/eval in it; give a checkout of "
        "DanielLin94144/Full-Duplex-Bench"
    )


def prompt(official: Path, truth: Mapping[str, Any], said: Sequence[Span]) -> str:
    """What its judge is asked of a conversation: its rubrics, the goals, what both said.
    said: the system's utterances."""
    file = checkout(official) / "eval" / "eval_prompts.json"
    prompts = read_json(file)
    names = ["system_prompt", "turn_taking_fluency_prompt",
             "multi_turn_instruction_following_prompt"]  # fmt: skip
    try:
        parts = [prompts[name] for name in names]
        if rubric := RUBRICS.get(truth["split"]):
            each = {one["id"]: one["prompt"] for one in prompts["task_specific_prompts"]}
            parts.append(each[rubric])
        parts.append(prompts["output_format_prompt"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: is of another form ({error!r})") from None
    goals = [f"{t}: {truth['goals'].get(t, '')}" for t in GOALS]
    lines = [f"[{u.t0:.2f}, {u.t1:.2f}]: {u.text}" for u in said]
    return "\n\n".join(
        [str(part).strip() for part in parts]
        + ["\n".join(["Goals that the examiner told of, in stages:", *goals])]
        + [f"Channel A (examiner):\n{truth['examiner']}"]
        + ["\n".join(["Channel B (examinee), with times in seconds:", *lines])]
    )
