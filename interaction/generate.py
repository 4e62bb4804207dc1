"""Text from a checkpoint: a chat answer, a continuation, or teacher-forced logits.

    python -m interaction.generate --checkpoint=models/inkling_small --prompt="Why so?"
    python -m interaction.generate --checkpoint=DIR --prompt="What is this?" --image=a.png
    python -m interaction.generate --checkpoint=DIR --ids=ids.npy --logits=out.npy

The prompt goes through the checkpoint's chat template, if it has one (--raw leaves it
out), and the answer streams to the terminal. --audio and --image add sound (any audio
file) and pictures at their placeholders; as .npy they are dMel bins [n, mels] and patches
[n, frames, side, side, 3] as they are.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from interaction import chat, decode
from interaction.errors import InputError, run_command
from interaction.interop import inkling_config
from interaction.modality import files
from interaction.modality.audio import dmel
from interaction.modality.text import Text
from interaction.modality.video import patchify
from interaction.package import Package, open_package, read_json


class _Source(NamedTuple):
    """What an imported model's own config says about text."""

    placeholders: inkling_config.Placeholders
    stop: tuple[int, ...]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m interaction.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="a shipped model's name or a directory")
    add("--prompt", help="what to say to it")
    add("--system", help="instructions that come before the prompt")
    add("--raw", action="store_true", help="no chat template: continue the prompt itself")
    add("--ids", type=Path, help=".npy of token ids, int [T] or [B, T], for --prompt")
    add("--logits", type=Path, help="write logits [B, T, V] of --ids here, and stop")
    add("--audio", type=Path, help="a sound file, or .npy of dMel bins")
    add("--image", type=Path, help="a picture, or .npy of patches")
    add("--max_tokens", type=int, default=256)
    add("--temperature", type=float, default=0.0, help="0 (default): the likeliest token")
    add("--top_p", type=float, default=1.0, help="draw from this much of the probability")
    add("--seed", type=int, default=0)
    add("--dtype", choices=("float32", "bfloat16"), help="compute in this dtype")
    args = parser.parse_args()
    if (args.prompt is None) == (args.ids is None):
        raise InputError("give either --prompt or --ids")
    if args.logits and args.ids is None:
        raise InputError("--logits needs --ids: the tokens to score")
    if args.max_tokens < 1 or args.temperature < 0 or not 0 < args.top_p <= 1:
        raise InputError("--max_tokens >= 1, --temperature >= 0, 0 < --top_p <= 1")
    return args


def _source(path: Path) -> _Source:
    config = path / "source" / "config.json"
    if not config.is_file():
        return _Source(inkling_config.Placeholders(-1, -1), ())
    raw = read_json(config)
    return _Source(inkling_config.placeholders(raw), inkling_config.stop_tokens(raw))


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no array in it ({error}); save it with numpy") from None


def _sound(path: Path | None) -> np.ndarray | None:
    if path is None or path.suffix == ".npy":
        return None if path is None else _array(path)
    return dmel(files.read_audio(path))


def _picture(path: Path | None, package: Package) -> np.ndarray | None:
    """Patches of a picture, scaled first if the checkpoint's preprocessor does so."""
    if path is None or path.suffix == ".npy":
        return None if path is None else _array(path)
    try:
        image = Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: not a picture ({error}); name another") from None
    settings = package.path / "source" / "preprocessor_config.json"
    if settings.is_file():
        raw = read_json(settings)
        raw = raw.get("image_processor", raw)
        longest = max(image.size)
        target = longest * (raw.get("rescale_image_frac") or 1)
        cap = raw.get("rescale_image_max_upscaled_long_edge", 2048)
        ratio = (min(target, max(cap, longest)) if cap else target) / longest
        width, height = (int(side * ratio + 0.5) for side in image.size)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling.LANCZOS)
    still = np.asarray(image, np.uint8)
    return patchify(np.stack([still] * package.cfg.patch_frames), package.cfg.patch)


def _repeat(ids: list[int], token: int, n: int) -> list[int]:
    """One placeholder a picture or sound becomes one a row of it; at the front if the
    template has put none."""
    if n and token not in ids:
        ids = [token, *ids]
    return [i for t in ids for i in ([t] * n if t == token and n else [t])]


def _encode(args: argparse.Namespace, package: Package, source: _Source, rows) -> list[int]:
    if package.text is None:
        raise InputError(
            f"{package.path} has no tokenizer.json; put one there or use --ids"
        )
    template = None if args.raw else chat.find_template(
        package.path, package.path / "source"
    )  # fmt: skip
    text = args.prompt
    if template is not None:
        content = [{"type": what} for what, given in rows.items() if given is not None]
        content.append({"type": "text", "text": args.prompt})
        messages = [{"role": "user", "content": content if content[1:] else args.prompt}]
        if args.system:
            messages.insert(0, {"role": "system", "content": args.system})
        text = chat.render(template, messages, bos_token="", eos_token="")
    elif args.system:
        text = f"{args.system}\n{text}"
    ids = package.text.encode(text)
    for what, given in rows.items():
        ids = _repeat(ids, getattr(source.placeholders, what), _count(given))
    if not ids:
        raise InputError("the prompt is empty; say something")
    return ids


def _count(rows: np.ndarray | None) -> int:
    if rows is None:
        return 0
    return rows.shape[-2] if rows.ndim < 5 else rows.shape[-5]


def _stream(text: Text, tokens: Iterator[np.ndarray], stop: tuple[int, ...]) -> int:
    """Print as it comes; a character of several tokens waits until it is whole."""
    ids: list[int] = []
    shown = 0
    for chosen in tokens:
        if int(chosen[0]) in stop:
            break
        ids.append(int(chosen[0]))
        written = text.decode(ids)
        if not written.endswith("\N{REPLACEMENT CHARACTER}"):
            sys.stdout.write(written[shown:])
            sys.stdout.flush()
            shown = len(written)
    sys.stdout.write("\n")
    return len(ids)


def _save(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(buffer.getbuffer())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path}: {error.strerror}; choose another --logits") from None


def main() -> int:
    args = _arguments()
    package = open_package(args.checkpoint)
    cfg = package.cfg
    if args.dtype:
        cfg = dataclasses.replace(cfg, dtype=args.dtype)
    source = _source(package.path)
    rows = {"audio": _sound(args.audio), "image": _picture(args.image, package)}
    given = _encode(args, package, source, rows) if args.ids is None else _array(args.ids)
    prompt = decode.make_prompt(
        cfg,
        np.asarray(given),
        source.placeholders.audio,
        source.placeholders.image,
        rows["audio"],
        rows["image"],
    )
    if args.logits:
        logits = decode.teacher_forced(package.params, cfg, prompt)
        _save(args.logits, logits)
        print(f"{args.logits}: float32 {list(logits.shape)}")
        return 0
    sampling = decode.Sampling(args.temperature, args.top_p, args.seed)
    tokens = decode.continuation(package.params, cfg, prompt, args.max_tokens, sampling)
    if package.text is None:
        print(" ".join(str(int(t[0])) for t in tokens))
        return 0
    began = time.monotonic()
    n = _stream(package.text, tokens, source.stop)
    print(f"{n} tokens, {time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run_command(main)
