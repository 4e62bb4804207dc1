"""The process that serves: one room, several ways in.

GET /healthz   the process lives        GET /readyz   a conversation would be admitted
GET /metrics   for Prometheus           WS  /v1/native  `interaction.serve.messages`
WS  /api/chat  Moshi's protocol         WS  /v1/live/sessions, /v1/realtime  OpenAI's
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from interaction.conversation import TURN_S
from interaction.errors import InputError
from interaction.serve.call import Call
from interaction.serve.engine import Engine, Full
from interaction.serve.limits import Limits
from interaction.serve.live import Live
from interaction.serve.metrics import Metrics
from interaction.serve.moshi import Moshi
from interaction.serve.native import Native
from interaction.serve.realtime import Realtime
from interaction.serve.room import CLOSE, STOPPING, Room
from interaction.serve.wire import Begun, Wire


@dataclass
class Held:
    """A conversation whose connection broke; no time passes for it."""

    call: Call
    turns: int
    delay: int
    until: float


@dataclass(eq=False)
class House:
    """What connections share: the room, who waits outside it, and the rules."""

    room: Room
    limits: Limits
    metrics: Metrics
    temperature: float = 0.0  # where a protocol says nothing of it
    draining: bool = False
    connections: int = 0
    held: dict[str, Held] = field(default_factory=dict)
    turn_ms: int = round(1000 * TURN_S)

    async def admit(self, call: Call, seed: int, temperature: float) -> None:
        """Raises InputError, saying why not."""
        try:
            if self.draining:
                raise Full(STOPPING)
            await asyncio.wrap_future(self.room.admit(call, seed, temperature))
        except Full:
            self.metrics.refused.inc()
            raise

    async def part(self, begun: Begun, held: bool) -> None:
        """A connection is over; its conversation too, unless it is held."""
        call, line, token = begun
        for why, n in line.dropped.items():
            self.metrics.dropped.labels(why).inc(n)
        if held and token and self.limits.grace_s:
            with contextlib.suppress(InputError):
                turns = await asyncio.wrap_future(self.room.hold(call))
                until = time.monotonic() + self.limits.grace_s
                self.held[token] = Held(call, turns, line.delay, until)
                return
        self.metrics.ended.inc()
        await asyncio.wrap_future(self.room.leave(call))

    async def back(self, token: str) -> Held:
        """Raises InputError."""
        held = self.held.pop(token, None)
        if held is None:
            raise InputError("no conversation waits under this token; begin a new one")
        return held

    async def rejoin(self, held: Held, call: Call) -> None:
        await asyncio.wrap_future(self.room.rejoin(held.call, call))

    async def sweep(self) -> None:
        """End what was held too long, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            for token in [t for t, held in self.held.items() if held.until < now]:
                self.metrics.ended.inc()
                await asyncio.wrap_future(self.room.leave(self.held.pop(token).call))


def _way_in(wire: type[Wire]) -> Callable[[WebSocket], Awaitable[None]]:
    async def come(socket: WebSocket) -> None:
        house: House = socket.app.state.house
        if why := house.limits.refuses(socket):
            await socket.close(1008, why[:100])  # before it is accepted: HTTP 403
            return
        if house.connections >= house.limits.connections:
            await socket.close(1013, "too many connections; try again later")
            return
        house.connections += 1
        try:
            await socket.accept()
            await wire(house, socket).run()
        finally:
            house.connections -= 1

    return come


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
        house.metrics.text(house.room, len(house.held)), media_type="text/plain"
    )


def app(
    engine: Engine, limits: Limits, temperature: float = 0.0, close: float = CLOSE
) -> Starlette:
    """The room lives as long as the app does. temperature: of text and control tokens, for
    clients whose protocol has no word for it; close: share of a turn that ticks may take
    before nobody more is admitted."""
    metrics = Metrics(engine.slots)
    room = Room(engine, watch=metrics.watch, close=close)
    house = House(room, limits, metrics, temperature)

    @contextlib.asynccontextmanager
    async def lives(app: Starlette) -> AsyncIterator[None]:
        house.room.start()
        sweeping = asyncio.create_task(house.sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.to_thread(house.room.stop)

    routes = [
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", _metrics),
        WebSocketRoute("/v1/native", _way_in(Native)),
        WebSocketRoute("/v1/live/sessions", _way_in(Live)),
        WebSocketRoute("/v1/realtime", _way_in(Realtime)),
        WebSocketRoute("/api/chat", _way_in(Moshi)),
    ]
    made = Starlette(routes=routes, lifespan=lives)
    made.state.house = house
    return made


class Server(uvicorn.Server):
    """SIGTERM: nobody more is admitted; when the last conversation has ended, or after
    `drain_s`, the server stops. A second signal stops it now."""

    def __init__(self, app: Starlette, host: str, port: int, drain_s: float) -> None:
        house: House = app.state.house
        super().__init__(
            uvicorn.Config(
                app, host, port, log_level="warning",
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

    def _drain(self) -> None:
        end = time.monotonic() + self._drain_s
        while self._house.room.guests and time.monotonic() < end:
            time.sleep(0.05)
        self.should_exit = True
