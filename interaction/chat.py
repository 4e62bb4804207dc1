"""Chat templates: messages to the text that a model was trained to continue.

A template is Jinja, as checkpoints ship it (`chat_template.jinja`, or a string in
`tokenizer_config.json`); it runs in Jinja's sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from interaction.errors import InputError

Message = dict[str, Any]


def find_template(*directories: Path) -> str | None:
    """The template that comes with a checkpoint, or None."""
    for directory in directories:
        path = directory / "chat_template.jinja"
        if path.is_file():
            return path.read_text()
        path = directory / "tokenizer_config.json"
        if path.is_file():
            try:
                found = json.loads(path.read_text()).get("chat_template")
            except (ValueError, AttributeError) as error:
                raise InputError(f"{path} does not read ({error}); replace it") from None
            if isinstance(found, list):  # several, by name
                found = {t["name"]: t["template"] for t in found}.get("default")
            if found:
                return found
    return None


def render(template: str, messages: Sequence[Message], **values: Any) -> str:
    """A conversation as text that ends where the model's answer begins.

    messages: {"role": ..., "content": text or a list of {"type": ...} parts}. Raises
    InputError when the template refuses them.
    """

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = lambda x, **kw: json.dumps(x, ensure_ascii=False, **kw)
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template).render(
            messages=list(messages), add_generation_prompt=True, **values
        )
    except TemplateError as error:
        raise InputError(f"the chat template refuses this: {error}; use --raw") from None
