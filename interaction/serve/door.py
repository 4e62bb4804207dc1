"""Sockets: whoever connects and says nothing, or no longer reads, is let go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from interaction.errors import InputError

SILENT_S = 10.0  # without a request
UNREAD_S = 20.0  # in which a client takes nothing of what was sent

_Protocol: Any = AutoHTTPProtocol


class Prompt(_Protocol):
    """HTTP for those who ask for something: uvicorn would wait for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(SILENT_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, *request: Any) -> None:
        self._timer.cancel()
        super().handle_websocket_upgrade(*request)

    def _look(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(SILENT_S, self._look)


def listen(host: str, port: int) -> socket.socket:
    """Raises InputError when the address is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen at {host}:{port} ({error}); choose another --host or --port"
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; those it accepts have it too
        ms = round(1000 * UNREAD_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ms)
    return made
