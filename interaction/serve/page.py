"""The page to talk on, as files: what is in `page/`, told to browsers for what it is.

No build step and nothing from elsewhere: ES modules, a style sheet and an icon.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

DIRECTORY = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript",
         ".svg": "image/svg+xml"}  # fmt: skip
HEADERS = {
    # Pictures that are pushed are shown from memory: blob.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(self), geolocation=(), payment=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold a key
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, but asked about: a new server has a new page
}


class Page(StaticFiles):
    """Serves `/` and the files beside it; other addresses are not found."""

    def __init__(self) -> None:
        super().__init__(directory=DIRECTORY, html=True)

    def file_response(
        self, full_path: str | os.PathLike[str], *args: Any, **named: Any
    ) -> Response:
        response = super().file_response(full_path, *args, **named)
        kind = TYPES[Path(full_path).suffix]  # not as this machine's registry has it
        response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        response.headers.update(HEADERS)
        return response
