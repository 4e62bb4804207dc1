"""A background model that does what a file says: for tests and trials.

    - match: weather in (\\w+)
      steps:
        - think: it is about {1}
        - say: let me look
        - call: weather
          arguments: {city: "{1}"}
        - wait_s: 1.5
        - final: it is {result} there

A list of rules, as YAML or JSON. The first whose regular expression is found in the
directive, or else in what the user said or typed last, whatever the case, is followed.
{1} is its first group, {result} what the last call gave. The last step is `final`, `fail`
(why, in words) or `lose: true`, as if the connection broke.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from interaction.background.backends import Lost
from interaction.background.protocol import (
    Commentary,
    Context,
    Failed,
    Final,
    Thinking,
    ToolFinished,
    Update,
)
from interaction.background.toolbox import Confirm, Toolbox
from interaction.errors import InputError

NO_RULE = "nothing in the script is about that"
TEXTS: dict[str, Callable[[str], Update]] = {
    "think": Thinking,
    "say": Commentary,
    "final": Final,
    "fail": Failed,
}
ENDS = ("final", "fail", "lose")
STEPS = (*TEXTS, "call", "wait_s", "lose")
HOLE = re.compile(r"\{(\d+|result)\}")


class Rule(NamedTuple):
    """steps: (what, its value, arguments of a call)."""

    match: re.Pattern[str]
    steps: tuple[tuple[str, Any, dict[str, Any]], ...]


class ScriptedBackend:
    """sleep: waits; tests give one that does not."""

    def __init__(
        self, path: Path, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._rules, self._sleep = read_rules(path), sleep

    async def run(
        self, context: Context, tools: Toolbox, confirm: Confirm
    ) -> AsyncIterator[Update]:
        rule, values = self._rule(context)
        if rule is None:
            yield Failed(NO_RULE)
            return
        for n, (what, value, arguments) in enumerate(rule.steps):
            if what == "wait_s":
                await self._sleep(value)
            elif what == "lose":
                raise Lost("the script says so")
            elif what == "call":
                given = filled(arguments, values)
                async for update in tools.run(f"call{n}", value, given, confirm):
                    yield update
                    if isinstance(update, ToolFinished):
                        values["result"] = update.text
            else:
                yield TEXTS[what](filled(value, values))

    def _rule(self, context: Context) -> tuple[Rule | None, dict[str, str]]:
        for text in filter(None, (context.directive, last_words(context))):
            for rule in self._rules:
                if found := rule.match.search(text):
                    groups = enumerate([found[0], *found.groups()])
                    return rule, {str(n): group or "" for n, group in groups}
        return None, {}

    async def close(self) -> None:
        """Nothing is held."""


def last_words(context: Context) -> str:
    """What the user said or typed last."""
    said = [(said.end_s, said.text) for said in context.said if said.who == "user"]
    typed = [(it.t_s, it.text) for it in context.happened if it.kind == "typed"]
    return max(said + typed, key=lambda each: each[0], default=(0.0, ""))[1]


def filled(value: Any, values: dict[str, str]) -> Any:
    """A value with its holes filled, however deep they are."""
    if isinstance(value, str):
        return HOLE.sub(lambda hole: values.get(hole[1], ""), value)
    if isinstance(value, dict):
        return {name: filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    return value


def read_rules(path: Path) -> list[Rule]:
    """Raises InputError that names the file, the rule, the step and the mend."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} does not read ({error}); replace it") from None
    if not isinstance(given, list):
        raise InputError(f"{path} holds no list of rules; write - match: …")
    rules = []
    for n, rule in enumerate(given, 1):
        try:
            rules.append(_rule(rule))
        except InputError as error:
            raise InputError(f"{path}: rule {n}: {error}") from None
    return rules


def _rule(given: Any) -> Rule:
    if not isinstance(given, dict) or set(given) != {"match", "steps"}:
        raise InputError("is not made of match and steps; write these two")
    try:
        match = re.compile(given["match"], re.IGNORECASE)
    except (re.error, TypeError) as error:
        raise InputError(f"match: no regular expression ({error}); mend it") from None
    if not isinstance(given["steps"], list) or not given["steps"]:
        raise InputError("steps: no list of steps; write at least - final: …")
    steps = []
    for n, step in enumerate(given["steps"], 1):
        try:
            steps.append(_step(step, match.groups))
            ends, last = steps[-1][0] in ENDS, n == len(given["steps"])
            if ends != last:
                how = "the rule; put it last" if ends else f"nothing; add one of {ENDS}"
                raise InputError(f"ends {how}")
        except InputError as error:
            raise InputError(f"step {n}: {error}") from None
    return Rule(match, tuple(steps))


def _step(given: Any, groups: int) -> tuple[str, Any, dict[str, Any]]:
    fields = set(given) if isinstance(given, dict) else set()
    whats = fields & set(STEPS)
    if len(whats) != 1 or fields - whats - ({"arguments"} if "call" in whats else set()):
        raise InputError(f"is not one of {', '.join(STEPS)}; write one")
    (what,) = whats
    value, arguments = given[what], given.get("arguments", {})
    if what == "lose":
        fine, want = value is True, "true"
    elif what == "wait_s":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fine, want = number and 0 <= value < float("inf"), "seconds"
    else:
        fine, want = isinstance(value, str) and bool(value), "text"
    if not fine:
        raise InputError(f"{what}: {value!r} is wrong; write {want}")
    if not isinstance(arguments, dict):
        raise InputError("arguments: no mapping; write name: value")
    for hole in HOLE.findall(f"{value} {arguments}"):
        if hole != "result" and int(hole) > groups:
            raise InputError(f"{{{hole}}}: match has {groups} groups; add one")
    return what, value, arguments
