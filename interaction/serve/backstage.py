"""A server's background model: one mind and one set of tools, a desk for every talk."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from interaction.background.backends import Backend
from interaction.background.desk import Limits
from interaction.background.partner import Partner
from interaction.background.protocol import (
    Artifact,
    Commentary,
    Failed,
    Final,
    Thinking,
    Told,
    ToolFinished,
    ToolStarted,
    Update,
)
from interaction.background.toolbox import Tool, Toolbox, described
from interaction.background.tools.builtin import builtin
from interaction.background.tools.mcp import open_servers
from interaction.background.tools.timer import Timer
from interaction.grammar import Kind
from interaction.serve import messages as m
from interaction.serve.call import Call

MOST = 100  # updates that wait for the next turn; the newest


class Backstage:
    """Shared by all conversations of a server; timers are each one's own."""

    def __init__(
        self,
        backend: Backend,
        tools: Sequence[Tool],
        limits: Limits = Limits(),  # noqa: B008  (frozen)
    ) -> None:
        self._backend, self._tools, self._limits = backend, tools, limits

    def join(self, call: Call) -> None:
        """Follow a conversation from now on. Tools that need the user's word are refused:
        no protocol has one for it yet."""

        def show(told: Told) -> None:
            call.thoughts.append(told)
            del call.thoughts[:-MOST]

        timer = Timer(lambda label: partner.remind(label))
        partner = Partner(
            self._backend,
            Toolbox([*self._tools, timer]),
            lambda text: call.read(text, Kind.BACKGROUND),
            show,
            limits=self._limits,
            owned=(timer,),
        )
        call.partner = partner


@contextlib.asynccontextmanager
async def opened(
    backend: Backend, servers: Path | None = None, folder: Path | None = None
) -> AsyncIterator[Backstage]:
    """With the tools that are built in and those of MCP servers, which run until the end.
    folder: to search. Raises InputError."""
    tools: list[Tool] = builtin(folder, lambda: datetime.now(UTC))
    async with contextlib.AsyncExitStack() as stack:
        for held in (backend, *tools):
            stack.push_async_callback(held.close)
        if servers:
            taken = [tool.spec.name for tool in tools]
            tools += await stack.enter_async_context(open_servers(servers, taken))
        yield Backstage(backend, tools)


def shown(told: Told, t_s: float) -> m.Happened:
    """An update as an event of a conversation."""
    kind = type(told.update).__struct_config__.tag
    return m.Happened(t_s, "background", str(kind), f"{told.task}: {line(told.update)}")


def line(update: Update) -> str:
    match update:
        case Thinking(text) | Commentary(text) | Final(text) | Failed(text):
            return text
        case ToolStarted(_, name, arguments):
            return f"{name}({described(arguments)})"
        case ToolFinished(_, name, ok, text):
            return f"{name}: {text}" if ok else f"{name} failed: {text}"
        case Artifact(kind, _, title):
            return title or kind
    raise AssertionError(update)
