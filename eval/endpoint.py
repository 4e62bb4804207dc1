"""Endpoints that speak OpenAI's protocol, hosted or local: MODEL, or MODEL@URL."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from interaction.errors import InputError

KEY = "OPENAI_API_KEY"
FATAL = (401, 403, 404)  # a key or a model that is wrong stays wrong


def client(model: str, url: str, option: str, tries: int, silent_s: float) -> Any:
    """The endpoint's client. url: "" for OpenAI's own. Raises InputError without model,
    key or package."""
    try:
        import httpx2
        import openai
    except ImportError:
        raise InputError(
            f"--{option}: the package openai is missing; pip install 'interaction[eval]'"
        ) from None
    key = os.environ.get(KEY, "")
    if not model:
        raise InputError(f"--{option}: no model; give MODEL or MODEL@URL")
    if not url and not key:
        raise InputError(f"--{option}: {KEY} is not set; set it, or give MODEL@URL")
    parts = urlsplit(url)
    if url and parts.scheme not in ("http", "https"):
        raise InputError(f"--{option}: {url!r} is no address; give http://HOST:PORT/v1")
    if "@" in parts.netloc or parts.query:
        raise InputError(f"--{option}: the address holds a secret; set {KEY} instead")
    return openai.OpenAI(
        api_key=key or "none",  # the package wants one; local servers do not
        base_url=url or None,
        max_retries=tries - 1,
        timeout=httpx2.Timeout(silent_s, connect=10.0),
    )
