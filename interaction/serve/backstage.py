"""A server's background model: one mind and one set of tools, a desk for every talk."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from interaction.background.backends import Backend
from interaction.background.desk import Limits
from interaction.background.partner import Partner
from interaction.background.protocol import Told
from interaction.background.show import titled
from interaction.background.toolbox import Tool, Toolbox
from interaction.background.tools.timer import Timer
from interaction.grammar import Kind
from interaction.serve import messages as m
from interaction.serve.call import Call
from interaction.serve.line import Numbered

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
        """Follow a conversation from now on."""

        def show(told: Told) -> None:
            call.thoughts.append(told)
            del call.thoughts[:-MOST]

        timer = Timer(lambda label: partner.remind(label))
        partner = Partner(
            self._backend,
            Toolbox([*self._tools, timer]),
            lambda text: call.read(text, Kind.BACKGROUND),
            show,
            # Protocols whose turns have no numbers have no way to click either.
            call.questions.ask if isinstance(call.line, Numbered) else None,
            limits=self._limits,
            owned=(timer,),
        )
        call.partner = partner


@contextlib.asynccontextmanager
async def opened(
    backend: Backend, servers: Path | None = None, folder: Path | None = None
) -> AsyncIterator[Backstage]:
    """With the tools of `open_tools`. Raises InputError."""
    from interaction.background.toolset import open_tools  # of an extra

    async with open_tools(servers, folder) as tools:
        try:
            yield Backstage(backend, tools)
        finally:
            await backend.close()


def shown(told: Told, t_s: float) -> m.Happened:
    """An update as an event of a conversation."""
    return m.Happened(t_s, "background", *titled(told))
