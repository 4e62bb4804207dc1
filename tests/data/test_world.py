"""The synthetic world: repeatable, split cleanly, and true to its own rules."""

import functools
import math

import numpy as np
import pytest

from interaction.data import stage, world
from interaction.data.dialogue import Word
from interaction.data.scenes import SCENES, arithmetic, echo, picture, timed
from interaction.data.scenes.plan import Plan
from interaction.data.scenes.statements import STATEMENTS
from interaction.data.scenes.words import AGENT_WORDS, CUES, NUMBERS, USER_WORDS
from interaction.data.stage import Cast, Sound, cut_off, perform
from interaction.data.voices import HELD_OUT_VOICES, TRAIN_VOICES
from interaction.data.world import SPLITS, dialogue, sample_plan
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES

CAST = Cast(TRAIN_VOICES[0], TRAIN_VOICES[1])
FRAME_S = TURN_SAMPLES / SAMPLE_RATE


@functools.cache
def dialogues():
    return [dialogue(7, i, split, turns=96) for i in range(8) for split in SPLITS]


def performed(name: str, n: int, keep=lambda plan: True):
    """n takes of a scene whose plan passes `keep`, with their plans."""
    (scene,) = (s for s in SCENES if s.name == name)
    rng = np.random.default_rng(3)
    found = []
    while len(found) < n:
        plan = scene.build(rng, False)
        if keep(plan):
            found.append((plan, perform(plan, int(rng.integers(48_000)), CAST, rng)))
    return found


def sounds(take, lane: str) -> list[Sound]:
    return [s for s in take.sounds if s.lane == lane]


def test_a_pure_function_of_its_arguments():
    first = dialogue(1, 5)
    dialogue(2, 6)
    again = dialogue(1, 5)
    assert first.user.tobytes() == again.user.tobytes()
    assert first.agent.tobytes() == again.agent.tobytes()
    assert first.utterances == again.utterances
    assert first.exchanges == again.exchanges and first.control == again.control
    for other in (dialogue(1, 6), dialogue(2, 5), dialogue(1, 5, SPLITS[1])):
        assert first.user.tobytes() != other.user.tobytes()


def test_splits_have_voices_and_scripts_of_their_own(monkeypatch):
    casts = {}

    def note(plan, start, cast, rng):
        casts.setdefault(split, []).append((cast.user, cast.stranger))
        return stage.Take(start + SAMPLE_RATE)

    monkeypatch.setattr(world, "perform", note)
    monkeypatch.setattr(world, "least_samples", lambda plan: 0)
    for split in SPLITS:
        for i in range(40):
            dialogue(0, i, split, turns=16)
    variants = {
        split: {voice.variant for pair in casts[split] for voice in pair}
        for split in SPLITS
    }
    held_out = {voice.variant for voice in HELD_OUT_VOICES}
    assert variants["held_out_voices"] <= held_out
    assert not variants["train"] & held_out
    assert not variants["held_out_combinations"] & held_out
    rates = [{pair[0].rate for pair in casts[split][:20]} for split in SPLITS]
    assert rates[0] != rates[1] and rates[0] != rates[2]


def test_shapes_and_times():
    for d in dialogues():
        assert d.user.shape == d.agent.shape == (96 * TURN_SAMPLES,)
        assert d.user.dtype == d.agent.dtype == np.float32
        assert d.turns == 96
        assert np.abs(d.user).max() <= 1 and np.isfinite(d.user).all()
        end = len(d.user) / SAMPLE_RATE
        for u in d.utterances:
            assert 0 <= u.t0 < u.t1 <= end
            times = [t for word in u.words for t in (word.t0, word.t1)]
            assert times == sorted(times)
            assert u.t0 - 1e-6 <= times[0] and times[-1] <= u.t1 + 1e-6
        for t in [t for t, _ in d.control + d.frames]:
            assert 0 <= t < end
            assert round(t / FRAME_S) * FRAME_S == pytest.approx(t, abs=1e-9)


def test_energy_is_where_the_words_are():
    for d in dialogues():
        silent = np.ones(len(d.agent), bool)
        for u in d.utterances:
            wave = d.agent if u.lane == "agent" else d.user
            floor = 0 if u.lane == "agent" else np.percentile(np.abs(d.user), 20)
            for word in u.words:
                a, b = (round(t * SAMPLE_RATE) for t in (word.t0, word.t1))
                if u.lane in ("agent", "user") and b - a > 800:
                    assert np.abs(wave[a:b]).max() > 2 * floor + 0.005, (u, word)
            if u.lane == "agent":
                silent[round(u.t0 * SAMPLE_RATE) : round(u.t1 * SAMPLE_RATE)] = False
        assert not d.agent[silent].any()


def test_vocabulary():
    assert len(set(USER_WORDS)) == len(USER_WORDS)
    rng = np.random.default_rng(0)
    heard, said = set(), set()
    for i in range(6000):
        plan = sample_plan(rng, SPLITS[i % 3])
        while plan is not None:
            heard |= {*plan.says, *(plan.aside.words if plan.aside else ())}
            said |= {*(plan.answer or ())}
            plan = plan.interruption.plan if plan.interruption else None
    assert heard == set(USER_WORDS)
    assert said == set(AGENT_WORDS)


def combinations(plan: Plan) -> list:
    """Everything of a plan that a held-out rule speaks about, as (rule, value)."""
    found = []
    if {"say", "repeat"} & {*plan.says} and plan.wait_s is None:
        found.append(("echo", plan.answer))
    if plan.task == "arithmetic":
        a, operation, b = plan.says[2:]
        found.append(("arithmetic", (NUMBERS.index(a), operation, NUMBERS.index(b))))
    if plan.picture is not None:
        p = plan.picture
        found.append(("picture", (p.colour, p.count, p.shape)))
    if plan.task == "timed":
        found.append(("timed", (plan.says[1], NUMBERS.index(plan.says[3]))))
    if plan.lane != "user":
        found.append(("statement", plan.says))
    if plan.aside is not None:
        found.append(("statement", plan.aside.words))
    if plan.interruption is not None:
        found += combinations(plan.interruption.plan)
    return found


def is_held_out(rule: str, value) -> bool:
    if rule == "echo":
        return len(value) > 1 and echo.is_held_out(value)
    if rule == "arithmetic":
        return arithmetic.is_held_out(value)
    if rule == "picture":
        return picture.is_held_out(*value)
    if rule == "timed":
        return timed.is_held_out(CUES.index(value[0]), value[1])
    return STATEMENTS.index(value) % 10 == 4


@pytest.mark.parametrize("split", ["train", "held_out_voices"])
def test_training_never_contains_held_out_combinations(split):
    rng = np.random.default_rng(11)
    for _ in range(8000):
        plan = sample_plan(rng, split)
        assert plan.seen
        for rule, value in combinations(plan):
            assert not is_held_out(rule, value), (rule, value)


def test_held_out_combinations_are_held_out():
    rng = np.random.default_rng(11)
    found = set()
    for _ in range(4000):
        plan = sample_plan(rng, "held_out_combinations")
        if plan.interruption is None and plan.aside is None:
            parts = combinations(plan)
            assert all(is_held_out(*part) for part in parts), plan
            assert plan.seen == (not parts)
            found |= set(parts)
    assert {rule for rule, _ in found} == {
        "echo",
        "arithmetic",
        "picture",
        "timed",
        "statement",
    }


def test_held_out_share_is_about_a_tenth():
    share = np.mean([arithmetic.is_held_out(q) for q in arithmetic.QUESTIONS])
    assert 0.07 < share < 0.13
    pairs = [(a, b) for a in echo.ECHOED for b in echo.ECHOED if a != b]
    assert 0.07 < np.mean([echo.is_held_out(pair) for pair in pairs]) < 0.13


@pytest.mark.parametrize("name", ["echo", "arithmetic", "vision_color", "count"])
def test_answers_start_with_the_first_frame_after_the_margin(name):
    for plan, take in performed(name, 6):
        (exchange,) = take.exchanges
        (question,), (answer,) = sounds(take, "user"), sounds(take, "agent")
        assert exchange.question_end == pytest.approx(question.end / SAMPLE_RATE)
        k = next(
            k
            for k in range(10**6)
            if FRAME_S * (k + 1) >= exchange.question_end + 0.1 - 1e-9
        )
        assert exchange.onset == pytest.approx(FRAME_S * (k + 1))
        assert answer.start / SAMPLE_RATE == pytest.approx(exchange.onset)
        assert tuple(w.text for w in answer.words) == plan.answer
        assert exchange.answer == " ".join(plan.answer)
        ((t, kind),) = take.control
        assert kind == "break" and t % TURN_SAMPLES == 0
        assert 0 <= t - answer.end < TURN_SAMPLES


def test_timed_answers_wait():
    for plan, take in performed("timed", 5):
        (exchange,) = take.exchanges
        late = exchange.onset - exchange.question_end - NUMBERS.index(plan.says[3])
        assert -1e-6 <= late < FRAME_S


def test_silence_is_kept():
    for name in ("side_talk", "silence"):
        for _, take in performed(name, 5, lambda plan: plan.answer is None):
            assert not sounds(take, "agent") and not take.control
            assert take.exchanges[0].answer is None
            assert take.end >= take.exchanges[0].question_end * SAMPLE_RATE


def test_the_agent_yields():
    followed = 0
    for plan, take in performed("barge_in", 16):
        first, second = take.exchanges
        onset, inner = first.barge_in, plan.interruption.plan
        answer = sounds(take, "agent")[-1]
        assert second.utterance_t0 == onset
        assert onset - first.onset >= 0.5
        k = next(k for k in range(10**6) if FRAME_S * (k + 1) >= onset + 0.25 - 1e-9)
        cut = round(FRAME_S * (k + 1) * SAMPLE_RATE)
        assert answer.cut == answer.end == cut
        assert take.control[0] == (cut, "clear")
        assert all(word.t0 < (cut - answer.start) / SAMPLE_RATE for word in answer.words)
        spoken = tuple(word.text for word in answer.words)
        assert plan.answer[: len(spoken)] == spoken
        assert first.answer == " ".join(spoken)
        if inner.answer is None:
            assert second.answer is None and len(take.control) == 1
        else:
            followed += 1
            assert second.answer == " ".join(inner.answer)
            assert second.onset * SAMPLE_RATE >= cut
            assert [kind for _, kind in take.control] == ["clear", "break"]
    assert followed


def test_cut_keeps_the_word_being_spoken():
    words = (Word("a", 0.0, 0.3), Word("b", 0.35, 0.6), Word("c", 0.65, 1.0))
    answer = Sound("agent", 3200, np.ones(16_000, np.float32), words)
    cut = cut_off(answer, 3200 + 8000)
    assert cut.words == (Word("a", 0.0, 0.3), Word("b", 0.35, 0.5))
    assert cut.end == cut.cut == 3200 + 8000
    with pytest.raises(ValueError, match="nothing to cut"):
        cut_off(answer, 3200 + 16_000)


def test_pauses_only_where_the_question_is_incomplete(monkeypatch):
    monkeypatch.setattr(stage, "_PAUSE_PROBABILITY", 1.0)
    for name in ("echo", "arithmetic", "vision_count", "count", "timed"):
        for plan, take in performed(name, 3):
            ((t0, t1),) = take.exchanges[0].pauses
            assert 0.3 <= t1 - t0 <= 0.9
            question = sounds(take, "user")[0]
            said = [w for w in question.words if question.start / 16e3 + w.t0 < t0]
            assert len(said) in plan.may_pause_after
            assert len(said) < len(plan.says)
            a, b = (round(t * SAMPLE_RATE) - question.start for t in (t0, t1))
            assert not question.wave[a:b].any()
            if plan.task == "echo":
                assert said[-1].text in ("say", "repeat", "please")


def test_background_does_not_disturb():
    plans = performed("side_talk", 6, lambda plan: plan.aside is not None)
    for plan, take in plans:
        (question,), (answer,) = sounds(take, "user"), sounds(take, "agent")
        (faint,) = sounds(take, "background")
        assert answer.cut is None
        assert tuple(w.text for w in answer.words) == plan.answer
        over = (answer.start, answer.end)
        if plan.aside.over == "pause":
            over = [round(t * SAMPLE_RATE) for t in take.exchanges[0].pauses[0]]
        assert over[0] <= faint.start < over[1]
        loudness = [np.sqrt(np.mean(s.wave[s.wave != 0] ** 2)) for s in (faint, question)]
        assert loudness[0] < 0.5 * loudness[1]


def test_pictures_are_on_camera_before_during_and_after():
    for plan, take in performed("vision_count", 4):
        (exchange,) = take.exchanges
        answer_end = sounds(take, "agent")[0].end
        assert exchange.frames
        assert take.shots[0] % TURN_SAMPLES == 0 and take.shots.step == SAMPLE_RATE
        assert take.shots[0] <= (exchange.utterance_t0 - 1) * SAMPLE_RATE + 1
        assert 0 <= take.shots[-1] - answer_end < SAMPLE_RATE
        pairs = picture.draw(take.picture, len(take.shots))
        assert pairs.shape == (len(take.shots), 2, 40, 80, 3)
        assert pairs.dtype == np.uint8
        assert not np.array_equal(pairs[0, 0], pairs[0, 1])
        assert plan.answer == (NUMBERS[take.picture.count],)


@pytest.mark.parametrize("shape", ["circle", "square"])
@pytest.mark.parametrize("light", [False, True])
def test_pictures_show_what_they_say(shape, light):
    for count in range(1, 6):
        frames = picture.draw(picture.Picture("red", count, shape, light, count), 3)
        redness = frames[..., 0].astype(int) - frames[..., 2]
        red = (redness > 100).mean(axis=(2, 3)) * 40 * 80 / count
        assert (red > 60).all() and (red < 230).all()
        assert (frames[0, 0, ..., 0].mean() > 110) == light or count > 3


def test_mix_and_clear_complaints():
    for i in range(4):
        tasks = {e.task for e in dialogue(0, i, mix={"arithmetic": 1.0}).exchanges}
        assert tasks == {"arithmetic"}
    with pytest.raises(InputError, match="unknown scene 'dance'"):
        dialogue(0, 0, mix={"dance": 1.0})
    with pytest.raises(InputError, match="weights must be"):
        dialogue(0, 0, mix={"echo": 0.0})
    with pytest.raises(InputError, match="unknown split 'test'"):
        dialogue(0, 0, "test")


def test_clips_too_short_for_any_scene_are_silent():
    d = dialogue(0, 0, turns=2)
    assert d.turns == 2 and not d.exchanges and not d.agent.any()
    assert d.user.any()  # the room's noise


def test_exchanges_do_not_overlap():
    for d in dialogues():
        busy = 0.0
        for u in d.utterances:
            if u.lane in ("user", "side"):
                assert u.t0 >= busy or any(
                    math.isclose(u.t0, e.barge_in) for e in d.exchanges if e.barge_in
                )
            busy = max(busy, u.t1) if u.lane == "agent" else busy
