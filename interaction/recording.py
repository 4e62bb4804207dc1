"""What a session leaves: the reply, the stereo mix, and the figures of its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from interaction import report
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import open_for_writing

WARMUP_TURNS = 5  # compilation and first touches of memory; outside every figure
_WINDOW = 100  # turns in the head and in the tail
_COMPILED = "/jax/core/compile/backend_compile_duration"


class CompileCounter:
    """Context that counts the programs that JAX's backend compiles (or fetches)."""

    def __enter__(self) -> CompileCounter:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: Any) -> None:
        self.count += event == _COMPILED


class Recording:
    """Context that writes both sides as they come: memory does not grow with them.

    Output frame k plays while input k+1 arrives, at [k+1, k+2) turns: the reply file
    therefore starts with one turn of silence. A frame whose turn was cleared
    (`out.cleared`) drops what is queued and not yet played. In lockstep one frame is
    queued at a time and the one before has just ended, so nothing is lost to it; on
    a live loudspeaker, which holds more, `Speaker.clear` drops the rest.
    """

    def __init__(self, reply: Path | None, mix: Path | None, turn_samples: int) -> None:
        self._files = [
            (open_for_writing(path, SAMPLE_RATE, channels), channels)
            for path, channels in ((reply, 1), (mix, 2))
            if path is not None
        ]
        self.turn_samples = turn_samples
        self._playing = np.zeros(turn_samples, np.float32)
        self._rss_start = 0
        self._compiles_start = 0
        self.compute_ms: list[float] = []
        self.text: list[str] = []
        self.heard: list[str] = []
        self.events: list[Any] = []

    def turn(self, user: np.ndarray, out: Any, compiles: int) -> None:
        """Take one micro-turn: its input float32 [n] and what the session gave."""
        self._write(user)
        self._playing = np.asarray(out.audio, np.float32)
        self.compute_ms.append(float(out.compute_ms))
        self.text.append(out.text)
        self.heard.extend(out.heard)
        self.events.extend(out.events)
        if len(self.compute_ms) == WARMUP_TURNS:
            self._rss_start = report.rss_bytes()
            self._compiles_start = compiles

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the files; the last frame plays after the last input."""
        if kind is None:
            self._write(np.zeros_like(self._playing))
        for file, _channels in self._files:
            file.close()

    def _write(self, user: np.ndarray) -> None:
        both = np.clip(np.stack([user, self._playing], axis=1), -1.0, 1.0)
        for file, channels in self._files:
            file.write(both if channels == 2 else both[:, 1])

    def figures(self, compiles: int, turn_ms: int) -> dict[str, Any]:
        """The report's keys after its head. Call at the end, before drawing.

        `realtime_factor`: seconds of compute per second of conversation; below 1
        the session keeps up. Figures that need more turns than there were are null.
        """
        warm = self.compute_ms[WARMUP_TURNS:]
        grown = report.rss_bytes() - self._rss_start if warm else None
        return {
            "turns": len(self.compute_ms),
            "turn_ms": turn_ms,
            "warmup_turns": WARMUP_TURNS,
            "compute_ms": report.percentiles(warm),
            "compute_head_p50_ms": report.percentiles(warm[:_WINDOW])["p50"],
            "compute_tail_p50_ms": report.percentiles(warm[-_WINDOW:])["p50"],
            "compiles_after_warmup": compiles - self._compiles_start if warm else None,
            "rss_growth_bytes": grown,
            "realtime_factor": round(float(np.mean(warm)) / turn_ms, 4) if warm else None,
            "text": " ".join("".join(self.text).split()),
            "heard": "".join(self.heard).strip(),
            "events": [_plain_event(event) for event in self.events],
        }


def _plain_event(event: Any) -> dict[str, Any]:
    return {key: getattr(event, key) for key in ("t_s", "lane", "kind", "text")}
