"""Several output files, all or none: temporary names, renamed together at the end."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from interaction.errors import InputError


class Staged:
    """Context: `path(final)` gives a temporary name beside `final` to write to.

    On a clean exit every file is renamed to its final name. On an exception all
    temporary files, and the directories made for them, are removed.
    """

    def __init__(self) -> None:
        self._moves: list[tuple[Path, Path]] = []
        self._made: list[Path] = []

    def __enter__(self) -> Staged:
        return self

    def path(self, final: str | os.PathLike) -> Path:
        """A temporary name with the ending of `final`; makes its directory.

        Raises InputError if the place cannot be written or was already taken.
        """
        final = Path(final)
        if any(final.absolute() == other.absolute() for _, other in self._moves):
            raise InputError(f"{final}: two outputs share this name; rename one")
        if final.is_dir():
            raise InputError(f"{final}: is a directory; name a file")
        temporary = final.with_name(f".tmp-{os.getpid()}-{final.name}")
        try:
            self._make_directory(final.parent)
            temporary.touch()
        except OSError as error:
            raise InputError(
                f"{final}: cannot be written ({error.strerror}); choose another place"
            ) from None
        self._moves.append((temporary, final))
        return temporary

    def _make_directory(self, directory: Path) -> None:
        missing = []
        while not directory.exists():
            missing.append(directory)
            directory = directory.parent
        for directory in reversed(missing):
            directory.mkdir()
            self._made.append(directory)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            for temporary, final in self._moves:
                os.replace(temporary, final)
            return
        for temporary, _ in self._moves:
            temporary.unlink(missing_ok=True)
        for directory in reversed(self._made):
            try:
                directory.rmdir()
            except OSError:
                pass  # someone else has put a file there meanwhile
