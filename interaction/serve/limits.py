"""What a client may do, and who may be one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection


@dataclass(frozen=True)
class Limits:
    """key: that clients must show, None for any client; origins: pages that browsers may
    come from, empty for any page of this server's own; connections: at most, with a
    conversation or not (one that is held has no connection, and does not count);
    message_bytes, messages_per_s, wrong: of one client, the last messages that make no
    sense; idle_s: without a message; grace_s: to come back after a broken connection;
    snapshot_s: between two snapshots of one conversation; life_s: of a session whose
    protocol tells when it expires."""

    key: str | None = None
    origins: tuple[str, ...] = ()
    connections: int = 64
    message_bytes: int = 4 << 20
    messages_per_s: int = 100
    wrong: int = 100
    idle_s: float = 30.0
    grace_s: float = 20.0
    snapshot_s: float = 1.0
    life_s: float = 24 * 3600.0

    def refuses(self, client: HTTPConnection) -> str | None:
        """Why this client is turned away; None when it is welcome."""
        origin = client.headers.get("origin")
        own = f"{client.url.scheme.replace('ws', 'http')}://{client.headers.get('host')}"
        if origin and origin not in (own, *self.origins):
            return f"pages of {origin} may not come here; start with --origin={origin}"
        if self.key and not secrets.compare_digest(_shown(client), self.key.encode()):
            return "no or a wrong key; send the header `Authorization: Bearer KEY`"
        return None


def _shown(client: HTTPConnection) -> bytes:
    """Browsers cannot set headers of a WebSocket: they may show it in the address."""
    scheme, _, key = client.headers.get("authorization", "").partition(" ")
    shown = key if scheme.lower() == "bearer" else client.query_params.get("key", "")
    return shown.strip().encode()
