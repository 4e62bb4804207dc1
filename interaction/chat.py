"""Chat templates: messages to the tokens that a model was trained to continue.

A template is Jinja, as checkpoints ship it (`chat_template.jinja`, or a string in
`tokenizer_config.json`), and sees what Hugging Face `transformers` gives it; it runs in
Jinja's sandbox. The marks that it writes become tokens; those that stand in messages or in
descriptions of tools are text, like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from interaction.errors import InputError
from interaction.jsonfile import read_json
from interaction.modality.text import Text

Message = dict[str, Any]
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
VEIL = "\ufdd0"  # after what a mark may begin with; it means nothing in texts


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for training; here, its body."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} does not read ({error}); replace it") from None


def find_template(*directories: Path) -> str | None:
    """The template that comes with a checkpoint, or None."""
    for directory in directories:
        path = directory / "chat_template.jinja"
        if path.is_file():
            return _read_text(path)
        path = directory / "tokenizer_config.json"
        found = read_json(path).get("chat_template") if path.is_file() else None
        if isinstance(found, list):  # several, by name
            named = [t for t in found if isinstance(t, Mapping)]
            by_name = {t.get("name"): t.get("template") for t in named}
            found = by_name.get("default")
        if isinstance(found, str):
            return found
    return None


def special_tokens(*directories: Path) -> dict[str, str]:
    """The named tokens (`bos_token` …) of a checkpoint, for its template."""
    found: dict[str, str] = {}
    for directory in directories:
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            raw = read_json(directory / name) if (directory / name).is_file() else {}
            for token in _SPECIAL:
                value = raw.get(token)
                value = value.get("content") if isinstance(value, Mapping) else value
                if isinstance(value, str):
                    found[token] = value
    return found


def _tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **how)


def render(template: str, messages: Sequence[Message], **values: Any) -> str:
    """A conversation as text that ends where the model's answer begins.

    messages: {"role": ..., "content": text or a list of {"type": ...} parts}; values:
    what else the template reads. Raises InputError when the template refuses them.
    """

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    given = {"tools": None, "documents": None, "add_generation_prompt": True} | values
    try:
        return environment.from_string(template).render(messages=list(messages), **given)
    except Exception as error:  # a template is a program: it may raise anything
        text = " ".join(str(error).split())
        raise InputError(f"the chat template refuses this: {text}; use --raw") from None


def encode(
    text: Text, template: str, messages: Sequence[Message], **values: Any
) -> list[int]:
    """`render`, in tokens. Of `values`, those of `special_tokens` may be marks."""
    starts = text.starts()
    own = {name: value for name, value in values.items() if name in _SPECIAL}
    veiled = {name: _veil(value, starts) for name, value in values.items()} | own
    rendered = render(template, _veil(list(messages), starts), **veiled)
    return text.marked(rendered, VEIL)


def _veil(value: Any, starts: frozenset[str]) -> Any:
    """The same with no mark in any of its strings, and no beginning of one either: a
    template may put pieces together."""
    if isinstance(value, str):
        return "".join(c + VEIL if c in starts else c for c in value.replace(VEIL, ""))
    if isinstance(value, Mapping):
        return {_veil(k, starts): _veil(each, starts) for k, each in value.items()}
    if isinstance(value, list | tuple):
        return [_veil(each, starts) for each in value]
    return value
