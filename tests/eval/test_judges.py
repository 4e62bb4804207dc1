"""Judges: one over HTTP, against a server that others wrote; and replies that were kept."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from eval import on_time, record, task
from eval.commands.run import open_agent
from eval.ears import ears
from eval.endpoint import KEY
from eval.judge import judge
from eval.judges.openai import OpenAIJudge
from eval.replies import PLACE, Replies
from eval.run import run
from eval.sample import Span
from interaction.errors import InputError
from tests.background.conftest import Process


@pytest.fixture(scope="module")
def server():
    started = Process(
        "-m", "llmock.cli", "serve", "--port", "{port}", "--log-level", "error"
    )
    yield started
    started.end()


@pytest.fixture
def ask(server, tmp_path, monkeypatch):
    """A judge over the server, which is told what to do first."""
    monkeypatch.setenv(KEY, "sk-test")

    def made(*behaviors: dict, **given) -> OpenAIJudge:
        server.ask("/_llmock/reset", {})
        if behaviors:
            server.ask("/_llmock/scenario", {"behaviors": behaviors})
        kept = Replies(tmp_path / "kept" / "judge.jsonl")
        return OpenAIJudge("m", f"http://127.0.0.1:{server.port}/v1", kept, **given)

    return made


def requests(server) -> list[dict]:
    return [r["body"] for r in server.ask("/_llmock/requests")["requests"]]


def reply(text: str, times: int = 1) -> dict:
    return {"type": "reply", "text": text, "times": times}


def test_it_asks_once_and_keeps_the_reply(ask, server, tmp_path):
    one = ask(reply("4"))
    assert one.ask("Rate this.", "Be fair.", temperature=0.5, seed=3, top_p=0.9) == ["4"]
    (sent,) = requests(server)
    assert [m["content"] for m in sent["messages"]] == ["Be fair.", "Rate this."]
    assert (sent["temperature"], sent["seed"], sent["top_p"]) == (0.5, 3, 0.9)
    again = ask()
    assert again.ask("Rate this.", "Be fair.", temperature=0.5, seed=3, top_p=0.9) == ["4"]
    assert not requests(server) and again.failures == 0
    again.ask("Rate this.", "Be fair.", temperature=0.6, seed=3, top_p=0.9)
    assert len(requests(server)) == 1, "another temperature is another question"
    line = json.loads((tmp_path / "kept" / "judge.jsonl").read_text().splitlines()[0])
    assert line["replies"] == ["4"] and line["prompt"] == "Rate this."


def test_settings_of_the_models_own_are_not_sent(ask, server):
    ask(reply("4")).ask("Rate.", temperature=None)
    (sent,) = requests(server)
    assert not {"temperature", "seed", "top_p"} & sent.keys()


def test_three_replies(ask, server):
    assert ask(reply("5")).ask("Rate.", n=3) == ["5", "5", "5"]
    (sent,) = requests(server)
    assert sent["n"] == 3


def test_three_replies_of_an_endpoint_that_gives_one(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY, "sk-test")
    single = Process(str(Path(__file__).with_name("small_endpoint.py")), "{port}")
    try:
        url = f"http://127.0.0.1:{single.port}/v1"
        one = OpenAIJudge("m", url, Replies(tmp_path / "judge.jsonl"))
        assert one.ask("Rate.", n=3) == ["1", "2", "3"]
    finally:
        single.end()


def test_a_busy_endpoint_is_asked_again(ask):
    one = ask({"type": "fail", "status": 429, "times": 1}, reply("5"))
    assert one.ask("Rate.") == ["5"] and one.failures == 0


def test_no_reply_is_none_and_counted_and_not_kept(ask, tmp_path):
    one = ask({"type": "fail", "status": 500, "times": 10}, tries=2)
    assert one.ask("Rate.") is None and one.failures == 1
    one = ask({"type": "delay", "seconds": 20}, tries=1, silent_s=0.3)
    began = time.monotonic()
    assert one.ask("Rate.") is None and time.monotonic() - began < 5
    one.misread()
    assert one.failures == 2
    assert not (tmp_path / "kept").exists()
    assert ask(reply("5")).ask("Rate.") == ["5"]


def test_a_wrong_key_ends_in_one_line(ask):
    with pytest.raises(InputError, match="HTTP 401.*OPENAI_API_KEY"):
        ask({"type": "fail", "status": 401}).ask("Rate.")


def test_what_was_kept_is_replayed(ask, tmp_path):
    ask(reply("4")).ask("Rate this.", n=1)
    old = judge(f"replay:{tmp_path / 'kept' / 'judge.jsonl'}")
    assert old.name == "replay:m" and old.ask("Rate this.", n=1) == ["4"]
    assert old.failures == 0
    assert old.ask("Rate that.") is None and old.failures == 1


def test_kept_replies_that_cannot_be_used(tmp_path):
    file = tmp_path / "judge.jsonl"
    with pytest.raises(InputError, match="no such file"):
        judge(f"replay:{file}")
    line = {"key": "k", "model": "a", "replies": ["1"]}
    file.write_text("".join(json.dumps(line | {"model": m}) + "\n" for m in "ab"))
    with pytest.raises(InputError, match="has a, b"):
        judge(f"replay:{file}")
    file.write_text(json.dumps(line) + "\n" + json.dumps(line | {"replies": [1]}) + "\n")
    with pytest.raises(InputError, match="judge.jsonl:2"):
        judge(f"replay:{file}")


@pytest.mark.parametrize(
    "name, why",
    [
        ("openai:", "no model"),
        ("openai:m", "is not set"),
        ("openai:m@localhost:1", "no address"),
        ("openai:m@http://me:secret@host/v1", "holds a secret"),
        ("replay:", "no file"),
        ("nobody", "there are none, openai, oracle, replay"),
    ],
)
def test_judges_that_cannot_be(name, why, monkeypatch, tmp_path):
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv(PLACE, str(tmp_path / "judge.jsonl"))
    with pytest.raises(InputError, match=why):
        judge(name)


def test_where_replies_are_kept_can_be_said(monkeypatch, tmp_path, ask, server):
    monkeypatch.setenv(PLACE, str(tmp_path / "mine.jsonl"))
    ask(reply("2"))
    one = judge(f"openai:m@http://127.0.0.1:{server.port}/v1")
    assert one.ask("Rate.") == ["2"] and (tmp_path / "mine.jsonl").exists()


def test_an_oracle_knows_what_synthetic_samples_accept():
    knows = judge("oracle")

    def asked(said: str) -> str:
        return "Is it?\n" + json.dumps({"accepted": ["Red ball", "{ball"], "said": said})

    assert knows.ask(asked("red ball!")) == knows.ask(asked("{ball")) == ["Yes"]
    assert knows.ask(asked("red"), n=2) == ["No", "No"] and knows.failures == 0
    for other in ("Rate this.", '{"said": "a"}', '{"said": 1, "accepted": 2}'):
        assert knows.ask(other) is None
    assert knows.failures == 3
    with pytest.raises(InputError, match="--judge=oracle"):
        judge("oracle:file")


class Says:
    name, failures = "says", 0

    def __init__(self, *replies: str | None) -> None:
        self.replies, self.asked = list(replies), []

    def ask(self, prompt: str, **settings: object) -> list[str] | None:
        self.asked.append(json.loads(prompt.splitlines()[-1]))
        reply = self.replies.pop(0)
        return None if reply is None else [reply]

    def misread(self) -> None:
        self.failures += 1


def test_meanings_at_their_time_are_judged():
    said = [Span("red", 1.0, 1.3), Span("crimson", 5.2, 5.6), Span("now", 5.4, 5.5)]

    def judged(by) -> float | None:
        return on_time.judged(said, ["red"], (4.8, 5.0), by)

    assert judged(judge("none")) is None and judged(judge("oracle")) == 0
    by = Says("No.", "yes")
    assert judged(by) == 1
    assert by.asked == [{"accepted": ["red"], "said": w} for w in ("crimson", "now")]
    assert judged(Says(None)) is None
    vague = Says("Perhaps")
    assert judged(vague) is None and vague.failures == 1
    assert on_time.judged([], ["red"], (4.8, 5.0), judge("none")) is None


@pytest.mark.parametrize("name", ["timespeak_synth", "cuespeak_synth"])
@pytest.mark.parametrize("agent", ["oracle", "silent", "always_talk"])
def test_an_oracle_finds_what_words_alone_find(name, agent, tmp_path):
    found = task.load(name)
    samples = itertools.islice(found.samples(task.Asked()), 5)
    run(open_agent(agent, ""), samples, tmp_path, "lockstep")
    knows, using = judge("oracle"), ears("text_stream", "energy")
    rows = [found.measure(record.load(p), using, knows) for p in tmp_path.iterdir()]
    figures = {m: found.metrics[m].figure(m, rows) for m in ("macro_judged", "macro_0_5s")}
    assert figures["macro_judged"] == figures["macro_0_5s"] == (agent == "oracle")
    assert knows.failures == 0
