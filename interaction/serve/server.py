"""The process that serves: one room, several ways in.

GET /healthz   the process lives        GET /readyz   a conversation would be admitted
GET /metrics   for Prometheus           WS  /v1/native  `interaction.serve.messages`
GET /          a page to talk on
WS  /api/chat  Moshi's protocol         WS  /v1/live/sessions, /v1/realtime  OpenAI's
GET /v1/recordings  whether conversations are recorded, and on what terms
DELETE /v1/recordings/{name}  with the conversation's token: a recording is gone
DELETE /v1/snapshots  with a snapshot's token: it is gone, and what is held under it
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from socket import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from interaction.errors import InputError
from interaction.memory import look_for_garbage
from interaction.serve.archive import TERMS, TOKEN, Archive
from interaction.serve.away import Away
from interaction.serve.backstage import Backstage
from interaction.serve.door import Prompt, listen
from interaction.serve.engine import Engine
from interaction.serve.house import House
from interaction.serve.limits import Limits
from interaction.serve.live import Live
from interaction.serve.metrics import Metrics
from interaction.serve.moshi import Moshi
from interaction.serve.native import Native
from interaction.serve.page import Page
from interaction.serve.realtime import Realtime
from interaction.serve.room import CLOSE, STOPPING, Room
from interaction.serve.shelf import Shelf
from interaction.serve.wire import Wire


def _way_in(wire: type[Wire]) -> Callable[[WebSocket], Awaitable[None]]:
    async def come(socket: WebSocket) -> None:
        house: House = socket.app.state.house
        if no := house.turns_away(socket):
            await socket.close(1013 if no.crowded else 1008, no.why[:100])  # HTTP 403
            return
        house.connections += 1
        try:
            await socket.accept()
            await wire(house, socket).run()
        finally:
            house.connections -= 1

    return come


async def _knock(request: Request) -> Response:
    """Whether a WebSocket would be let in: browsers tell a page nothing of a refusal."""
    house: House = request.app.state.house
    if no := house.turns_away(request):
        return PlainTextResponse(f"{no.why}\n", 503 if no.crowded else 403)
    return PlainTextResponse("welcome; come with a WebSocket\n", 426)


async def _healthz(request: Request) -> Response:
    house: House = request.app.state.house
    lives = house.room.alive
    return PlainTextResponse(
        "ok\n" if lives else "the room has ended\n", 200 if lives else 503
    )


async def _readyz(request: Request) -> Response:
    house: House = request.app.state.house
    why = STOPPING if house.draining or not house.room.alive else house.room.refuses()
    return PlainTextResponse(f"{why or 'ok'}\n", 503 if why else 200)


async def _metrics(request: Request) -> Response:
    house: House = request.app.state.house
    return Response(
        house.metrics.text(house.room, len(house.away)), media_type="text/plain"
    )


async def _terms(request: Request) -> Response:
    """What a page asks its visitor's consent to, before a conversation."""
    house: House = request.app.state.house
    return JSONResponse({"records": house.archive is not None, "terms": TERMS})


async def _discard(request: Request) -> Response:
    """Whatever the token: who has none learns nothing."""
    house: House = request.app.state.house
    if why := house.limits.refuses(request):
        return PlainTextResponse(f"{why}\n", 403)
    if not (token := request.headers.get(TOKEN)):
        return PlainTextResponse(f"send the snapshot's token in {TOKEN}\n", 400)
    await house.away.forget(token)
    return Response(status_code=204)


async def _forget(request: Request) -> Response:
    house: House = request.app.state.house
    if why := house.limits.refuses(request):
        return PlainTextResponse(f"{why}\n", 403)
    if house.archive:
        try:
            name, token = request.path_params["name"], request.headers.get(TOKEN, "")
            await asyncio.wrap_future(house.archive.forget(name, token))
        except InputError as error:
            return PlainTextResponse(f"{error}\n", 403)
    return Response(status_code=204)


def app(
    engine: Engine,
    limits: Limits,
    temperature: float = 0.0,
    close: float = CLOSE,
    shelf: Shelf | None = None,
    archive: Archive | None = None,
    background: Callable[[], AbstractAsyncContextManager[Backstage]] | None = None,
) -> Starlette:
    """The room lives as long as the app does. temperature: of text and control tokens, for
    clients whose protocol has no word for it; close: share of a turn that ticks may take
    before nobody more is admitted; background: opened with the room."""
    metrics = Metrics(engine.slots, engine.holds)
    room = Room(engine, watch=metrics.watch, close=close)
    away = Away(room, metrics, limits.grace_s, shelf)
    house = House(room, limits, metrics, away, archive, temperature=temperature)

    @contextlib.asynccontextmanager
    async def lives(app: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if background:
                house.backstage = await stack.enter_async_context(background())
            stack.enter_context(metrics.compiles)
            house.room.start()
            sweeping = asyncio.create_task(house.away.sweep())
            try:
                yield
            finally:
                sweeping.cancel()
                await house.away.settle()
                await asyncio.to_thread(house.room.stop)
                if archive:
                    await asyncio.to_thread(archive.close)

    routes = [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
        Route("/v1/recordings", _terms),
        Route("/v1/recordings/{name}", _forget, methods=["DELETE"]),
        Route("/v1/snapshots", _discard, methods=["DELETE"]),
        Route("/v1/native", _knock),
        WebSocketRoute("/v1/native", _way_in(Native)),
        WebSocketRoute("/v1/live/sessions", _way_in(Live)),
        WebSocketRoute("/v1/realtime", _way_in(Realtime)),
        WebSocketRoute("/api/chat", _way_in(Moshi)),
        Route("/{path:path}", Page()),  # the last: it takes every other address
    ]
    made = Starlette(routes=routes, lifespan=lives)
    made.state.house = house
    return made


class Server(uvicorn.Server):
    """SIGTERM: nobody more is admitted; when the last conversation has ended, or after
    `drain_s`, the server stops. A second signal stops it now. What still runs then goes on
    the shelf, where there is one."""

    def __init__(self, app: Starlette, host: str, port: int, drain_s: float) -> None:
        house: House = app.state.house
        super().__init__(
            uvicorn.Config(
                app, host, port, log_level="warning", http=Prompt,
                ws_max_size=house.limits.message_bytes, ws_max_queue=8,
                ws_ping_interval=10.0, ws_ping_timeout=10.0, timeout_graceful_shutdown=5,
            )
        )  # fmt: skip
        self._house, self._drain_s = house, drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._house.draining or sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
            return
        self._house.draining = True
        threading.Thread(target=self._drain, daemon=True).start()

    def run(self, sockets: list[socket] | None = None) -> None:
        """Raises InputError when the address is not to be had."""
        # What stands by now stays. Looking through it again for garbage would hold a tick
        # up, and come too seldom for what connections leave.
        gc.collect()
        gc.freeze()
        look_for_garbage(rarely=False)
        super().run(sockets or [listen(self.config.host, self.config.port)])

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._house.close()
        await super().shutdown(sockets)

    def _drain(self) -> None:
        end = time.monotonic() + self._drain_s
        while self._house.room.guests and time.monotonic() < end:
            time.sleep(0.05)
        self.should_exit = True
