"""A conversation that goes on over another connection keeps its background."""

from __future__ import annotations

import asyncio

from interaction.background.partner import Partner
from interaction.background.protocol import Final, Thinking, Told, ToolSpec
from interaction.background.toolbox import Toolbox
from interaction.conversation import Words
from interaction.grammar import Kind
from interaction.serve.call import Call
from interaction.serve.line import Stream

BUY = ToolSpec("buy", "buys things", {}, confirm=True)


def broken() -> tuple[Call, Partner]:
    """A call that ended with words unread and a thought unshown."""
    call = Call(Stream())
    call.partner = Partner(
        None, Toolbox(), lambda text: call.read(text, Kind.BACKGROUND), lambda told: None
    )
    call.questions.asks = True
    call.read("be kind", Kind.INSTRUCT)
    call.read("hello")
    call.thoughts.append(Told("task_1", Thinking("hm")))
    return call, call.partner


def words(call: Call) -> list[Words]:
    return call.brings()[1]


def test_what_waited_comes_along_in_its_order():
    async def main():
        (before, partner), after = broken(), Call(Stream())
        after.read("are you there")
        after.succeed(before)
        waited = [words(after), words(before)]
        partner._told(Told("task_1", Final("it is red")))
        await partner.close()
        return before, after, waited, [words(after), words(before)]

    before, after, waited, told = asyncio.run(main())
    said = [Words("be kind", Kind.INSTRUCT), Words("hello"), Words("are you there")]
    assert waited == [said, []]
    assert told == [[Words("it is red", Kind.BACKGROUND)], []]
    assert after.instructions == "be kind" and after.partner is before.partner
    assert after.thoughts == [Told("task_1", Thinking("hm"))]


def test_an_open_question_is_put_to_who_comes_back():
    async def main():
        (before, _), after = broken(), Call(Stream())
        asking = asyncio.create_task(before.questions.ask(BUY, {"what": "bread"}))
        await asyncio.sleep(0)
        (first,) = before.questions.news()
        after.questions.asks = True
        after.succeed(before)
        (again,) = after.questions.news()
        after.questions.answer(again.number, True)
        return first == again and await asking

    assert asyncio.run(main())


def test_a_client_that_cannot_ask_is_not_asked_on():
    async def main():
        (before, _), after = broken(), Call(Stream())
        after.succeed(before)
        async with asyncio.timeout(5):
            return await after.questions.ask(BUY, {})

    assert asyncio.run(main()) is False
