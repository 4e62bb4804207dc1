"""The one error that means "the input is wrong", and how a command ends on it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from interaction.memory import look_for_garbage


class InputError(ValueError):
    """Bad input from the user: one line that says what, where, and the mend."""


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main`; an `InputError` becomes one line and exit code 2."""
    look_for_garbage(rarely=True)
    try:
        code = main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code or 0)
