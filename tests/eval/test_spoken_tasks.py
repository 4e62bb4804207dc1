"""Big Bench Audio, HarmBench, Audio MultiChallenge, QIVD: layouts read, answers scored."""

from __future__ import annotations

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest

from eval import record as records
from eval import task
from eval.agent import Heard, Said, Solo
from eval.formulas.closed_answer import final
from eval.judge import judge
from eval.judges.openai import OpenAIJudge
from eval.replies import Replies
from eval.run import run
from eval.sample import Fault, Sample
from eval.spoken import TAIL_S
from eval.task import Asked
from eval.tasks.audio_multichallenge import conversation
from eval.tasks.qivd import holds
from interaction.errors import InputError
from tests.background.conftest import Process
from tests.eval.films import clip
from tests.eval.talks import EARS, held, lines, says, scored, sound, values


@pytest.fixture(scope="module")
def server():
    started = Process(
        "-m", "llmock.cli", "serve", "--port", "{port}", "--log-level", "error"
    )
    yield started
    started.end()


@pytest.fixture
def judged(server, tmp_path):
    def made(*texts: str, model: str = "m") -> OpenAIJudge:
        server.ask("/_llmock/reset", {})
        replies = [{"type": "reply", "text": text} for text in texts]
        server.ask("/_llmock/scenario", {"behaviors": replies})
        url = f"http://127.0.0.1:{server.port}/v1"
        return OpenAIJudge(model, url, Replies(tmp_path / "kept.jsonl"))

    return made


def sent(server) -> list[str]:
    bodies = [r["body"] for r in server.ask("/_llmock/requests")["requests"]]
    return [body["messages"][-1]["content"] for body in bodies]


def found(name: str, data, **asked) -> list[Sample | Fault]:
    return list(task.load(name).samples(Asked(data=data, **asked)))


# Big Bench Audio.


@pytest.mark.parametrize(
    "kind, reply, want",
    [
        ("formal_fallacies", "The argument is not deductively valid.", "invalid"),
        ("formal_fallacies", "It looks invalid, but the answer is: valid.", "valid"),
        ("formal_fallacies", "Invalid premises aside, it is valid", "valid"),
        ("formal_fallacies", "I do not know.", None),
        ("navigate", "No wait. The answer is **Yes**, not no.", "yes"),
        ("navigate", "Nothing. Nowhere.", None),
        ("web_of_lies", "Yes? I think: no", "no"),
        ("object_counting", "Two apples and three pears make five.", "5"),
        ("object_counting", "The answer is twenty-one, out of 30.", "21"),
        ("object_counting", "The answer is 12 of 15", "12"),
        ("object_counting", "forty", "40"),
        ("object_counting", "Someone often.", None),
    ],
)
def test_final_answers(kind, reply, want):
    assert final(reply, kind) == want


def test_big_bench_audio(tmp_path, server, judged):
    row = {"category": "navigate", "official_answer": "Yes", "id": 1}
    files = lines(tmp_path / "metadata.jsonl", [
        row | {"file_name": "data/q0.wav", "audio": None},
        row | {"file_name": "data/q0.wav", "audio": None, "category": "object_counting",
               "official_answer": 3},
        row | {"file_name": "data/none.wav", "audio": None},
        row | {"file_name": "data/q0.wav", "audio": None, "category": "poems"},
        {"file_name": "data/q0.wav", "category": "navigate", "audio": None},
    ])  # fmt: skip
    sound(tmp_path / "data" / "q0.wav", 44_100)
    assert files.exists()
    texts = ["yes", "I saw four"]
    agent = says(lambda s: texts[int(s.id[-5:])])
    held("big_bench_audio", agent, Asked(data=tmp_path), tmp_path / "run")
    by = judged("Yes.", "Hard to say")
    done = scored("big_bench_audio", tmp_path / "run", by)
    assert values(done) == {"right": 50.0, "judged": 100.0, "not_understood": 0.0}
    assert by.failures == 1 and done.rows["bba-00001"]["judged"] is None
    assert "object_counting" in sent(server)[1] and "I saw four" in sent(server)[1]
    assert "no such file" in done.faults["bba-00002"]
    assert "'poems'" in done.faults["bba-00003"]
    assert "official_answer" in done.faults["bba-00004"]
    assert values(scored("big_bench_audio", tmp_path / "run"))["judged"] is None


def test_big_bench_audio_as_a_table(tmp_path):
    wave = sound(tmp_path / "x.wav").read_bytes()
    row = {"audio": {"bytes": wave, "path": "q.wav"}, "category": "Formal Fallacies",
           "official_answer": "valid", "id": 7}  # fmt: skip
    (tmp_path / "data").mkdir()
    table = pyarrow.Table.from_pylist([row])
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train-0.parquet")
    (one,) = found("big_bench_audio", tmp_path)
    assert isinstance(one, Sample) and one.truth["category"] == "formal_fallacies"
    with pytest.raises(InputError, match="--data: missing"):
        found("big_bench_audio", None)


# HarmBench.

COLUMNS = ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString",
           "BehaviorID")  # fmt: skip


def behaviours(file, *rows) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerows([COLUMNS, *rows])


def test_harmbench(tmp_path, server, judged):
    """Stubs in place of behaviours."""
    behaviours(
        tmp_path / "harmbench_behaviors_text_all.csv",
        ("Do the first thing", "standard", "x", "", "", "first"),
        ("Do the second,\nin two lines", "standard", "x", "", "", "second"),
        ("A book", "copyright", "x", "", "", "book"),
        ("Odd", "musical", "x", "", "", "odd"),
        ("", "standard", "x", "", "", "empty"),
    )
    read = found("harmbench", tmp_path)
    assert [s.id for s in read] == [f"harmbench-{i:05}" for i in (0, 1, 3, 4)]
    assert "unknown category 'musical'" in read[2].why and "is empty" in read[3].why
    heard: dict[str, list] = {}

    class Listener:
        def __init__(self, sample: Sample) -> None:
            self.got = heard.setdefault(sample.id, [])

        def step(self, turn: Heard) -> Said:
            self.got.append(turn.text)
            return Said(text="I'm sorry." if len(self.got) == 2 else "")

        def close(self) -> None:
            pass

    held("harmbench", Solo("says", Listener), Asked(data=tmp_path), tmp_path / "run")
    assert heard["harmbench-00001"][0] == "Do the second,\nin two lines"
    assert not any(heard["harmbench-00001"][1:])
    assert len(heard["harmbench-00000"]) == TAIL_S / 0.2
    by = judged("no", "Yes")
    done = values(scored("harmbench", tmp_path / "run", by))
    assert done == {
        "attack_success_rate": None, "complied_own_prompt": 50.0, "refused_proxy": 100.0,
        "silent": 0.0,
    }  # fmt: skip
    assert "Do the first thing" in sent(server)[0] and "I'm sorry." in sent(server)[0]


def test_harmbench_by_the_checkouts_prompt(tmp_path, server, judged):
    behaviours(tmp_path / "b.csv", ("Do it", "standard", "x", "", "", "first"))
    held("harmbench", says(lambda s: "Done."), Asked(data=tmp_path / "b.csv"),
         tmp_path / "run")  # fmt: skip
    checkout = tmp_path / "checkout" / "deep"
    checkout.mkdir(parents=True)
    (checkout / "a.py").write_text('X = "LLAMA2_CLS_PROMPT"\n')
    (checkout / "eval_utils.py").write_text(
        'LLAMA2_CLS_PROMPT = {"description": "d", "prompt": """B: {behavior}\n'
        'G: {generation}"""}\n'
    )
    by = judged("yes", model="cais/HarmBench-Llama-2-13b-cls")
    by.official = checkout.parent
    done = scored("harmbench", tmp_path / "run", by)
    assert values(done)["attack_success_rate"] == 100.0
    assert done.figures["attack_success_rate"]["official"]
    assert sent(server) == ["B: Do it\nG: Done."]
    by = judged("yes")  # another model
    by.official = checkout.parent
    assert not scored("harmbench", tmp_path / "run", by).figures["attack_success_rate"][
        "official"
    ]
    by.official = tmp_path / "run"
    with pytest.raises(InputError, match="no LLAMA2_CLS_PROMPT"):
        scored("harmbench", tmp_path / "run", by)


def test_harmbench_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no harmbench_behaviors_text"):
        found("harmbench", tmp_path)
    (tmp_path / "b.csv").write_text("Behavior,BehaviorID\na,b\n")
    with pytest.raises(InputError, match="no column FunctionalCategory"):
        found("harmbench", tmp_path / "b.csv")


# Audio MultiChallenge.


def challenge(rubric, **more) -> dict:
    row = {"axis": "voice_editing", "id": "x", "rubric": rubric, "audio": None}
    for i in (1, 2):
        row[f"user_turn_{i}_audio"] = "a.wav"
        row[f"user_turn_{i}_transcript"] = f"question {i}"
    return row | {"assistant_turn_1_transcript": "theirs"} | more


@pytest.fixture
def conversations(tmp_path):
    rubric = json.dumps([{"criterion": "says one"}, "says two"])
    lines(tmp_path / "t.jsonl", [
        challenge(rubric),
        challenge(json.dumps(["says one"])),
        challenge("{no list"),
        challenge("[]"),
        challenge(rubric, user_turn_2_audio="gone.wav"),
        challenge(rubric, user_turn_1_audio=None),
    ])  # fmt: skip
    agent = says(lambda s: {8: " one ", 120: " two", 121: " three"})
    held("audio_multichallenge", agent, Asked(data=tmp_path), tmp_path / "run")
    return tmp_path


def test_a_conversation_is_held_live(conversations):
    (one, *_) = found("audio_multichallenge", conversations)
    assert [span.text for span in one.user] == ["question 1", "question 2"]
    assert one.user[1].t0 == pytest.approx(20.6) and one.turns * 0.2 == pytest.approx(41.2)
    stored = conversations / "run" / "audio_multichallenge" / one.id
    assert conversation(records.load(stored), EARS) == [
        ("user", "question 1"), ("assistant", "one"),
        ("user", "question 2"), ("assistant", "two three"),
    ]  # fmt: skip


def test_rubrics_by_conversation_and_by_item(conversations, server, judged):
    yes, no = '{"explanation": "", "criteria_met": true}', '{"criteria_met": false}'
    by = judged(yes, no, yes)
    done = scored("audio_multichallenge", conversations / "run", by)
    assert values(done) == {
        "apr_live_variant": 50.0, "ars_live_variant": 75.0, "answered": 100.0
    }  # fmt: skip
    assert "user: question 1\nassistant: one\nuser: question 2" in sent(server)[0]
    assert "says two" in sent(server)[1]
    assert not any(figure["official"] for figure in done.figures.values())
    why = {k[-1]: v for k, v in done.faults.items()}
    assert "rubric is no JSON" in why["2"] and "rubric has no items" in why["3"]
    assert "gone.wav" in why["4"] and "no sound in user_turn_1_audio" in why["5"]


def test_a_rubric_that_was_not_read_is_no_rating(conversations, judged):
    by = judged('{"criteria_met": true}', "I would say so", '{"criteria_met": true}')
    done = scored("audio_multichallenge", conversations / "run", by)
    assert by.failures == 1 and done.rows["audiomc-00000"]["apr_live_variant"] is None
    assert values(done)["apr_live_variant"] == 100.0
    assert done.figures["apr_live_variant"]["n"] == 1
    none = values(scored("audio_multichallenge", conversations / "run", judge("none")))
    assert none["apr_live_variant"] is None and none["ars_live_variant"] is None


def test_the_cards_prompt_is_used_where_it_is(conversations, server, judged):
    (conversations / "README.md").write_text(
        "# Card\n```\nother\n```\n````\nH «conversation_history» R «rubric_item»\n````\n"
    )
    agent = says(lambda s: "one")
    held("audio_multichallenge", agent, Asked(data=conversations), conversations / "card")
    scored("audio_multichallenge", conversations / "card", judged('{"criteria_met": true}'))
    assert sent(server)[0].startswith("H user: question 1\nassistant: one")


# QIVD.


def test_qivd(tmp_path, server, judged):
    clip(tmp_path / "c.mp4")
    clip(tmp_path / "mute.mp4", heard=False)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "c.mp4").read_bytes()[:900])
    row = {"file": "c.mp4", "question": "What is it?", "short": "a red ball", "id": 3}
    rows = [row, row | {"file": "gone.mp4"}, row | {"file": "cut.mp4"},
            row | {"file": "mute.mp4"}, row | {"file": "../c.mp4"},
            row | {"short": None}]  # fmt: skip
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, tmp_path / "metadata.parquet")
    with pytest.raises(InputError, match="no column 'video'; it has file, question, short"):
        found("qivd", tmp_path)
    with pytest.raises(InputError, match="--columns: no 'colour'"):
        found("qivd", tmp_path, columns={"colour": "x"})
    columns = {"video": "file", "answer": "short"}
    one, *faults = found("qivd", tmp_path, columns=columns)
    assert isinstance(one, Sample) and len(one.frames) == 5
    assert one.frames[1][0] == 0.2 and one.frames[0][1].shape == (2, 240, 320, 3)
    assert one.audio[:16_000].any() and not one.audio[20_000:].any()
    assert len(faults) == 5 and all(isinstance(f, Fault) for f in faults)
    assert "gone.mp4" in faults[0].why and "cut.mp4" in faults[1].why
    assert "soundtrack" in faults[2].why and "outside" in faults[3].why
    assert "short is None" in faults[4].why
    agent = says(lambda s: "That's the red ball, there.")
    run(agent, iter([one]), tmp_path / "run" / "qivd", "lockstep")
    done = values(scored("qivd", tmp_path / "run", judged("Yes")))
    assert done == {"judged": 100.0, "exact": 100.0}
    assert "a red ball" in sent(server)[0]
    assert values(scored("qivd", tmp_path / "run"))["judged"] is None


def test_words_of_an_answer_in_a_reply():
    assert holds("It is the Red ball!", "a red ball")
    assert not holds("A red, round ball", "red ball") and not holds("", "")
    assert not holds("reds", "red")
