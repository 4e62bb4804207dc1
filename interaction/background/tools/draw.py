"""Vega-Lite to SVG, in a process that can be ended: its input is a stranger's program.

    python -m interaction.background.tools.draw < chart.json > chart.svg

Nothing is loaded, whatever the chart says. Exit status 1 with a line where it cannot be
drawn.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from typing import Any

from interaction.background.tools.processes import end
from interaction.errors import InputError

VERSION = "5.21"  # of Vega-Lite
CPU_S = 10  # that a drawing may take
WALL_S = 15.0
LARGEST = 1 << 20  # bytes of a picture
WHY = 300  # characters


async def drawn(spec: dict[str, Any]) -> str:
    """-> SVG. Raises InputError where there is none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WALL_S):
            svg, why = await process.communicate(json.dumps(spec).encode())
    except TimeoutError:
        raise InputError("spec: takes too long to draw; give fewer rows") from None
    finally:
        await asyncio.shield(end(process))
    if process.returncode:
        line = (why.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        raise InputError(f"spec: cannot be drawn: {line[:WHY]}")
    if len(svg) > LARGEST:
        raise InputError(f"spec: a picture of {len(svg)} bytes; give fewer rows")
    return svg.decode()


def main() -> int:
    import vl_convert

    os.nice(19)  # conversations go first
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    try:
        given = sys.stdin.read()
        print(vl_convert.vegalite_to_svg(given, VERSION, allowed_base_urls=[]))
    except ValueError as error:  # what failed, why, and a stack
        print(*str(error).strip().splitlines()[:2], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
