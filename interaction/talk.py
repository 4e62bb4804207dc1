"""One conversation with a checkpoint: recorded input in lockstep, or live.

python -m interaction.talk --checkpoint=nano --input=a.wav --output=b.wav
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from interaction.background.choice import FORMS, mind
from interaction.errors import InputError, run_command
from interaction.modality.audio import SAMPLE_RATE
from interaction.modality.files import check_sound_name, read_audio
from interaction.modality.video import read_video, turn_pairs
from interaction.staged import Staged

if TYPE_CHECKING:
    from interaction.background.backends import Backend

SCHEMA = "interaction.talk/1"

EXAMPLES = """\
examples:
  a recorded person, and everything there is to look at afterwards:
    python -m interaction.talk --checkpoint=nano --input=question.wav \\
        --output=reply.wav --mix=mix.wav --timeline=session.png --report=session.json
  with a camera, and with words typed into the session at 1.2 s:
    echo '{"t_s": 1.2, "text": "hello"}' > typed.jsonl
    python -m interaction.talk --checkpoint=nano --input=question.wav \\
        --video=camera.mp4 --text=typed.jsonl --output=reply.wav
  with a background model, which searches a folder of notes:
    python -m interaction.talk --checkpoint=DIR --input=question.wav --folder=notes \\
        --background=openai:MODEL@http://127.0.0.1:8000/v1 --timeline=session.png
  live, until Ctrl-C (use headphones):
    python -m interaction.talk --checkpoint=nano --mic --play --mix=call.wav

The session runs on a clock of 200 ms micro-turns: the model takes 200 ms of input,
then says 200 ms, heard while the next input arrives. So the reply file is on the
clock of the input file, starts 200 ms later and ends 200 ms after it.
"""


class Parser(argparse.ArgumentParser):
    """argparse, but wrong usage ends in the project's one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"command line: {message}; see --help")


class TypedText(NamedTuple):
    """Words typed by the user, given to the model in the turn that holds t_s."""

    t_s: float
    text: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one session; files appear at the end, all or none."""
    options = _parse(arguments)
    wave = read_audio(options.input) if options.input else None
    typed = read_typed(options.text) if options.text else []
    if options.video:
        read_video(options.video).close()  # fail on a bad file before the model loads
    if options.mic or options.play:
        from interaction import live

        live.devices()
    thinker = mind(options.background, options.tools, options.folder)
    with contextlib.ExitStack() as stack:
        # The scratch directory goes last: what is staged may still be open in it.
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        staged = stack.enter_context(Staged())
        summary = _run(options, wave, typed, thinker, staged, scratch)
    for line in [*summary, *_written(options)]:
        print(line)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m interaction.talk",
        description=__doc__.splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", default="nano", help="name or directory (default: nano)")
    add("--input", type=Path, help="what the user says: wav, flac, ogg, mp3, any rate")
    add("--video", type=Path, help="what the user shows: a video file or a picture")
    add("--text", type=Path, help='what the user types: lines {"t_s": 1.2, "text": …}')
    add("--output", type=Path, help="the agent's voice: wav, flac or ogg")
    add("--mix", type=Path, help="both voices: user left, agent right")
    add("--timeline", type=Path, help="a picture of the session: png, svg or pdf")
    add("--report", type=Path, help="figures and events: json")
    add("--record", type=Path, help="all of it, for interaction.score: .safetensors")
    add("--seed", type=int, default=0, help="of the sampling (default: 0)")
    add("--tail", type=float, default=2.0, help="s of silence after --input (2.0)")
    add("--realtime", action="store_true", help="wait for the clock, as a caller would")
    add("--play", action="store_true", help="play the reply; implies --realtime")
    add("--mic", action="store_true", help="talk live, until Ctrl-C")
    add(
        "--background",
        default="none",
        metavar="MIND",
        help=f"what the model delegates goes to: {FORMS}; implies --realtime",
    )
    add("--tools", type=Path, metavar="FILE", help="its tools of MCP servers: mcp.json")
    add("--folder", type=Path, metavar="DIR", help="text files that it may search")
    options = parser.parse_args(arguments)
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    if bool(options.input) == options.mic:
        raise InputError("command line: give --input=FILE or --mic, and not both")
    if not (math.isfinite(options.tail) and options.tail >= 0):
        raise InputError(f"--tail={options.tail}: must be a time in seconds, 0 or more")
    if options.seed < 0:
        raise InputError(f"--seed={options.seed}: must be 0 or more")
    options.realtime |= options.play or options.background != "none"
    for path in (options.output, options.mix):
        if path is not None:
            check_sound_name(path)
    if options.timeline and options.timeline.suffix not in {".png", ".svg", ".pdf"}:
        raise InputError(f"{options.timeline}: unknown ending; name it .png")
    inputs = {p.resolve() for p in (options.input, options.video, options.text) if p}
    for path in _outputs(options):
        if path.resolve() in inputs:
            raise InputError(f"{path}: is also an input; name another output")


def _outputs(options: argparse.Namespace) -> list[Path]:
    names = (
        options.output, options.mix, options.timeline, options.report, options.record,
    )  # fmt: skip
    return [path for path in names if path is not None]


def read_typed(path: Path) -> list[TypedText]:
    """Typed words from JSON lines {"t_s": seconds, "text": words}, sorted by time.

    Raises InputError with the line's number when one is not of this form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{path}: cannot be read ({reason})") from None
    typed = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            t_s, text = float(entry["t_s"]), entry["text"]
            if set(entry) != {"t_s", "text"} or not isinstance(text, str):
                raise ValueError
            if not (math.isfinite(t_s) and t_s >= 0):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise InputError(
                f'{path}:{number}: not {{"t_s": seconds, "text": words}}; mend the line'
            ) from None
        typed.append(TypedText(t_s, text))
    return sorted(typed, key=lambda entry: entry.t_s)


def _run(
    options: argparse.Namespace,
    wave: np.ndarray | None,
    typed: list[TypedText],
    thinker: Backend | None,
    staged: Staged,
    scratch: Path,
) -> list[str]:
    """The session itself; returns the lines that sum it up."""
    final = {path: staged.path(path) for path in _outputs(options)}
    # The picture is drawn from the mix, wanted or not.
    mix = final.get(options.mix, scratch / "mix.wav" if options.timeline else None)
    # Imported here: loading JAX takes seconds, and bad input should not wait for it.
    from interaction import record, report, timeline
    from interaction.recording import CompileCounter, Recording
    from interaction.session import Session

    session = Session.open(options.checkpoint, slots=1, seed=options.seed)
    turn_samples = session.turn_ms * SAMPLE_RATE // 1000
    blocks = _blocks(wave, turn_samples, options.tail)
    if wave is not None:
        _check_typed(options, typed, len(blocks) * session.turn_ms / 1000)
    with CompileCounter() as compiles:
        with Recording(final.get(options.output), mix, turn_samples) as recording:
            outputs = _converse(
                options, session, blocks, typed, thinker, recording, compiles
            )
        figures = recording.figures(compiles.count, session.turn_ms)
    if options.report:
        config = {
            "checkpoint": options.checkpoint,
            "seed": options.seed,
            "input": options.input,
            "video": options.video,
            "text": options.text,
            "tail_s": options.tail,
            "realtime": options.realtime or options.mic,
            "model": session.config,
        }
        head = report.header(SCHEMA, config)
        report.write_report(final[options.report], head | figures)
    if options.record:
        given, frames = zip(*outputs, strict=True)
        made = record.make(session.config, given, frames, options.seed)
        record.save(final[options.record], made)
    if options.timeline and mix is not None:
        _draw(timeline, final[options.timeline], mix, recording, session, options)
    return _summary(figures)


def _blocks(wave: np.ndarray | None, turn_samples: int, tail_s: float):
    """The recording in whole turns, float32 [turns, turn_samples], with its tail."""
    if wave is None:
        return None
    total = len(wave) + math.ceil(tail_s * SAMPLE_RATE)
    padded = np.zeros(-(-total // turn_samples) * turn_samples, np.float32)
    padded[: len(wave)] = wave
    return padded.reshape(-1, turn_samples)


def _check_typed(options, typed: list[TypedText], total_s: float) -> None:
    if typed and typed[-1].t_s >= total_s:
        raise InputError(
            f"{options.text}: t_s {typed[-1].t_s:g} is after the session's end at "
            f"{total_s:.1f} s; raise --tail"
        )


def _converse(options, session, blocks, typed, thinker, recording, compiles) -> list[tuple]:
    """Step the session through its input; live, until Ctrl-C. -> what went in and what
    came out of every turn, if that is to be recorded."""
    from interaction.conversation import Words
    from interaction.view import open_view

    turn_s = session.turn_ms / 1000
    turn_samples = recording.turn_samples
    pairs = _camera(options, session)
    pending, kept = list(typed), []
    with contextlib.ExitStack() as stack:
        if options.mic or options.realtime:
            # A caller does not wait for a compiler: run it before the clock starts.
            session.step(audio=np.zeros(turn_samples, np.float32))
            session.reset()
        speaker = None
        source: Iterable[np.ndarray] | None = None
        if options.play or options.mic:
            from interaction.live import Microphone, Speaker

            if options.play:
                speaker = stack.enter_context(Speaker())
            if options.mic:
                source = stack.enter_context(Microphone(turn_samples))
                stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        if source is None:
            source = _paced(blocks, turn_s) if options.realtime else blocks
        aside = None
        if thinker is not None:
            from interaction.background.aside import Aside

            at = [path.resolve().as_uri() if path else "" for path in
                    (options.mix, options.video)]  # fmt: skip
            aside = Aside(thinker, options.tools, options.folder, *at)
            stack.enter_context(aside)
        view = stack.enter_context(open_view(session.turn_ms))
        for k, user in enumerate(source):
            words = []
            while pending and pending[0].t_s < (k + 1) * turn_s - 1e-9:
                words.append(pending.pop(0).text)
            read = [Words(" ".join(words))] if words else []
            if aside:
                read += aside.brings()
                for each in words:
                    aside.typed(each)
            out = session.step(audio=user, frames=next(pairs), text=read or None)
            if aside:
                recording.events += aside.follow(out)
            if speaker is not None:
                if out.cleared:
                    speaker.clear()
                speaker.push(out.audio)
            if options.record:
                kept.append((out.given, out.frame))
            recording.turn(user, out, compiles.count)
            view.turn((k + 1) * turn_s, user, out)
    return kept


def _camera(options, session) -> Iterator[np.ndarray | None]:
    """A pair of frames or None for every turn, without end."""
    if options.video is None:
        return itertools.repeat(None)
    size = (session.config.frame_height, session.config.frame_width)
    pairs = turn_pairs(options.video, session.turn_ms, size)
    return itertools.chain(pairs, itertools.repeat(None))


def _paced(blocks: np.ndarray, turn_s: float) -> Iterator[np.ndarray]:
    """Give each block when a microphone would: at the end of its turn."""
    start = time.monotonic()
    for k, block in enumerate(blocks):
        time.sleep(max(0.0, start + (k + 1) * turn_s - time.monotonic()))
        yield block


def _draw(timeline: Any, path: Path, mix: Path, recording, session, options) -> None:
    import soundfile

    user, agent = soundfile.read(mix, dtype="float32", always_2d=True)[0].T
    name = options.input.name if options.input else "microphone"
    figure = timeline.draw(
        user,
        agent,
        recording.events,
        recording.compute_ms,
        session.turn_ms,
        title=f"{options.checkpoint}: {name}",
    )
    timeline.save(path, figure)


def _summary(figures: dict[str, Any]) -> list[str]:
    seconds = figures["turns"] * figures["turn_ms"] / 1000
    lines = [f"{seconds:.1f} s of conversation"]
    if figures["heard"]:
        lines.append(f"heard    {figures['heard']}")
    if figures["text"]:
        lines.append(f"said     {figures['text']}")
    compute = figures["compute_ms"]
    if compute["p50"] is not None:
        lines.append(
            f"compute  {compute['p50']:.0f} ms a turn of {figures['turn_ms']} ms "
            f"(99%: {compute['p99']:.0f} ms)"
        )
    return lines


def _written(options: argparse.Namespace) -> list[str]:
    names = {
        "reply": options.output,
        "mix": options.mix,
        "timeline": options.timeline,
        "report": options.report,
        "record": options.record,
    }
    return [f"{name:8} {path}" for name, path in names.items() if path is not None]


if __name__ == "__main__":
    run_command(main)
