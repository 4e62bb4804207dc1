"""Which MCP servers there are, by a file in the form that other hosts of MCP read:

    {"mcpServers": {
        "time": {"command": "mcp-server-time", "args": [], "env": {}},
        "shop": {"url": "https://shop.example/mcp", "headers": {"Authorization": "…"},
                 "confirm": ["buy"]}}}

confirm: true, and the user is asked before each call; a list, and it is asked before the
tools named there and no others; left out, and it is asked before whatever does not call
itself read-only (`readOnlyHint`), since a server that says nothing may do anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from interaction.errors import InputError
from interaction.jsonfile import read_json

STDIO = {"command", "args", "env", "cwd"}
HTTP = {"url", "headers"}
BOTH = {"type", "confirm", "disabled"}
TYPES = {"stdio": "command", "http": "url", "streamable-http": "url"}


class Command(NamedTuple):
    """A process that is spoken with over its standard streams."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None


class Address(NamedTuple):
    """Streamable HTTP. headers: may hold secrets, so that none of it is ever told."""

    url: str
    headers: dict[str, str] = {}


class Server(NamedTuple):
    """confirm: as in the file; None where it says nothing."""

    name: str
    at: Command | Address
    confirm: bool | frozenset[str] | None = None


def read_servers(path: Path) -> list[Server]:
    """Raises InputError that names the file, the server, the field and the mend."""
    given = read_json(path).get("mcpServers")
    if not isinstance(given, dict):
        raise InputError(f'{path}: no object "mcpServers"; write {{"mcpServers": {{…}}}}')
    servers = []
    for name, fields in given.items():
        try:
            if not isinstance(fields, dict):
                raise InputError('is no object; write {"command": …} or {"url": …}')
            if not _get(fields, "disabled", False):
                servers.append(_server(name, fields))
        except InputError as error:
            raise InputError(f"{path}: server {name}: {error}") from None
    return servers


def _server(name: str, fields: dict[str, Any]) -> Server:
    kinds = [kind for kind in ("command", "url") if kind in fields]
    if len(kinds) != 1:
        raise InputError(
            'command: needed, where there is no "url"; give the program or an address'
            if not kinds
            else 'command: there is a "url" too; keep one of them'
        )
    known = BOTH | (STDIO if kinds == ["command"] else HTTP)
    for field in fields:
        if field not in known:
            raise InputError(f"{field}: not known; use some of {', '.join(sorted(known))}")
    kind = _get(fields, "type", "stdio" if kinds == ["command"] else "http")
    if TYPES.get(kind) != kinds[0]:
        right = " or ".join(t for t, field in TYPES.items() if field == kinds[0])
        raise InputError(f"type: {kind} has no {kinds[0]}; write {right}, or leave it out")
    at = _command(fields) if kinds == ["command"] else _address(fields)
    return Server(name, at, _confirm(fields))


def _command(fields: dict[str, Any]) -> Command:
    command = _get(fields, "command", "")
    if not command:
        raise InputError("command: empty; name a program")
    args = _strings(fields, "args")
    cwd = _get(fields, "cwd", "") or None
    return Command(command, args, _mapping(fields, "env"), cwd)


def _address(fields: dict[str, Any]) -> Address:
    url = _get(fields, "url", "")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        fine = False
    if not fine:
        raise InputError("url: no address; it begins with https:// or http://")
    if "@" in parts.netloc:
        raise InputError("url: holds a password; send it by headers")
    return Address(url, _mapping(fields, "headers"))


def _confirm(fields: dict[str, Any]) -> bool | frozenset[str] | None:
    if "confirm" not in fields:
        return None
    if fields["confirm"] is True:
        return True
    if isinstance(fields["confirm"], list):
        return frozenset(_strings(fields, "confirm"))
    raise InputError("confirm: neither true nor a list; name tools, or write [] for none")


def _get(fields: dict[str, Any], field: str, default: Any) -> Any:
    """A field that is of its default's type."""
    value = fields.get(field, default)
    if type(value) is not type(default):
        raise InputError(f"{field}: is no {_NAMES[type(default)]}; write one")
    return value


_NAMES = {str: "string", bool: "true or false"}


def _strings(fields: dict[str, Any], field: str) -> tuple[str, ...]:
    value = fields.get(field, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f'{field}: is no list of strings; write ["…", "…"]')
    return tuple(value)


def _mapping(fields: dict[str, Any], field: str) -> dict[str, str]:
    value = fields.get(field, {})
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise InputError(f'{field}: is no object of strings; write {{"NAME": "…"}}')
    return value
