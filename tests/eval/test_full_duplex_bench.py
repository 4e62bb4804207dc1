"""Full-Duplex-Bench: formulas on cases counted by hand, and folders with their traps."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import record, task
from eval.commands.run import open_agent
from eval.ears import ears
from eval.formulas import full_duplex_bench as formulas
from eval.judge import judge
from eval.run import run
from eval.sample import Fault, Sample, Span
from eval.score import official
from eval.task import Asked
from eval.tasks.fdb_v1_5_interruption import seen_in
from interaction.errors import InputError
from tests.eval.fdb_tree import SECONDS, checkout, tree, wave

V1 = ("fdb_pause_candor", "fdb_pause_synthetic", "fdb_turn_taking", "fdb_backchannel",
      "fdb_interruption")  # fmt: skip
V1_5 = ("fdb_v1_5_interruption", "fdb_v1_5_backchannel", "fdb_v1_5_talking_to_other",
        "fdb_v1_5_background")  # fmt: skip
EARS = ears("text_stream", "energy")


def said(*times: tuple[float, float]) -> list[Span]:
    return [Span(f"w{i}", a, b) for i, (a, b) in enumerate(times)]


@pytest.mark.parametrize(
    "times, turn",
    [
        ([], 0),
        ([(1.0, 1.3), (1.4, 1.7), (1.7, 1.999)], 0),
        ([(1.0, 1.3), (1.4, 2.0)], 1),
        ([(1.0, 1.1), (1.1, 1.2), (1.2, 1.3), (1.3, 1.4)], 1),
    ],
)
def test_turn_over(times, turn):
    assert formulas.took_turn(said(*times)) == turn


def test_latency_is_not_below_0():
    assert formulas.latency(said((2.5, 3.0)), 2.0) == 0.5
    assert formulas.latency(said((1.5, 3.0)), 2.0) == 0


def test_the_last_short_stretch_overwrites_a_turn():
    words = said((1.0, 1.5), (1.5, 2.0), (2.0, 2.5), (5.0, 5.3))
    heard = formulas.backchannel([(1.0, 2.5), (5.0, 5.4)], words, 10.0)
    assert heard.took_turn == 0 and heard.ever_took_turn == 1
    assert heard.said == [(1.0, 2.5), (5.0, 5.4)] and heard.frequency == 0.2


def test_nothing_counts_behind_a_long_stretch():
    heard = formulas.backchannel([(0.5, 0.9), (1.0, 4.2), (6.0, 6.4)], [], 8.0)
    assert heard.took_turn == 1 and heard.said == [(0.5, 0.9)]
    assert formulas.backchannel([], [], 8.0) == (0, [], 0.0, 0)


@pytest.mark.parametrize(
    "words, turn",
    [
        (said((1.0, 1.1), (1.2, 1.3)), 0),
        (said((1.0, 1.1), (1.2, 1.3), (1.3, 1.4)), 1),  # three are a turn here
        (said((1.0, 1.1), (1.2, 1.3), (1.52, 1.7)), 0),  # behind it, by tenths
        (said((0.2, 1.0), (1.2, 1.3), (1.3, 1.4)), 0),  # before it
        (said((0.2, 1.1), (1.2, 1.3), (1.5, 1.7)), 1),  # over its edges
    ],
)
def test_words_that_touch_a_stretch(words, turn):
    assert formulas.backchannel([(0.96, 1.54)], words, 8.0).took_turn == turn


def test_divergence_by_its_definition():
    """Two bins of five hold the backchannel; people's three are stretched to six."""
    people = [0.2, 0.6, 0.2]
    counts = np.array([0, 1, 1, 0, 0, 0]) + 1e-10
    p = counts / counts.sum()
    q = np.array([0.2, 0.36, 0.52, 0.52, 0.36, 0.2])
    q = q / q.sum()
    m = (p + q) / 2
    kl = lambda a: sum(x * math.log(x / y) for x, y in zip(a, m, strict=True))  # noqa: E731
    want = math.sqrt((kl(p) + kl(q)) / 2)
    assert formulas.divergence([(0.3, 0.5)], 1.0, people) == pytest.approx(want, abs=1e-9)
    assert formulas.divergence([], 1.0, people) == 1
    far = formulas.divergence([(0.0, 0.1)], 1.0, [1e-13, 0.5, 0.5])
    assert 0.75 < far <= math.sqrt(math.log(2)) + 1e-9


def test_timing_lists():
    user = [(1.0, 2.0), (2.5, 3.0), (5.0, 6.0)]  # the first two are one
    system = [(0.5, 1.5), (2.2, 2.4), (5.5, 7.0), (7.6, 8.0)]
    lists = formulas.timing(user, system)
    assert lists.stops == [(1.0, 1.5), (2.2, 2.4), (5.5, 6.0)]
    assert lists.responses == [(3.0, 5.5), (6.0, 7.6)]
    assert formulas.timing(user, []) == ([], [])


def test_of_the_users_ends_before_an_answer_the_last_counts():
    lists = formulas.timing([(0.0, 1.0), (2.0, 3.0)], [(4.0, 5.0)])
    assert lists.responses == [(3.0, 4.0)]


def test_pauses_that_are_none():
    assert formulas.merged([(1.0, 1.2), (0.0, 0.5)], 0.5) == [(0.0, 1.2)]
    assert formulas.merged([(0.0, 2.0), (0.5, 1.0)], 0.5) == [(0.0, 2.0)]
    assert formulas.merged([(0.0, 0.5), (1.01, 1.2)], 0.5) == [(0.0, 0.5), (1.01, 1.2)]


def test_shares_of_behaviours():
    assert formulas.shares(["C_RESUME", "C_RESPOND", "C_RESUME"]) == {
        "C_RESUME": 2 / 3, "C_RESPOND": 1 / 3
    }  # fmt: skip
    assert formulas.shares([]) == {}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return tree(tmp_path_factory.mktemp("fdb"))


@pytest.mark.parametrize("name", V1 + V1_5)
def test_every_subset_is_read(name, data):
    """The second sample is at 48 kHz; v1.5's are run with their event and without."""
    found = list(task.load(name).samples(Asked(data=data)))
    assert all(isinstance(one, Sample) for one in found), found
    assert [one.truth["seconds"] for one in found] == [SECONDS] * len(found)
    assert {len(one.audio) for one in found} == {36 * 3200}
    ids = [one.id for one in found]
    assert ids == {
        "fdb_backchannel": ["0", "1"], "fdb_v1_5": ["1", "1.clean", "2", "2.clean"]
    }.get(name if name in V1 else "fdb_v1_5", ["1", "2"])  # fmt: skip
    near, far = found[0].audio, found[-1 if name in V1 else 2].audio
    assert np.abs(near).max() == pytest.approx(np.abs(far).max(), rel=0.2)
    assert np.corrcoef(near[:16000], far[:16000])[0, 1] > 0.95  # the first words


def spoil(place: Path, what: str) -> None:
    """place: of a sample of turn-taking."""
    wav, file = place / "input.wav", place / "turn_taking.json"
    event = {"text": "[TURN-TAKING]", "timestamp": [3.1, 3.5]}
    changed = {
        "not JSON": "[{",
        "no list": "{}",
        "no field 'timestamp'; it has text, time": json.dumps(
            [{"text": "[TURN-TAKING]", "time": 3.1}]
        ),
        "no field 'timestamp'": json.dumps([{"text": "[TURN-TAKING]"}]),
        "timestamp is": json.dumps([event | {"timestamp": [3.5, 3.1]}]),
        "'[PAUSE]'": json.dumps([event | {"text": "[PAUSE]"}]),
        "at 9 s": json.dumps([event | {"timestamp": [9, 9.5]}]),
    }
    if what in changed:
        file.write_text(changed[what])
    elif what == "turn_taking.json: not there":
        file.unlink()
    elif what == "no such file":
        wav.unlink()
    elif what == "cut short":
        wav.write_bytes(wav.read_bytes()[:-4000])
    elif what == "empty":
        wav.write_bytes(b"")


@pytest.mark.parametrize("what", [
    "not JSON", "list of events", "no field 'timestamp'; it has text, time",
    "no field 'timestamp'",
    "timestamp is", "'[PAUSE]'", "at 9 s", "turn_taking.json: not there", "no such file",
    "cut short", "empty",
])  # fmt: skip
def test_what_is_broken_is_named_and_counted(what, data, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(data / "v1_0" / "candor_turn_taking", root / "candor_turn_taking")
    spoil(root / "candor_turn_taking" / "1", "no list" if "list" in what else what)
    broken, whole = task.load("fdb_turn_taking").samples(Asked(data=root))
    assert isinstance(broken, Fault) and broken.id == "1" and what in broken.why
    assert isinstance(whole, Sample) and whole.id == "2"


@pytest.mark.parametrize("name", V1 + V1_5)
def test_a_missing_folder_ends_in_one_line(name, tmp_path):
    with pytest.raises(InputError, match="--data"):
        list(task.load(name).samples(Asked()))
    with pytest.raises(InputError, match="no v1_"):
        list(task.load(name).samples(Asked(data=tmp_path)))


def test_a_folder_that_is_no_key_of_what_people_did(data, tmp_path):
    asked = Asked(data=data, official=checkout(tmp_path / "repo", n=1))
    one, other = task.load("fdb_backchannel").samples(asked)
    assert one.truth["people"] == [0.1, 0.2, 0.3, 0.1, 0.3]
    assert isinstance(other, Fault) and "'1'" in other.why
    with pytest.raises(InputError, match="v1_v1.5/evaluation"):
        list(task.load("fdb_backchannel").samples(Asked(data=data, official=tmp_path)))


@pytest.mark.parametrize("agent", ["silent", "always_talk", "fixed_latency"])
@pytest.mark.parametrize("name", V1 + V1_5)
def test_known_values(name, agent, data, tmp_path):
    found, asked = task.load(name), Asked(data, checkout(tmp_path / "repo"))
    samples = list(found.samples(asked))
    system = open_agent(agent, "")
    run(system, iter(samples), tmp_path / name, "lockstep")
    for sample in samples:
        row = found.measure(record.load(tmp_path / name / sample.id), EARS, judge())
        for metric, want in (found.known(system.name, sample) or {}).items():
            assert row[metric] == (want if want is None else pytest.approx(want, abs=0.006))


def ran(found: task.Task, agent: str, data: Path, place: Path) -> None:
    run(open_agent(agent, ""), found.samples(Asked(data)), place, "lockstep")


class Says:
    """A judge with one answer. asked: what it was asked for."""

    name, failures = "gpt-4o-2024-08-06", 0

    def __init__(self, reply: str, official: Path | None) -> None:
        self.reply, self.official, self.asked = reply, official, []

    def ask(self, prompt, system="", temperature=0.0, n=1, seed=None):
        self.asked.append((prompt, system, temperature, seed))
        return [self.reply]

    def misread(self):
        self.failures += 1


def test_an_interruption_is_rated_with_the_checkouts_prompts(data, tmp_path):
    found = task.load("fdb_interruption")
    run(
        open_agent("fixed_latency", ""),
        found.samples(Asked(data)),
        tmp_path / "r",
        "lockstep",
    )
    stored = record.load(tmp_path / "r" / "1")
    says = Says("Analysis: good.\nI would rate the AI's response as 4", checkout(tmp_path))
    assert found.measure(stored, EARS, says)["rating"] == 4
    (prompt, system, temperature, seed), = says.asked  # fmt: skip
    assert prompt == "red blue | green red | red blue green red blue green"
    assert (system, temperature, seed) == ("Rate it.", 1.0, 0)
    vague = Says("Four.", tmp_path)
    assert found.measure(stored, EARS, vague)["rating"] is None and vague.failures == 1
    assert found.measure(stored, EARS, Says("", None))["rating"] is None


def test_words_before_the_interruptions_end_do_not_count(data, tmp_path):
    """It talks on: TOR 1 and latency 0, which the siblings expose."""
    found = task.load("fdb_interruption")
    run(
        open_agent("always_talk", ""),
        found.samples(Asked(data)),
        tmp_path / "r",
        "lockstep",
    )
    row = found.measure(record.load(tmp_path / "r" / "2"), EARS, judge())
    assert row["turn_over_rate"] == 1 and row["latency"] < 0.4
    assert row["kept_talking"] == 1 and row["latency_censored"] is None


def test_what_was_said_before_the_interruptions_end_is_cut_off(data, tmp_path):
    """The first ends at 3.1 s. A turn's words stay if more than half of it does."""
    found = task.load("fdb_interruption")
    ran(found, "silent", data, tmp_path / "r")
    silent = record.load(tmp_path / "r" / "1")
    before = ((1.0, " red blue green red"), (2.8, " blue green"))
    row = found.measure(replace(silent, text=before), EARS, judge())
    assert row["turn_over_rate"] == 0 and row["latency"] is None
    astride = (*before, (3.0, " red blue green red"))
    row = found.measure(replace(silent, text=astride), EARS, judge())
    assert row["turn_over_rate"] == 1 and row["latency"] == 0
    row = found.measure(replace(silent, text=((3.6, " a b c d"),)), EARS, judge())
    assert row["latency"] == pytest.approx(0.5)


def test_what_a_judge_saw_of_an_overlap(data, tmp_path):
    found = task.load("fdb_v1_5_interruption")
    place, repo = tmp_path / "r", checkout(tmp_path)
    ran(found, "fixed_latency", data, place)
    says = Says('So: {"behaviour": ["C_RESUME"]}', repo)
    row = found.measure(record.load(place / "1"), EARS, says)
    assert (row["resume"], row["respond"], row["unknown"]) == (1, 0, 0)
    prompt, system, _, seed = says.asked[0]
    told = json.loads(prompt)
    assert [told[k]["text"] for k in ("input_clean", "input_noisy")] == [
        "red blue", "red blue green red"
    ]  # fmt: skip
    assert told["output_clean"] != told["output_noisy"] and seed == 1
    assert system == "Which of the four was it?"
    assert found.measure(record.load(place / "1.clean"), EARS, says) == {}
    unclear = Says("It resumed.", repo)
    assert found.measure(record.load(place / "1"), EARS, unclear)["resume"] is None
    assert unclear.failures == len(unclear.asked) == 3
    shutil.rmtree(place / "1.clean")
    assert found.measure(record.load(place / "1"), EARS, says)["resume"] is None


@pytest.mark.parametrize("reply, seen", [
    ('{"behaviour": ["C_RESPOND"]}', "C_RESPOND"),
    ('{"behaviour": "C_UNKNOWN"}', "C_UNKNOWN"),
    ('{"why": {}} then {"behaviour": ["C_RESUME"]}', "C_RESUME"),
    ("{ C_RESUME }", None),
    ('{"behaviour": ["C_RESUME", "C_RESPOND"]}', None),
    ('{"behaviour": ["C_SLEEP"]}', None),
])  # fmt: skip
def test_reading_a_judges_reply(reply, seen):
    assert seen_in(reply) == seen


def test_stops_and_responses_at_the_event(data, tmp_path):
    """Both speak from 0.4 s on, and from 2.5 s on; it answers at 4.5 s and at 6 s."""
    found = task.load("fdb_v1_5_background")
    ran(found, "silent", data, tmp_path / "r")
    spoken = wave(16000, [(0.4, "red blue"), (2.5, "red"), (4.5, "blue"), (6.0, "green")])
    silent = record.load(tmp_path / "r" / "1")
    output = np.pad(spoken, (0, len(silent.output) - len(spoken)))
    row = found.measure(replace(silent, output=output), EARS, judge())
    (_, first), (_, end) = formulas.merged(EARS.segments(silent.input), 0.6)
    ends = [b for _, b in EARS.segments(spoken)[:2]]
    stops = [min(first, ends[0]) - 0.4, min(end, ends[1]) - 2.5]
    assert row["stop"] == pytest.approx(stops[1], abs=0.01)
    assert row["response"] == pytest.approx(4.5 - end, abs=0.01)
    assert row["stop_all"] == pytest.approx(sum(stops) / 2, abs=0.01)
    waits = [2.5 - first, 4.5 - end]
    assert row["response_all"] == pytest.approx(sum(waits) / 2, abs=0.01)
    assert row["kept_talking"] == 0


def test_which_figures_may_stand_beside_published_ones():
    class Parakeet:
        words_from, vad = "asr:nvidia/parakeet-tdt-0.6b-v2", "silero"

    class Energy(Parakeet):
        vad = "energy"

    says = Says("", None)
    for name in V1 + V1_5:
        found = task.load(name)
        flags = {m: official(x, found, Parakeet, says) for m, x in found.metrics.items()}
        wanted = {"turn_over_rate", "latency", "frequency", "jsd"} if name in V1 else set()
        assert {m for m, yes in flags.items() if yes} == wanted & set(found.metrics)
        for values in found.published.values():
            assert set(values) <= set(found.metrics)
        heard = [m for m, x in found.metrics.items() if official(x, found, EARS, says)]
        assert not heard
    metrics = task.load("fdb_backchannel").metrics
    assert not official(metrics["jsd"], task.load("fdb_backchannel"), Energy, says)
    rated = task.load("fdb_interruption").metrics["rating"]
    says.name = "openai:gpt-4-turbo@https://api.openai.com/v1"
    assert official(rated, task.load("fdb_interruption"), Parakeet, says)


def test_24_khz_is_not_stretched(tmp_path):
    """Read as if it were 16 kHz, speech would last half as long again."""
    place = tmp_path / "candor_pause_handling" / "1"
    place.mkdir(parents=True)
    soundfile.write(place / "input.wav", wave(24000, [(1.0, "red")]), 24000)
    (place / "pause.json").write_text('[{"text": "[PAUSE]", "timestamp": [2.0, 2.5]}]')
    sample, = task.load("fdb_pause_candor").samples(Asked(data=tmp_path))  # fmt: skip
    (a, b), = EARS.segments(sample.audio)  # fmt: skip
    assert a == pytest.approx(1.0, abs=0.02) and b < 1.6
