"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from interaction.recording import CompileCounter
from interaction.serve.room import Room, Tick

EDGES_S = (0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.5, 1.0)


class Metrics:
    """Of one server; `watch` is given to its room."""

    def __init__(self, slots: int) -> None:
        self.registry = r = CollectorRegistry()
        self.tick, self.late = (
            Histogram(f"interaction_tick_{name}", says, buckets=EDGES_S, registry=r)
            for name, says in (
                ("seconds", "A tick's compute and sending"),
                ("late_seconds", "A tick's start after its time"),
            )
        )
        self.compiles = CompileCounter()  # to be entered
        self.skipped, self.sessions, self.held, self.slots, self.compiled = (
            Gauge(f"interaction_{name}", says, registry=r)
            for name, says in (
                ("turns_skipped", "Turns let pass unheard"),
                ("sessions", "Conversations that took turns"),
                ("sessions_held", "Conversations that wait for their client"),
                ("slots", "Conversations that fit"),
                ("compiled", "Programs compiled since the server is up"),
            )
        )
        self.missed, self.missing, self.wrong, self.refused, self.ended = (
            Counter(f"interaction_{name}", says, registry=r)
            for name, says in (
                ("deadline_misses", "Ticks that ended late"),
                ("input_missing_seconds", "Silence in place of sound not come"),
                ("messages_wrong", "Messages that made no sense"),
                ("refused", "Conversations not admitted"),
                ("ended", "Conversations that ended"),
            )
        )
        self.snapshots, self.unfiled = (
            Counter(f"interaction_snapshots_{name}", says, registry=r)
            for name, says in (
                ("written", "Conversations put on the shelf"),
                ("failed", "Broken conversations that could not be"),
            )
        )
        says = "Turns of sound that came late, early or again"
        self.dropped = Counter("interaction_input_dropped", says, ["why"], registry=r)
        for why in ("late", "early", "again"):
            self.dropped.labels(why)
        self.slots.set(slots)

    def watch(self, tick: Tick) -> None:
        """Called by the room after every tick."""
        if tick.sessions:
            self.tick.observe((tick.compute_ms + tick.send_ms) / 1e3)
            self.late.observe(tick.late_ms / 1e3)
        self.missed.inc(not tick.met)
        self.sessions.set(tick.sessions)

    def text(self, room: Room, held: int) -> bytes:
        """The exposition format."""
        self.skipped.set(room.figures.skipped)
        self.held.set(held)
        self.compiled.set(self.compiles.count)
        return generate_latest(self.registry)
