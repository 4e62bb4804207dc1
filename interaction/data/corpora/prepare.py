"""A corpus into a prepared directory: read, check, pack, in the order of its items."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from interaction.data.corpora import (
    candor,
    fisher,
    lhotse,
    manifest,
    moshi,
    seamless,
    voice_assistant,
)
from interaction.data.corpora.conversation import Item, Source
from interaction.data.corpora.record import TURN_S, Camera, Encoded, encode
from interaction.data.corpora.shards import INDEX, SCHEMA, ShardWriter
from interaction.errors import InputError

FORMATS: dict[str, Callable[[Path], Source]] = {
    "fisher": fisher.read,
    "candor": candor.read,
    "seamless": seamless.read,
    "voice_assistant": voice_assistant.read,
    "lhotse": lhotse.read,
    "moshi": moshi.read,
    "manifest": manifest.read,
}
AGENTS = ("corpus", "both", "first", "second")


@dataclass(frozen=True)
class Options:
    """What decides the bytes of a prepared directory. limit: items, None for all."""

    format: str
    src: Path
    agents: str = "corpus"
    camera: Camera | None = None
    shard_mb: int = 256
    limit: int | None = None

    def header(self) -> dict[str, Any]:
        camera = self.camera and list(self.camera)
        return {
            "schema": SCHEMA,
            "format": self.format,
            "src": str(self.src.absolute()),
            "agent": self.agents,
            "video": camera,
            "shard_mb": self.shard_mb,
            "limit": self.limit,
        }


Tell = Callable[[int, int, int, float], None]
"""How far it is: items done, items in all, items skipped, hours of conversation."""


def prepare(
    options: Options,
    dst: Path,
    command: str,
    workers: int = 0,
    strict: bool = False,
    tell: Tell = lambda *_: None,
) -> dict[str, Any]:
    """Write `dst`, or go on with it; returns its index.

    Items that cannot be used are listed with the reason; with `strict` the first one
    raises InputError. Memory holds a few conversations, however many there are.
    """
    if not options.src.exists():
        raise InputError(f"{options.src}: no such directory; name the corpus's")
    total, items = FORMATS[options.format](options.src)
    total = min(total, options.limit or total)
    if total == 0:
        raise InputError(
            f"{options.src}: holds nothing of the layout of {options.format}; "
            f"see interaction/data/corpora/{options.format}.py"
        )
    first = ""
    with ShardWriter(dst, options.header(), options.shard_mb << 20) as writer:
        items = _rest(itertools.islice(items, total), writer, options.src)
        for name, result in _encoded(items, options, workers):
            if isinstance(result, Encoded):
                writer.add(name, result)
            elif strict:
                raise InputError(result)
            else:
                writer.skip(name, result)
                first = first or result
            tell(writer.done, total, writer.skipped, writer.turns * TURN_S / 3600)
        if writer.records == 0:
            writer.discard()
            raise InputError(f"none of {total} conversations is usable; first: {first}")
        return writer.finish(command)


def _rest(items: Iterator[Item], writer: ShardWriter, src: Path) -> Iterator[Item]:
    """The items that the writer has not had, if it is still the same source."""
    if writer.done:
        had = list(itertools.islice(items, writer.done - 1, writer.done))
        if not had or had[0].name != writer.last:
            raise InputError(
                f"{src}: has changed since --dst was begun ({writer.last} was item "
                f"{writer.done}); choose another --dst"
            )
    return items


def is_prepared(options: Options, dst: Path) -> bool:
    """Whether `dst` is finished already, with these options."""
    if not (dst / INDEX).is_file():
        return False
    with ShardWriter(dst, options.header(), options.shard_mb << 20):
        return True  # it has not refused other options


def _encode(item: Item, options: Options) -> Encoded | str:
    """The record, or why there is none."""
    try:
        return encode(item.load(), options.agents, options.camera)
    except InputError as error:
        return " ".join(str(error).split())
    except Exception as error:  # of a million files, one may break a layout in a new way
        return f"{item.name}: is not of the layout of {options.format} ({error!r})"


def _encoded(
    items: Iterator[Item], options: Options, workers: int
) -> Iterator[tuple[str, Encoded | str]]:
    """Results in the order of the items, whatever the number of processes."""
    if workers == 0:
        for item in items:
            yield item.name, _encode(item, options)
        return
    context = multiprocessing.get_context("spawn")
    waiting: deque[tuple[str, Future]] = deque()
    with ProcessPoolExecutor(workers, context, _leave_with_parent) as pool:
        try:
            for item in items:
                waiting.append((item.name, pool.submit(_encode, item, options)))
                if len(waiting) > 2 * workers:
                    name, future = waiting.popleft()
                    yield name, future.result()
            for name, future in waiting:
                yield name, future.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker was killed (for its memory?); start again with fewer --workers"
            ) from None


def _leave_with_parent() -> None:
    """A worker must not outlive a parent that was killed, nor print on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
