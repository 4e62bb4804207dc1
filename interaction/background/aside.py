"""A background for one conversation that runs without an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from interaction.background.backends import Backend
from interaction.background.partner import Partner
from interaction.background.protocol import Told
from interaction.background.show import titled
from interaction.background.toolbox import Toolbox
from interaction.background.tools.timer import Timer
from interaction.background.toolset import open_tools
from interaction.conversation import Event, Output, Words
from interaction.grammar import Kind


class Aside:
    """Context: the mind and its tools live in a thread. Tools that need the user's word
    ask in words. audio_at, frames_at: addresses of the sound that is recorded and of what
    is shown, if any. Raises InputError where they cannot begin."""

    def __init__(
        self,
        mind: Backend,
        servers: Path | None,
        folder: Path | None,
        audio_at: str = "",
        frames_at: str = "",
    ) -> None:
        self._mind, self._servers, self._folder = mind, servers, folder
        self._audio_at, self._frames_at = audio_at, frames_at
        self._words: list[Words] = []
        self._events: list[Event] = []
        self._now_s = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> Aside:
        begun: Future[None] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._live(begun),))
        self._thread.start()
        try:
            begun.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def typed(self, text: str) -> None:
        """By the user, in the turn that comes."""
        self._loop.call_soon_threadsafe(self._partner.typed, text)

    def brings(self) -> list[Words]:
        """What the interaction model is to read next."""
        with self._lock:
            words, self._words = self._words, []
        return words

    def follow(self, out: Output) -> list[Event]:
        """A turn of the conversation. -> what the background did since the last."""
        self._now_s = out.turn_s
        self._loop.call_soon_threadsafe(self._partner.follow, out)
        with self._lock:
            events, self._events = self._events, []
        return events

    async def _live(self, begun: Future[None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(self._mind.close)
                tools = await stack.enter_async_context(
                    open_tools(self._servers, self._folder)
                )
                timer = Timer(lambda label: self._partner.remind(label))
                self._partner = Partner(
                    self._mind, Toolbox([*tools, timer]), self._read, self._show,
                    owned=(timer,),
                )  # fmt: skip
                self._partner.memory.audio_at = self._audio_at
                self._partner.memory.frames_at = self._frames_at
                stack.push_async_callback(self._partner.close)
                begun.set_result(None)
                await self._over.wait()
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    def _read(self, text: str) -> bool:
        with self._lock:
            self._words.append(Words(text, Kind.BACKGROUND))
        return True

    def _show(self, told: Told) -> None:
        with self._lock:
            self._events.append(Event(self._now_s, "background", *titled(told)))
