"""Serve live conversations.

    python -m interaction.serve --checkpoint=nano --port=8080

Every conversation has a slot of the device's state; all take a turn every 200 ms. When no
slot is free, or ticks come close to their deadline, new conversations are refused with the
reason, and those that run go on as they were. SIGTERM lets them end first.

The address itself is a page to talk on. Clients: `interaction.serve.client` (WebSocket
/v1/native), the SDK of OpenAI (Live and Realtime, under /v1) and Moshi's (/api/chat).
/healthz, /readyz, /metrics.
Nothing that is said is kept, unless --record is given and the client consents; state of
conversations goes to disk with --snapshots alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from pathlib import Path

from interaction.background import choice
from interaction.background.choice import FORMS
from interaction.errors import InputError, run_command
from interaction.serve.limits import Limits

KEY = "INTERACTION_KEY"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=f"A key that clients must show is taken from {KEY}: `Authorization: Bearer "
        "KEY`.",
    )
    add = parser.add_argument
    add("--checkpoint", default="nano", help="name or directory (nano)")
    add("--host", default="127.0.0.1", help="address to listen at (this machine alone)")
    add("--port", type=int, default=8080)
    add("--slots", type=int, default=16, help="conversations at once (16)")
    add("--temperature", type=float, default=0.0,
        help="for clients that do not choose one (0: what is likeliest)")  # fmt: skip
    add("--close", type=float, default=0.85, metavar="SHARE",
        help="of 200 ms that ticks may take before nobody more comes (0: all)")  # fmt: skip
    add("--drain", type=float, default=30.0, metavar="S",
        help="after SIGTERM, seconds for conversations to end in (30)")  # fmt: skip
    add("--grace", type=float, default=Limits.grace_s, metavar="S",
        help="seconds to come back in after a broken connection (20)")  # fmt: skip
    add("--idle", type=float, default=Limits.idle_s, metavar="S",
        help="seconds without a message that end a conversation (30)")  # fmt: skip
    add("--snapshots", type=Path, metavar="DIR",
        help="for conversations to be taken up again, at this or another server: those "
        "that break off, that run when it stops, that clients ask for")  # fmt: skip
    add("--keep", type=float, default=86_400.0, metavar="S",
        help="seconds that a snapshot can be resumed in (a day)")  # fmt: skip
    add("--record", type=Path, metavar="DIR",
        help="store here sound, words and events of clients that consent")  # fmt: skip
    add(
        "--background",
        default="none",
        metavar="MIND",
        help=f"what the model delegates goes to: {FORMS} (none: to clients that take it)",
    )
    add(
        "--tools",
        type=Path,
        metavar="FILE",
        help="tools of MCP servers, for the background: mcp.json",
    )
    add("--folder", type=Path, metavar="DIR", help="text files that it may search")
    add("--origin", action="append", default=[],
        help="a page elsewhere that browsers may come from")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    key = os.environ.get(KEY)
    if args.host not in ("127.0.0.1", "::1", "localhost") and not key:
        raise InputError(f"--host={args.host} is open to others: set {KEY} to a key")
    try:
        from interaction.serve.server import Server, app
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is missing: pip install 'interaction[serve]'"
        ) from None
    from interaction.package import open_package
    from interaction.serve.archive import Archive
    from interaction.serve.backstage import opened
    from interaction.serve.engine import Engine
    from interaction.serve.shelf import Shelf

    thinker = choice.mind(args.background, args.tools, args.folder)
    limits = Limits(
        key=key, origins=tuple(args.origin), idle_s=args.idle, grace_s=args.grace,
        connections=4 * args.slots,
    )  # fmt: skip
    print(f"opening {args.checkpoint} with {args.slots} slots ...", file=sys.stderr)
    package = open_package(args.checkpoint)
    shelf = args.snapshots and Shelf(args.snapshots, package.cfg, args.keep)
    archive = args.record and Archive(args.record)
    serves = app(
        Engine(package, args.slots), limits, args.temperature, args.close, shelf, archive,
        functools.partial(opened, thinker, args.tools, args.folder) if thinker else None,
    )  # fmt: skip
    server = Server(serves, args.host, args.port, args.drain)
    where = f"[{args.host}]" if ":" in args.host else args.host
    print(f"open http://{where}:{args.port}/ to talk", file=sys.stderr, flush=True)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    run_command(main)
