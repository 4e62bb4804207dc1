"""Sound devices: a microphone read turn by turn, a loudspeaker that can be cleared."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Iterator
from types import ModuleType

import numpy as np

from interaction.errors import InputError
from interaction.modality.audio import SAMPLE_RATE


def devices() -> ModuleType:
    """The `sounddevice` module. Raises InputError when it cannot be used."""
    try:
        import sounddevice
    except ImportError:
        raise InputError(
            "--mic and --play: the sounddevice package is missing; pip install sounddevice"
        ) from None
    except OSError:
        raise InputError(
            "--mic and --play: the PortAudio library is missing; "
            "install it (Debian: libportaudio2)"
        ) from None
    return sounddevice


class Microphone:
    """Context that yields float32 [turn_samples] blocks, as they are recorded."""

    def __init__(self, turn_samples: int) -> None:
        self._sound = devices()
        self._turn_samples = turn_samples
        self._blocks: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def __enter__(self) -> Microphone:
        self._stream = _open(self._sound, "InputStream", self._turn_samples, self._recorded)
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _recorded(self, data: np.ndarray, *_: object) -> None:
        self._blocks.put(data[:, 0].copy())

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            yield self._blocks.get()


class Speaker:
    """Context that plays pushed frames in order, silence when none is queued."""

    def __init__(self) -> None:
        self._sound = devices()
        self._queue: collections.deque[np.ndarray] = collections.deque()
        self._lock = threading.Lock()

    def __enter__(self) -> Speaker:
        # 10 ms blocks: `clear` takes effect within one of them.
        block = SAMPLE_RATE // 100
        self._stream = _open(self._sound, "OutputStream", block, self._wanted)
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def push(self, frame: np.ndarray) -> None:
        """Queue float32 [n]."""
        with self._lock:
            self._queue.append(np.asarray(frame, np.float32))

    def clear(self) -> None:
        """Drop what is queued and not yet played."""
        with self._lock:
            self._queue.clear()

    def _wanted(self, out: np.ndarray, *_: object) -> None:
        out[:] = 0.0
        filled = 0
        with self._lock:
            while self._queue and filled < len(out):
                head = self._queue.popleft()
                n = min(len(head), len(out) - filled)
                out[filled : filled + n, 0] = head[:n]
                filled += n
                if n < len(head):
                    self._queue.appendleft(head[n:])


def _open(sound: ModuleType, kind: str, block: int, callback):
    try:
        return getattr(sound, kind)(
            samplerate=SAMPLE_RATE,
            channels=1,
            dtype="float32",
            blocksize=block,
            callback=callback,
        )
    except Exception as error:  # PortAudioError, or ValueError for no device
        raise InputError(
            f"sound device: cannot be opened at 16 kHz ({error}); "
            "connect one or give --input=FILE"
        ) from None
