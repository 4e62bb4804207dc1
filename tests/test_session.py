"""Session: the micro-turn on the device, driven as users drive it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from interaction import Session
from interaction.errors import InputError
from interaction.grammar import AUDIO_PER_TURN, MAX_TEXT, Kind
from interaction.recording import CompileCounter

TURN = 3200


def sound(seed: int, turns: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(turns * TURN)).astype(np.float32)


def pair(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 48, 90, 3), np.uint8)


def converse(session: Session, wave: np.ndarray, every: int = 4) -> list:
    """A camera pair every few turns, and some typed words."""
    session.reset()
    outputs = []
    for k in range(len(wave) // TURN):
        frames = pair(k) if k % every == 1 else None
        text = "hello there" if k == 3 else None
        cut = wave[k * TURN : (k + 1) * TURN]
        outputs.append(session.step(audio=cut, frames=frames, text=text))
    return outputs


def bits(outputs: list) -> list[bytes]:
    return [
        b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(out.frame))
        for out in outputs
    ]


@pytest.fixture(scope="module")
def session(tiny_package) -> Session:
    """Sampled at temperature 1: random weights then use every kind of frame."""
    return Session.open(tiny_package, seed=5, temperature=1.0)


def test_frames_obey_the_grammar(session):
    outputs = converse(session, sound(0, 60))
    spoke = written = 0
    for out in outputs:
        n = int(out.frame.n)
        kinds = out.frame.kind[:n].tolist()
        texts = [k for k in kinds if k == Kind.TEXT]
        assert len(texts) <= MAX_TEXT
        body = [k for k in kinds if k not in (Kind.CLEAR, Kind.BREAK, Kind.DELEGATE)]
        assert len(kinds) - len(body) <= 2
        tail = [Kind.SPEAK] + [Kind.AUDIO_OUT] * AUDIO_PER_TURN
        assert body[len(texts) :] in (tail, [Kind.SILENT])
        spoke += body[len(texts) :] == tail
        written += bool(texts)
        assert out.audio.shape == (TURN,) and np.isfinite(out.audio).all()
    assert spoke and written, "random weights should speak and write somewhere"


def test_reset_gives_the_same_bits_again(session):
    wave = sound(1, 30)
    first = converse(session, wave)
    assert bits(converse(session, wave)) == bits(first)
    assert bits(converse(session, sound(2, 30))) != bits(first)


def test_the_future_changes_nothing(session):
    """Recordings equal up to 3.0 s, different after: the same bits and events through
    3.2 s, and then not."""
    a, b = sound(3, 30), sound(3, 30)
    b[15 * TURN :] = sound(4, 15)
    out_a, out_b = converse(session, a), converse(session, b)
    events_a = [e for out in out_a[:15] for e in out.events]
    events_b = [e for out in out_b[:15] for e in out.events]
    assert bits(out_a[:15]) == bits(out_b[:15])  # frame 14 plays until 3.2 s
    assert events_a == events_b and events_a
    assert bits(out_a[15:]) != bits(out_b[15:])


def test_slots_do_not_disturb_each_other(tiny_package):
    """A conversation's tokens do not depend on its neighbours; greedy, since seeds
    differ by slot."""
    waves = [sound(10 + s, 12) for s in range(3)]
    three = Session.open(tiny_package, slots=3)

    def run(order: list[int]) -> dict[int, list[np.ndarray]]:
        three.reset()
        tokens: dict[int, list[np.ndarray]] = {s: [] for s in order}
        for k in range(12):
            outs = three.step(audio=[waves[s][k * TURN : (k + 1) * TURN] for s in order])
            for s, out in zip(order, outs, strict=True):
                tokens[s].append(out.frame.token[: int(out.frame.n)])
        return tokens

    a, b = run([0, 1, 2]), run([0, 2, 1])
    for x, y in zip(a[0], b[0], strict=True):
        assert x.tolist() == y.tolist()


def test_nothing_compiles_after_opening(session):
    with CompileCounter() as counter:
        converse(session, sound(6, 40))
    assert counter.count == 0


def test_cleared_and_spoken_events(session):
    outputs = converse(session, sound(7, 80))
    for k, out in enumerate(outputs):
        kinds = out.frame.kind[: int(out.frame.n)]
        assert out.cleared == (Kind.CLEAR in kinds)
        names = {e.kind for e in out.events if e.lane == "control"}
        assert ("SPEAK" in names) == (Kind.SPEAK in kinds)
        for event in out.events:
            if event.lane in ("control", "agent"):
                assert event.t_s == round(0.2 * (k + 1), 3)
    assert session.transcript == sorted(
        (e for out in outputs for e in out.events), key=lambda e: e.t_s
    )


def test_silent_turn_after_speech_rings_out(session):
    """The tail of the last patch sounds in the frame after it, unless cleared."""
    outputs = converse(session, sound(8, 120))
    seen = 0
    for before, out in zip(outputs, outputs[1:], strict=False):
        spoke = Kind.SPEAK in before.frame.kind
        kinds = out.frame.kind[: int(out.frame.n)]
        if spoke and Kind.SPEAK not in kinds:
            seen += 1
            loud = np.abs(out.audio[:600]).max() > 0
            assert loud != out.cleared
            assert (out.audio[800:] == 0).all()
    assert seen


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (np.zeros(100, np.float32), "audio is"),
        (np.full(TURN, np.nan, np.float32), "NaN"),
    ],
)
def test_bad_input_is_one_line(session, audio, words):
    with pytest.raises(InputError, match=words):
        session.step(audio=audio)


def test_missing_checkpoint_is_one_line():
    with pytest.raises(InputError, match="no checkpoint"):
        Session.open("no-such-model")
