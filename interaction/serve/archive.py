"""Recordings of conversations, where a server keeps any and the client consents.

A recording is a directory: `sound.flac` (16 kHz; left the user as heard, right the agent
as it plays), `events.jsonl` (words heard, said and typed, control; seconds from the sound's
beginning), `about.json`. It is one connection's, and has its name when it is whole; what a
killed server leaves has another one, and the next server removes it. Pictures are not kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from interaction.conversation import TURN_S
from interaction.directory import private
from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES
from interaction.modality.files import open_for_writing
from interaction.serve.codec import pcm16
from interaction.serve.room import Turn

SCHEMA = "interaction.recorded/1"
SOUND, EVENTS, ABOUT = "sound.flac", "events.jsonl", "about.json"
PARTIAL = ".partial"
NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
MOST = 250  # turns that may wait for a slow disk; what comes then is silence
TOKEN = "Interaction-Token"  # header that a recording is deleted with
TERMS = (
    "With your consent both sides' sound, the words and the events of a conversation are "
    "stored; pictures are not. Without it nothing is, and the conversation is the same. "
    f"DELETE /v1/recordings/NAME with the header {TOKEN} deletes a recording at any time."
)


class _Recording:
    """On the disk. Not whole before `end`."""

    def __init__(self, place: Path, about: dict[str, Any]) -> None:
        self._place, self._about = place, about
        self._partial = place.with_name(place.name + PARTIAL)
        self._turns, self._first = 0, 0  # written; the clock's number of the first
        self._gaps = 0
        self._playing = np.zeros(TURN_SAMPLES, np.float32)
        self._partial.mkdir(mode=0o700)
        self._events = (self._partial / EVENTS).open("w")
        fcntl.flock(self._events, fcntl.LOCK_EX)  # as long as this process lives
        self._sound = open_for_writing(self._partial / SOUND, SAMPLE_RATE, 2)
        self._tell()

    def turn(self, turn: Turn) -> None:
        number = round(turn.t_s / TURN_S) - 1
        if not self._turns:
            self._first = number
        while self._turns < number - self._first:
            self._write(np.zeros(TURN_SAMPLES, np.float32))  # it passed unheard
            self._gaps += 1
        for words in turn.given.words:
            self._happened(
                turn.t_s - TURN_S, words.channel.name.lower(), "text", words.text
            )
        for event in turn.out.events:
            at = turn.on_clock(event.t_s)
            self._happened(at, event.lane, event.kind, event.text)
        self._write(turn.given.wave)
        self._playing = turn.out.audio

    def end(self) -> None:
        if not self._turns:
            self.drop()
            return
        self._write(np.zeros(TURN_SAMPLES, np.float32))  # while the last reply plays
        self._about |= {
            "seconds": round(self._turns * TURN_S, 3),
            "gaps_s": round(self._gaps * TURN_S, 3),
        }
        self._tell()
        self._close()
        os.rename(self._partial, self._place)

    def drop(self) -> None:
        """Nothing of it stays."""
        self._close()
        shutil.rmtree(self._partial)

    def _write(self, heard: np.ndarray) -> None:
        self._sound.write(pcm16(np.stack([heard, self._playing], 1)))
        self._playing = np.zeros(TURN_SAMPLES, np.float32)
        self._turns += 1

    def _happened(self, t_s: float, lane: str, kind: str, text: str) -> None:
        at = round(t_s - self._first * TURN_S, 3)
        line = {"t_s": at, "lane": lane, "kind": kind, "text": text}
        self._events.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _tell(self) -> None:
        (self._partial / ABOUT).write_text(json.dumps(self._about, indent=1) + "\n")

    def _close(self) -> None:
        self._sound.close()
        self._events.close()


class Archive:
    """One thread works on the disk, so that neither the clock nor a connection waits for
    it. Raises InputError when the directory is no place to write to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        private(directory)
        for left in directory.glob(f"*{PARTIAL}"):
            if not _in_use(left):
                shutil.rmtree(left)
        self._thread = ThreadPoolExecutor(1, "archive")
        self._running: dict[str, _Recording] = {}
        self._waiting = 0

    def begin(self, token: str, protocol: str) -> str:
        """token: that `forget` needs. -> the recording's name."""
        now = datetime.now(UTC)
        about = {
            "schema": SCHEMA,
            "began": now.isoformat(timespec="seconds"),
            "protocol": protocol,
            "consent": True,
            "token_sha256": _digest(token),
        }
        name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"

        def begin() -> None:
            self._running[name] = _Recording(self._directory / name, about)

        self._do(name, begin)
        return name

    def take(self, name: str, turn: Turn) -> None:
        if self._waiting > MOST:
            return
        self._waiting += 1

        def take() -> None:
            self._waiting -= 1
            if name in self._running:
                self._running[name].turn(turn)

        self._do(name, take)

    def end(self, name: str) -> None:
        """It is whole from here on; one without a turn is none."""
        self._do(name, lambda: self._end(name))

    def forget(self, name: str, token: str) -> Future[None]:
        """Delete a recording, finished or not. One that is gone may be deleted again. The
        future raises InputError when the token is not its conversation's."""
        return self._thread.submit(self._forget, name, token)

    def close(self) -> None:
        """Ends what still runs, and waits for the disk."""
        for name in [*self._running]:
            self.end(name)
        self._thread.shutdown()

    # What follows is called in the archive's thread.

    def _end(self, name: str) -> None:
        if recording := self._running.pop(name, None):
            recording.end()

    def _forget(self, name: str, token: str) -> None:
        if not NAME.fullmatch(name):
            return
        place = self._directory / name
        if name in self._running:
            place = place.with_name(name + PARTIAL)
        if not place.is_dir():
            return
        about = json.loads((place / ABOUT).read_text())
        if not secrets.compare_digest(about["token_sha256"], _digest(token)):
            raise InputError(f"{TOKEN}: not that of this recording's conversation")
        if recording := self._running.pop(name, None):
            recording.drop()
            return
        gone = place.with_name(name + PARTIAL)
        os.rename(place, gone)
        shutil.rmtree(gone)

    def _do(self, name: str, what: Callable[[], None]) -> None:
        self._thread.submit(self._try, name, what)

    def _try(self, name: str, what: Callable[[], None]) -> None:
        """A recording that cannot be written is given up; its conversation goes on."""
        try:
            what()
        except Exception as error:
            logging.getLogger(__name__).warning("recording %s given up: %s", name, error)
            if recording := self._running.pop(name, None):
                recording.drop()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _in_use(left: Path) -> bool:
    """Whether the server that writes it lives."""
    try:
        with (left / EVENTS).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
