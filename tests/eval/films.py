"""Small videos, and what becomes of the samples of a task that shows them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from eval import record, task
from eval.commands.run import open_agent
from eval.ears import ears
from eval.judge import judge
from eval.run import run
from eval.sample import Fault, Sample
from eval.task import Asked

EARS = ears("text_stream", "energy")
RATE = 10


def film(path: Path, seconds: float = 4.0, size: tuple[int, int] = (64, 48)) -> Path:
    """An mp4 whose brightness is 50 times its second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = size
        for n in range(round(seconds * RATE)):
            shade = np.full((size[1], size[0], 3), min(50 * n // RATE, 255), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade)))
        container.mux(stream.encode())
    return path


def clip(file: Path, seconds: float = 1.0, heard: bool = True) -> None:
    """A clip of grey pictures, its sound a tone."""
    with av.open(str(file), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=16_000) if heard else None
        for k in range(round(10 * seconds)):
            grey = np.full((48, 64, 3), 10 * k, np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        out.mux(video.encode())
        if audio:
            wave = 0.3 * np.sin(np.arange(round(16_000 * seconds)) * 0.1)
            frame = av.AudioFrame.from_ndarray(
                wave.astype(np.float32)[None], format="fltp", layout="mono"
            )
            frame.sample_rate = 16_000
            out.mux(audio.encode(frame))
            out.mux(audio.encode())


def halved(path: Path) -> Path:
    """As a broken download leaves it, its index in front."""
    with av.open(str(path)) as source:
        whole = path.with_name("whole.mp4")
        with av.open(str(whole), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    whole.unlink()
    return path


def samples(name: str, data: Path) -> tuple[dict[str, Sample], dict[str, str]]:
    every = list(task.load(name).samples(Asked(data)))
    assert len({each.id for each in every}) == len(every)
    good = {each.id: each for each in every if isinstance(each, Sample)}
    return good, {each.id: each.why for each in every if isinstance(each, Fault)}


def rows(name: str, agent: str, data: Path, place: Path, rater: str = "none") -> dict:
    """What an agent scores on the samples that can be read."""
    found, made = task.load(name), samples(name, data)[0]
    run(open_agent(agent, ""), iter(made.values()), place, "lockstep")
    stored = [record.load(folder) for folder in record.stored(place.parent, place.name)]
    assert all(isinstance(one, record.Record) for one in stored), stored
    return {one.id: found.measure(one, EARS, judge(rater)) for one in stored}
