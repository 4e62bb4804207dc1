"""VoiceBench's tasks: its layout read, answers scored, files written as its code wants."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pyarrow
import pyarrow.parquet
import pytest

from eval import task
from eval.crosschecks import voicebench as crosscheck
from eval.formats import voicebench as form
from eval.judge import judge
from eval.judges.openai import OpenAIJudge
from eval.replies import Replies
from eval.sample import Fault, Sample
from eval.spoken import TAIL_S
from eval.task import Asked
from interaction.errors import InputError
from tests.background.conftest import Process
from tests.eval.talks import EARS, held, lines, says, scored, sound, values
from tests.eval.voicebench_cases import HARM, IFEVAL

NAMES = [name for name in task.names() if name.startswith("voicebench_")]


def samples(name: str, data) -> list[Sample | Fault]:
    return list(task.load(name).samples(Asked(data=data)))


def whys(found) -> dict[str, str]:
    return {f.id: f.why for f in found if isinstance(f, Fault)}


def test_there_are_nine():
    assert len(NAMES) == 9
    for name in NAMES:
        found = task.load(name)
        assert found.published or name in (
            "voicebench_bbh", "voicebench_sdqa", "voicebench_wildvoice"
        )  # fmt: skip
        for row in found.published.values():
            assert row.keys() <= found.metrics.keys()


def test_a_table_as_it_is_downloaded(tmp_path):
    """48 kHz in stereo becomes 16 kHz mono; 20 s of silence follow."""
    wave = sound(tmp_path / "a.wav", 48_000, 2).read_bytes()
    kwargs = [{"keyword": None, "num_words": 3, "relation": "at least"}]
    rows = [
        {"audio": {"bytes": wave, "path": "a.wav"}, "prompt": f"p{i}", "key": i,
         "instruction_id_list": ["length_constraints:number_words"], "kwargs": kwargs}
        for i in range(3)
    ]  # fmt: skip
    (tmp_path / "ifeval").mkdir()
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "ifeval" / "test-0.parquet")
    found = samples("voicebench_ifeval", tmp_path)
    assert [s.id for s in found] == ["ifeval-00000", "ifeval-00001", "ifeval-00002"]
    one = found[1]
    assert isinstance(one, Sample) and one.user[0].text == "p1"
    assert one.user[0].t1 == pytest.approx(0.5, abs=1e-3)
    assert 0.5 + TAIL_S <= one.turns * 0.2 < 0.5 + TAIL_S + 0.21
    assert not one.audio[8_100:].any() and one.audio[:8_000].any()
    assert one.truth["row"] == {k: v for k, v in rows[1].items() if k != "audio"}


def test_what_is_broken_is_named_and_counted(tmp_path):
    folder = tmp_path / "openbookqa"
    good = {"prompt": "p", "reference": "A"}
    file = lines(folder / "test.jsonl", [
        good,
        good | {"audio": "gone.wav"},
        good | {"audio": "short.wav"},
        good | {"audio": "../outside.wav"},
        good | {"audio": None},
        {"reference": "A"},
        {"prompt": "p"},
        "{no json",
        "[1]",
        good | {"reference": "E"},
        good | {"unheard_of": 1},
    ])  # fmt: skip
    whole = sound(folder / "short.wav").read_bytes()
    (folder / "short.wav").write_bytes(whole[:5_000])
    sound(tmp_path / "outside.wav")
    (folder / "zz.parquet").write_bytes(b"PAR1 and nothing more")
    found = samples("voicebench_openbookqa", tmp_path)
    want = {
        1: "gone.wav: no such file", 2: "short.wav", 3: "outside", 4: "no sound in audio",
        5: "prompt is missing", 6: "reference is missing", 7: f"{file}:8: no JSON",
        8: f"{file}:9: no JSON object", 11: "zz.parquet: cannot be read from row 1 on",
    }  # fmt: skip
    said = whys(found)
    assert said.keys() == {f"openbookqa-{i:05}" for i in want}
    for i, why in want.items():
        assert why in said[f"openbookqa-{i:05}"], said
    run = tmp_path / "run"
    held("voicebench_openbookqa", says(lambda s: "B."), Asked(data=tmp_path), run)
    done = scored("voicebench_openbookqa", run)
    assert len(done.rows) == 2 and len(done.faults) == 10
    assert "reference 'E' is none of ABCD" in done.faults["openbookqa-00009"]
    assert done.figures["acc"]["n"] == 2 and done.figures["acc"]["n_failed"] == 10


def test_where_there_is_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="--data: missing"):
        samples("voicebench_bbh", None)
    with pytest.raises(InputError, match="bbh: no such folder"):
        samples("voicebench_bbh", tmp_path)
    (tmp_path / "bbh").mkdir()
    with pytest.raises(InputError, match="no .parquet and no .jsonl"):
        samples("voicebench_bbh", tmp_path)


def ifeval_rows(cases) -> list[dict]:
    return [
        {"key": i, "prompt": f"p{i}", "instruction_id_list": [name], "kwargs": [settings]}
        for i, (name, settings, *_) in enumerate(cases)
    ]


@pytest.fixture(scope="module")
def ifeval_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ifeval")
    rows = ifeval_rows(IFEVAL)
    rows[1]["prompt"] = rows[0]["prompt"]  # answered twice: the last answer counts
    rows.append(rows[2] | {"instruction_id_list": ["keywords:rhymes"], "prompt": "r"})
    lines(folder / "ifeval" / "test.jsonl", rows)
    texts = [*(response for _, _, response, *_ in IFEVAL), "anything"]
    agent = says(lambda s: texts[int(s.id[-5:])])
    held("voicebench_ifeval", agent, Asked(data=folder), folder / "run")
    return folder / "run"


def test_ifeval_is_the_mean_of_four(ifeval_run):
    done = scored("voicebench_ifeval", ifeval_run)
    assert "no instruction 'keywords:rhymes'" in done.faults[f"ifeval-{len(IFEVAL):05}"]
    n = len(IFEVAL)
    strict, loose = (sum(case[i] for case in IFEVAL) for i in (3, 4))
    found = values(done)
    assert found["final_each"] == pytest.approx(100 * (strict + loose) / 2 / n, abs=1e-5)
    # The first response followed its instruction; that to the same prompt does not.
    assert found["strict-prompt"] == pytest.approx(100 * (strict - 1) / n, abs=1e-5)
    assert found["loose-instruction"] == pytest.approx(100 * (loose - 1) / n, abs=1e-5)
    figure = done.figures["final"]
    assert figure["official"] and not done.figures["final_each"]["official"]
    assert figure["n"] == n and figure["n_failed"] == 1


def test_line_breaks_reach_the_evaluator(ifeval_run, tmp_path):
    faults = form.write(ifeval_run, "voicebench_ifeval", "ifeval.jsonl", EARS, tmp_path)
    assert not faults
    rows = [json.loads(x) for x in (tmp_path / "ifeval.jsonl").read_text().splitlines()]
    assert [r["response"] for r in rows[:-1]] == [case[2].strip() for case in IFEVAL]
    wanted = {"key", "prompt", "instruction_id_list", "kwargs", "response"}
    assert all(row.keys() == wanted for row in rows)


def test_refusals_and_silence(tmp_path):
    lines(
        tmp_path / "advbench" / "t.jsonl", [{"prompt": f"p{i}"} for i in range(len(HARM))]
    )
    agent = says(lambda s: HARM[int(s.id[-5:])][0])
    held("voicebench_advbench", agent, Asked(data=tmp_path), tmp_path / "run")
    found = values(scored("voicebench_advbench", tmp_path / "run"))
    n, silent = len(HARM), 2
    safe = sum(want for _, want in HARM)
    assert found["refusal_rate"] == pytest.approx(100 * safe / n)
    assert found["refused"] == pytest.approx(100 * (safe - silent) / n)
    assert found["silent"] == pytest.approx(100 * silent / n)


def test_what_is_not_understood_is_guessed_or_wrong(tmp_path):
    rows = [{"prompt": "p", "id": "navigate_1", "reference": "Yes"} for _ in range(6)]
    rows.append(rows[0] | {"id": "boolean_1"})
    lines(tmp_path / "bbh" / "t.jsonl", rows)
    texts = ["yes", "no", "hm", "hm", "hm", "hm", "yes"]
    held("voicebench_bbh", says(lambda s: texts[int(s.id[-5:])]), Asked(data=tmp_path),
         tmp_path / "run")  # fmt: skip
    done = scored("voicebench_bbh", tmp_path / "run")
    found = values(done)
    assert found["right"] == pytest.approx(100 / 6, abs=1e-5)
    assert found["not_understood"] == pytest.approx(400 / 6, abs=1e-5)
    assert found["acc"] == pytest.approx(100 * 4 / 6, abs=1e-5)  # seed 0: 1 1 0 1
    assert "boolean_1" in done.faults["bbh-00006"]
    assert scored("voicebench_bbh", tmp_path / "run").figures == done.figures


@pytest.fixture(scope="module")
def server():
    started = Process(
        "-m", "llmock.cli", "serve", "--port", "{port}", "--log-level", "error"
    )
    yield started
    started.end()


def judged(server, tmp_path, *texts: str) -> OpenAIJudge:
    server.ask("/_llmock/reset", {})
    replies = [{"type": "reply", "text": text} for text in texts]
    server.ask("/_llmock/scenario", {"behaviors": replies})
    url = f"http://127.0.0.1:{server.port}/v1"
    return OpenAIJudge("gpt-4o-mini", url, Replies(tmp_path / "kept.jsonl"))


def test_ratings_by_the_official_prompt(server, tmp_path):
    data, run, checkout = tmp_path, tmp_path / "run", tmp_path / "checkout"
    lines(data / "commoneval" / "t.jsonl", [{"prompt": "say {response}"}, {"prompt": "p"}])
    held("voicebench_commoneval", says(lambda s: "well"), Asked(data=data), run)
    checkout.mkdir()
    (checkout / "api_judge.py").write_text(
        'raise SystemExit("not run")\n'
        'meta_prompt_open = """\nRATE {prompt}: {response}"""\n'
    )
    by = judged(server, tmp_path, "4", "as good as it gets")
    by.official = checkout
    done = scored("voicebench_commoneval", run, by)
    found = values(done)
    assert found == {"gpt": 4.0, "gpt_own_prompt": None, "answered": 100.0}
    assert done.rows["commoneval-00001"]["gpt"] is None, "no rating is no 0"
    assert by.failures == 3 and done.figures["gpt"]["judge_failures"] == 3
    assert done.figures["gpt"]["official"] and done.figures["gpt"]["n"] == 1
    sent = server.ask("/_llmock/requests")["requests"][0]["body"]
    assert sent["messages"][1]["content"] == "\nRATE say well: well"
    assert (sent["temperature"], sent["top_p"], sent["n"]) == (0.5, 0.95, 3)


def test_answers_compared_with_a_reference(server, tmp_path):
    lines(tmp_path / "sd-qa" / "usa.jsonl", [{"prompt": "who", "reference": "Ann"}])
    held("voicebench_sdqa", says(lambda s: "Ann"), Asked(data=tmp_path), tmp_path / "run")
    by = judged(server, tmp_path, "Yes")
    found = values(scored("voicebench_sdqa", tmp_path / "run", by))
    assert found["gpt_own_prompt"] == 100.0 and found["gpt"] is None
    sent = server.ask("/_llmock/requests")["requests"][0]["body"]["messages"][1]["content"]
    assert "Ann" in sent and "who" in sent and "{" not in sent
    none = values(scored("voicebench_sdqa", tmp_path / "run", judge("none")))
    assert none == {"gpt": None, "gpt_own_prompt": None, "answered": 100.0}


EVALUATORS = """
class Harm:
    def evaluate(self, data):
        refused = [WORD in d["response"].lower() for d in data]
        return {"refusal_rate": sum(refused) / len(data)}

evaluator_mapping = {"harm": Harm}
"""


@pytest.fixture
def refusals(tmp_path):
    """A run and two checkouts: what counts as a refusal is "sorry", and "sorrow"."""
    texts = ["sorry", "fine", "so sorry"]
    rows = [{"prompt": f"p{i}"} for i in range(3)] + [{"prompt": "p", "audio": "gone.wav"}]
    lines(tmp_path / "advbench" / "t.jsonl", rows)
    held("voicebench_advbench", says(lambda s: texts[int(s.id[-5:])]),
         Asked(data=tmp_path), tmp_path / "run")  # fmt: skip
    for word in ("sorry", "sorrow"):
        folder = tmp_path / word / "src" / "evaluator"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f'WORD = "{word}"\n' + EVALUATORS)
    return tmp_path


def crosschecked(refusals, checkout: str):
    found = task.load("voicebench_advbench")
    return crosscheck.check(refusals / "run", "voicebench_advbench", found, EARS,
                            judge("none"), refusals / checkout, sys.executable)  # fmt: skip


def test_crosscheck_runs_the_checkouts_code(refusals):
    done = crosschecked(refusals, "sorry")
    assert [line.id for line in done.lines] == [
        "all", "advbench-00000", "advbench-00001", "advbench-00002"
    ]  # fmt: skip
    assert all(line.agrees for line in done.lines)
    assert done.lines[0].ours == pytest.approx(200 / 3)
    assert any("advbench-00003 left out" in note for note in done.notes)
    other = crosschecked(refusals, "sorrow")
    assert [line.agrees for line in other.lines] == [False, False, True, False]
    with pytest.raises(InputError, match="harm did not run: ModuleNotFoundError"):
        crosschecked(refusals, "run")


def test_the_commands(refusals):
    """run, export and crosscheck as they are typed."""
    out = refusals / "typed"
    for command in (
        ["run", "--tasks=voicebench_advbench", "--agent=silent", f"--data={refusals}",
         f"--output_path={out}", "--vad=energy"],
        ["export", str(out), "--format=voicebench", f"--output={refusals / 'x'}",
         "--vad=energy"],
        ["crosscheck", str(out), f"--official-repo={refusals / 'sorry'}", "--vad=energy"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "eval", *command], capture_output=True, text=True
        )
        # Silence is a refusal for ours, and not for this checkout.
        assert done.returncode == (command[0] == "crosscheck"), done.stderr[-2000:]
    rows = (refusals / "x" / "advbench.jsonl").read_text().splitlines()
    assert [json.loads(row)["response"] for row in rows] == ["", "", ""]
    results = json.loads((out / "results.json").read_text())["results"]
    figure = results["voicebench_advbench"]["refusal_rate"]
    assert figure["value"] == 100.0 and figure["n_failed"] == 1


def test_samples_do_not_depend_on_a_limit(refusals):
    found = task.load("voicebench_advbench")
    some = list(itertools.islice(found.samples(Asked(data=refusals, limit=2)), 2))
    assert [s.id for s in some] == ["advbench-00000", "advbench-00001"]
