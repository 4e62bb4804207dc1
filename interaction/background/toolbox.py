"""Tools behind one face, and the rules that every call obeys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol

import jsonschema
import referencing.exceptions

from interaction.background.protocol import Artifact, ToolFinished, ToolSpec, ToolStarted
from interaction.errors import InputError

LONGEST_S = 30.0  # of a call
MOST = 4_000  # characters of a result that a backend is given
CUT = " … (cut: {} characters in all)"


class Result(NamedTuple):
    """text: for the backend; artifact: for the user's eyes."""

    text: str
    artifact: Artifact | None = None


class Tool(Protocol):
    """spec: what a backend is told. `call` raises InputError for what the caller can mend;
    when its task is cancelled it leaves nothing behind. `close` ends what it holds."""

    spec: ToolSpec

    async def call(self, arguments: dict[str, Any]) -> Result: ...

    async def close(self) -> None: ...


Confirm = Callable[[ToolSpec, dict[str, Any]], Awaitable[bool]]
"""Asks the user whether a tool may act."""


async def refuse(spec: ToolSpec, arguments: dict[str, Any]) -> bool:
    """Nobody is there to ask."""
    return False


def cut(text: str) -> str:
    """What a backend is given of a long text, and how long it is."""
    return text if len(text) <= MOST else text[:MOST] + CUT.format(len(text))


class Toolbox:
    """The tools that a conversation's tasks may call."""

    def __init__(self, tools: Iterable[Tool] = (), longest_s: float = LONGEST_S) -> None:
        self._tools: dict[str, Tool] = {}
        self._longest_s = longest_s
        for tool in tools:
            if tool.spec.name in self._tools:
                raise InputError(f"two tools are called {tool.spec.name}; rename one")
            self._tools[tool.spec.name] = tool

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    async def run(
        self, call: str, name: str, arguments: Any, confirm: Confirm = refuse
    ) -> AsyncIterator[ToolStarted | Artifact | ToolFinished]:
        """A call from its start to its end, which always comes: a crash, a hang or bad
        arguments are results too."""
        given = arguments if isinstance(arguments, dict) else {}
        yield ToolStarted(call, name, given)
        try:
            result = await self._result(name, arguments, confirm)
        except InputError as error:
            yield ToolFinished(call, name, False, cut(str(error)))
        except TimeoutError:
            why = f"no answer within {self._longest_s:g} s"
            yield ToolFinished(call, name, False, why)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            yield ToolFinished(call, name, False, cut(why))
        else:
            if result.artifact is not None:
                yield result.artifact
            yield ToolFinished(call, name, True, cut(result.text))

    async def _result(self, name: str, arguments: Any, confirm: Confirm) -> Result:
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise InputError(f"there is no tool {name}; there is: {known}")
        _check(arguments, tool.spec.parameters)
        if tool.spec.confirm and not await confirm(tool.spec, arguments):
            raise InputError("the user has not agreed to it")
        async with asyncio.timeout(self._longest_s):
            return await tool.call(arguments)

    async def close(self) -> None:
        await asyncio.gather(*(tool.close() for tool in self._tools.values()))


def _check(arguments: Any, schema: dict[str, Any]) -> None:
    """Raises InputError. The schema may be a stranger's: nothing that it points to is
    fetched."""
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind(schema, registry=referencing.Registry()).validate(arguments)
    except jsonschema.ValidationError as error:
        at = "".join(f".{part}" for part in error.absolute_path)
        raise InputError(f"arguments{at}: {error.message}") from None
    except referencing.exceptions.Unresolvable as error:
        raise InputError(f"the tool's own schema points elsewhere: {error}") from None


def described(arguments: dict[str, Any]) -> str:
    """A call's arguments, for people."""
    return ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in arguments.items()
    )
