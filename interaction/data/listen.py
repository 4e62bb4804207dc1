"""One dialogue of the synthetic world as files, to hear and to see.

    python -m interaction.data.listen --index=7 --split=held_out_voices --output=out

Writes user.wav (what the microphone hears), agent.wav (what the agent should say),
mix.wav (user left, agent right), truth.json, and camera.mp4 when something is shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from interaction.data import world
from interaction.data.dialogue import Dialogue
from interaction.errors import run_command
from interaction.modality.audio import SAMPLE_RATE, TURN_SAMPLES
from interaction.modality.files import write_audio
from interaction.staged import Staged

FPS = 10  # two frames a micro-turn
SCALE = 4  # pixels are tiny; keep players happy


def write_video(path: Path, dialogue: Dialogue) -> None:
    """The pairs at their times; while nothing is shown there are no frames, as from a
    camera that is off."""
    height, width = dialogue.frames[0][1].shape[1:3]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = width * SCALE, height * SCALE
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for t, pair in dialogue.frames:
            for i, image in enumerate(pair):
                large = image.repeat(SCALE, 0).repeat(SCALE, 1)
                frame = av.VideoFrame.from_ndarray(large, format="rgb24")
                frame.pts, frame.time_base = round(t * FPS) + i, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.data.listen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--split", default="train")
    parser.add_argument("--turns", type=int, default=64)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--no-echo",
        action="store_true",
        help="leave the scripted agent's echo out of user.wav, to play it to a model",
    )
    args = parser.parse_args()
    dialogue = world.dialogue(
        args.seed, args.index, split=args.split, turns=args.turns, echo=not args.no_echo
    )
    truth = {
        "seconds": dialogue.turns * TURN_SAMPLES / SAMPLE_RATE,
        "utterances": [dataclasses.asdict(u) for u in dialogue.utterances],
        "exchanges": [dataclasses.asdict(e) for e in dialogue.exchanges],
        "control": dialogue.control,
    }
    mix = np.stack([dialogue.user, dialogue.agent], axis=1)
    args.output.mkdir(parents=True, exist_ok=True)
    with Staged() as staged:
        waves = {"user": dialogue.user, "agent": dialogue.agent, "mix": mix}
        for name, wave in waves.items():
            write_audio(staged.path(args.output / f"{name}.wav"), wave, SAMPLE_RATE)
        staged.path(args.output / "truth.json").write_text(json.dumps(truth, indent=1))
        if dialogue.frames:
            write_video(staged.path(args.output / "camera.mp4"), dialogue)
    for utterance in dialogue.utterances:
        print(f"{utterance.t0:7.2f} s  {utterance.lane:10}  {utterance.text}")
    return 0


if __name__ == "__main__":
    run_command(main)
