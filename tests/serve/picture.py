"""Pictures of the page in the middle of a conversation, for the README.

    python -m interaction.serve --checkpoint=nano --slots=1
    python tests/serve/picture.py http://127.0.0.1:8080

The microphone plays nano's example; taken a second after the agent gave way to a barge-in.
"""

from __future__ import annotations

import io
import shutil
import sys
import time

from chromium import Chromium
from PIL import Image

from interaction.package import ASSETS

YIELDED = "document.getElementById('transcript').textContent.includes('cut short')"


def take(url: str, name: str, scheme: str, *size: float) -> None:
    width, height, scale = size
    program = shutil.which("chromium") or sys.exit("install chromium")
    with Chromium(program, ASSETS / "nano" / "example.wav") as page:
        page.size(int(width), int(height), scale, phone=width < 500)
        page.prefer(prefers_color_scheme=scheme)
        page.go(url)
        page.click("#start")
        page.until(YIELDED, 60)
        time.sleep(1)
        data = page.picture()
        page.click("#start")
    (ASSETS / "page").mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.save(ASSETS / "page" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    take(sys.argv[1], "desktop", "light", 1280, 800, 1)
    take(sys.argv[1], "phone", "dark", 360, 740, 2)
