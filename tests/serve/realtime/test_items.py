"""What is told of a conversation, where no server can be made to bring it about."""

from __future__ import annotations

import numpy as np
import pytest

from interaction.errors import InputError
from interaction.serve.realtime_events import Settings
from interaction.serve.realtime_items import KEPT, MOST, QUIET_MS, Items, Speech, message
from interaction.serve.realtime_reply import CALLS, Reply

TURN = np.full(3200, 0.1, np.float32)


def named(name: str) -> dict:
    return message(name, "user", "completed", [])


def test_an_utterance_ends_when_no_word_comes():
    """It stands where it began, before what the agent said meanwhile."""
    items = Items()
    items.add(named("before"))
    speech = Speech(items)
    assert speech.quiet(9_000, True) == []
    (began, started), (_, first) = speech.word(" hello", 1_000, True)
    assert began == "input_audio_buffer.speech_started" and started["audio_start_ms"] == 750
    items.add(named("meanwhile"))
    (_, second), (_, third) = speech.word(" th", 1_500, True) + speech.word(
        "ere", 1_600, True
    )
    assert first["delta"] + second["delta"] + third["delta"] == "hello there"
    assert speech.quiet(1_600 + QUIET_MS - 1, True) == []
    told = dict(speech.quiet(1_600 + QUIET_MS, True))
    assert list(told) == [
        "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
        "conversation.item.added", "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]  # fmt: skip
    assert told["input_audio_buffer.speech_stopped"]["audio_end_ms"] == 1_600
    assert told["input_audio_buffer.committed"]["previous_item_id"] == "before"
    heard = told["conversation.item.input_audio_transcription.completed"]
    assert heard["transcript"] == "hello there" and heard["usage"]["seconds"] == 0.85
    assert items.last == "meanwhile"
    assert len(speech.word(" again", 5_000, False)) == 1  # no transcript is wanted


def test_what_is_kept_and_what_is_said_at_once_are_bounded():
    items = Items()
    for n in range(KEPT + 3):
        items.add(named(str(n)))
    with pytest.raises(InputError, match=f"{KEPT} are kept"):
        items.find("2")
    assert items.find("3") and items.last == str(KEPT + 2)
    speech = Speech(items)
    told = speech.word("x" * (MOST + 1), 1_000, True) + speech.word("y", 1_200, True)
    assert [kind for kind, _ in told].count("input_audio_buffer.speech_started") == 2
    reply = Reply(items, Settings(), "conv")
    for _ in range(CALLS + 1):
        assert not reply.long
        reply.call("delegate", "{}")
    assert reply.long
    reply = Reply(items, Settings(), "conv")
    reply.say("x" * (MOST + 1), TURN)
    assert reply.long


def test_nothing_can_be_truncated_that_was_not_sent():
    items = Items()
    reply = Reply(items, Settings(), "conv")
    told = dict(reply.say("hello", TURN) + reply.say(" there", TURN))
    item = told["response.output_audio.delta"]["item_id"]
    with pytest.raises(InputError, match="audio_end_ms: 401"):
        items.truncate(item, 401)
    items.truncate(item, 300)
    with pytest.raises(InputError, match="audio_end_ms: 350; the item has 300 ms"):
        items.truncate(item, 350)
    items.add(named("user's"))
    with pytest.raises(InputError, match="item_id"):
        items.truncate("user's", 0)


def test_text_alone_begins_with_a_word():
    """Asked for, of a model that speaks and does not write yet."""
    reply = Reply(Items(), Settings(), "conv", modality="text")
    assert reply.say("", TURN) == [] and not reply.begun
    kinds = [kind for kind, _ in reply.say("hello", TURN)]
    assert kinds[-1] == "response.output_text.delta" and reply.begun
