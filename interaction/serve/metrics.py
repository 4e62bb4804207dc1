"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from interaction.recording import CompileCounter
from interaction.serve.room import Room, Tick

FINE_S = (0.0002, 0.0005, 0.001, 0.002, 0.005)
EDGES_S = (0.01, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.5, 1.0)


class Metrics:
    """Of one server; `watch` is given to its room. holds: positions of a slot's cache.

    A reply is computed in a tick, waits in a queue for its connection, and is sent there;
    each has a histogram of its own. What a tick takes beyond computing is the handing
    over to all the queues.
    """

    def __init__(self, slots: int, holds: int) -> None:
        self.registry = r = CollectorRegistry()
        self.tick, self.late = (
            Histogram(f"interaction_tick_{name}", says, buckets=EDGES_S, registry=r)
            for name, says in (
                ("seconds", "A tick's compute and handing over"),
                ("late_seconds", "A tick's start after its time"),
            )
        )
        self.compute, self.queue, self.send, self.jitter = (
            Histogram(
                f"interaction_{name}_seconds", says, buckets=FINE_S + EDGES_S, registry=r
            )
            for name, says in (
                ("compute", "What a tick's replies took to compute"),
                ("queue", "A reply's wait from its tick to its sending"),
                ("send", "What one client's reply took to send"),
                ("input_jitter", "How far a piece of sound came from an even pace"),
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
        self.positions, self.holds, self.sound, self.words = (
            Gauge(f"interaction_{name}", says, registry=r)
            for name, says in (
                ("cache_positions", "Positions of the cache in use"),
                ("cache_positions_held", "Positions that the caches of all slots hold"),
                ("sound_waiting", "Turns of sound that wait for their tick"),
                ("words_waiting", "Tokens that wait to be read, some a turn"),
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
        self.holds.set(slots * holds)

    def watch(self, tick: Tick) -> None:
        """Called by the room after every tick."""
        if tick.sessions:
            self.tick.observe((tick.compute_ms + tick.send_ms) / 1e3)
            self.compute.observe(tick.compute_ms / 1e3)
            self.late.observe(tick.late_ms / 1e3)
        self.missed.inc(not tick.met)
        self.sessions.set(tick.sessions)
        self.positions.set(tick.positions)
        self.sound.set(tick.sound)
        self.words.set(tick.words)

    def text(self, room: Room, held: int) -> bytes:
        """The exposition format."""
        self.skipped.set(room.figures.skipped)
        self.held.set(held)
        self.compiled.set(self.compiles.count)
        return generate_latest(self.registry)
