"""The synthetic world: endless dialogues, each a pure function of its arguments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from interaction.data import errand
from interaction.data.acoustics import in_room, sample_room
from interaction.data.dialogue import Dialogue
from interaction.data.scenes import SCENES
from interaction.data.scenes.picture import draw
from interaction.data.scenes.plan import Errand, Plan
from interaction.data.stage import Cast, Take, least_samples, perform
from interaction.data.voices import sample_user_voice
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

SPLITS = ("train", "held_out_voices", "held_out_combinations")
_LEAD_S = (0.2, 1.0)
_GAP_S = (0.4, 1.6)  # between the end of one exchange and the start of the next
_TRIES = 4  # scenes tried at the end of a clip before the rest stays silent


def weights(mix: Mapping[str, float] | None = None) -> np.ndarray:
    """Probabilities of SCENES; a scene that `mix` does not name is left out."""
    names = [scene.name for scene in SCENES]
    mix = {scene.name: scene.weight for scene in SCENES} if mix is None else mix
    for name in mix:
        if name not in names:
            raise InputError(f"unknown scene {name!r}: mix; use {', '.join(names)}")
    p = np.array([mix.get(name, 0.0) for name in names], np.float64)
    if not (np.all(p >= 0) and p.sum() > 0):
        raise InputError("weights must be >= 0 and not all 0: mix; mend the numbers")
    return p / p.sum()


def sample_plan(
    rng: np.random.Generator, split: str, p: np.ndarray | None = None
) -> Plan | Errand:
    """One scene's plan, without sound; `p` is what `weights` returns."""
    scene = SCENES[rng.choice(len(SCENES), p=weights() if p is None else p)]
    return scene.build(rng, split == "held_out_combinations")


def dialogue(
    seed: int,
    index: int,
    split: str = "train",
    turns: int = 64,
    mix: Mapping[str, float] | None = None,
    echo: bool = True,
) -> Dialogue:
    """Dialogue `index` of an endless set, `turns` micro-turns of 200 ms long.

    One user, one room; scenes one after the other while they fit, then silence.
    mix: weights of scenes by name in place of those of SCENES.
    echo: False leaves the agent's own echo out of the user's channel. To test a system
    that runs freely, leave it out (it would give the scripted answers away) and add the
    echo of what the system really says.
    Raises InputError for an unknown split or scene.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}: split; use {', '.join(SPLITS)}")
    rng = np.random.default_rng([seed, index, SPLITS.index(split)])
    held_out_voices = split == "held_out_voices"
    cast = Cast(*(sample_user_voice(rng, held_out_voices) for _ in range(2)))
    room = sample_room(rng)
    n = turns * TURN_SAMPLES
    takes = _takes(rng, n, split, cast, weights(mix))
    sounds = sorted((s for t in takes for s in t.sounds), key=lambda s: s.start)
    user, agent = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for sound in sounds:
        if sound.lane == "tool":  # written
            continue
        channel = agent if sound.lane == "agent" else user
        channel[sound.start : sound.end] += sound.wave
    return Dialogue(
        id=f"{split}-{seed}-{index}",
        user=in_room(user, agent if echo else np.zeros_like(agent), room, rng),
        agent=agent,
        frames=tuple(shot for take in takes for shot in _shots(take)),
        utterances=tuple(sound.utterance() for sound in sounds),
        control=tuple((t / SAMPLE_RATE, k) for take in takes for t, k in take.control),
        exchanges=tuple(exchange for take in takes for exchange in take.exchanges),
    )


def _takes(
    rng: np.random.Generator, n: int, split: str, cast: Cast, p: np.ndarray
) -> list[Take]:
    takes, tries = [], 0
    start = int(rng.uniform(*_LEAD_S) * SAMPLE_RATE)
    while tries < _TRIES and start < n:
        plan = sample_plan(rng, split, p)
        tries += 1
        if isinstance(plan, Errand):
            if start + errand.least(plan) > n:
                continue
            take = errand.run(plan, start, cast, rng)
        else:
            if start + least_samples(plan) > n:
                continue
            take = perform(plan, start, cast, rng)
        if take.end <= n:
            takes.append(take)
            start = take.end + int(rng.uniform(*_GAP_S) * SAMPLE_RATE)
            tries = 0
    return takes


def _shots(take: Take) -> list[tuple[float, np.ndarray]]:
    if take.picture is None:
        return []
    pairs = draw(take.picture, len(take.shots))
    return [(t / SAMPLE_RATE, pair) for t, pair in zip(take.shots, pairs, strict=True)]
