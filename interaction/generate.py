"""Text from a checkpoint: a chat answer, a continuation, or teacher-forced logits.

    python -m interaction.generate --checkpoint=models/inkling_small --prompt="Why so?"
    python -m interaction.generate --checkpoint=DIR --prompt="What is this?" --image=a.png
    python -m interaction.generate --checkpoint=DIR --ids=ids.npy --logits=out.npy

The prompt goes through the checkpoint's chat template, if it has one (--raw leaves it
out, and takes the prompt's own marks), and the answer streams to the terminal. --audio and
--image add sound (any audio file) and pictures at their placeholders; as .npy they are dMel
bins [n, mels] and patches [n, frames, side, side, 3] as they are. On several devices the
weights are divided.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from interaction import chat, decode
from interaction.config import ModelConfig
from interaction.errors import InputError, run_command
from interaction.interop import inkling_config
from interaction.jsonfile import read_json
from interaction.modality import files
from interaction.modality.audio import dmel
from interaction.modality.picture import picture_patches
from interaction.package import SOURCE, Package, locate, open_package
from interaction.parallel.mesh import default_mesh
from interaction.parallel.sharding import shardings
from interaction.staged import Staged


class Source(NamedTuple):
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
    add("--template_values", default="{}", help="JSON object that the template reads too")
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
    if args.logits and not args.logits.parent.is_dir():
        raise InputError(f"{args.logits.parent}: no such directory; make it first")
    if args.max_tokens < 1 or args.temperature < 0 or not 0 < args.top_p <= 1:
        raise InputError("--max_tokens >= 1, --temperature >= 0, 0 < --top_p <= 1")
    try:
        args.template_values = dict(json.loads(args.template_values))
    except (ValueError, TypeError):
        raise InputError("--template_values is no JSON object; write one") from None
    return args


def source_of(path: Path) -> Source:
    """Nothing, for a model that was not imported."""
    config = path / SOURCE / "config.json"
    if not config.is_file():
        return Source(inkling_config.Placeholders(-1, -1), ())
    at = inkling_config.placeholders(read_json(config), config)
    return Source(at, inkling_config.stop_tokens(path / SOURCE))


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: no array in it ({error}); save it with numpy") from None


def _inputs(args: argparse.Namespace, cfg: ModelConfig, path: Path) -> dict[str, Any]:
    """Rows of dMel and patches, or None, of what was given."""
    rows: dict[str, Any] = {"audio": None, "image": None}
    if args.audio is not None:
        given = args.audio
        rows["audio"] = (
            _array(given) if given.suffix == ".npy" else dmel(files.read_audio(given))
        )
    if args.image is not None:
        given = args.image
        rows["image"] = (
            _array(given)
            if given.suffix == ".npy"
            else picture_patches(given, cfg.patch, cfg.patch_frames, path / SOURCE)
        )
    least = {"audio": 2, "image": 5}
    for what, array in rows.items():
        if array is not None and array.ndim < least[what]:
            raise InputError(f"--{what} is {list(array.shape)}; see --help for its shape")
    return rows


def _repeat(ids: list[int], token: int, n: int) -> list[int]:
    """One placeholder a picture or sound becomes one a row of it; at the front if the
    template has put none."""
    if n and token not in ids:
        ids = [token, *ids]
    return [i for t in ids for i in ([t] * n if t == token and n else [t])]


def _encode(
    args: argparse.Namespace, package: Package, source: Source, rows: dict[str, Any]
) -> list[int]:
    if package.text is None:
        raise InputError(
            f"{package.path} has no tokenizer.json; put one there or use --ids"
        )
    places = (package.path, package.path / SOURCE)
    template = None if args.raw else chat.find_template(*places)
    if template is not None:
        content = [{"type": what} for what, given in rows.items() if given is not None]
        content.append({"type": "text", "text": args.prompt})
        messages = [{"role": "user", "content": content if content[1:] else args.prompt}]
        if args.system:
            messages.insert(0, {"role": "system", "content": args.system})
        values = chat.special_tokens(*places) | args.template_values
        ids = chat.encode(package.text, template, messages, **values)
    else:
        text = f"{args.system}\n{args.prompt}" if args.system else args.prompt
        # Whoever leaves the template out may write one's marks.
        ids = package.text.marked(text, chat.VEIL)
    for what, axis in (("audio", -2), ("image", -5)):
        n = 0 if rows[what] is None else rows[what].shape[axis]
        ids = _repeat(ids, getattr(source.placeholders, what), n)
    if not ids:
        raise InputError("the prompt is empty; say something")
    return ids


def _until(tokens: Iterator[np.ndarray], stop: tuple[int, ...]) -> Iterator[int]:
    for chosen in tokens:
        if int(chosen[0]) in stop:
            return
        yield int(chosen[0])


def _stream(package: Package, tokens: Iterator[int]) -> int:
    """Print as it comes; a character of several tokens waits until it is whole."""
    ids: list[int] = []
    shown = 0
    text = ""
    for token in tokens:
        ids.append(token)
        if package.text is None:
            text += f"{token} "
        else:
            text = package.text.decode(ids)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            sys.stdout.write(text[shown:])
            sys.stdout.flush()
            shown = len(text)
    sys.stdout.write(text[shown:] + "\n")
    sys.stdout.flush()
    return len(ids)


def open_for_text(checkpoint: str) -> Package:
    """Its weights divided over all devices."""
    if len(jax.devices()) == 1:
        return open_package(checkpoint)
    raw = read_json(locate(checkpoint) / "config.json")
    cfg = ModelConfig.from_mapping(raw)
    return open_package(checkpoint, shardings(cfg, default_mesh(cfg)))


def _run(args: argparse.Namespace) -> None:
    given = None if args.ids is None else _array(args.ids)
    package = open_for_text(args.checkpoint)
    cfg = package.cfg
    if args.dtype:
        cfg = dataclasses.replace(cfg, dtype=args.dtype)
    source = source_of(package.path)
    rows = _inputs(args, cfg, package.path)
    ids = np.asarray(_encode(args, package, source, rows) if given is None else given)
    at = source.placeholders
    prompt = decode.make_prompt(cfg, ids, at.audio, at.image, rows["audio"], rows["image"])
    if args.logits:
        logits = decode.teacher_forced(package.params, cfg, prompt)
        with Staged() as staged, staged.path(args.logits).open("wb") as file:
            np.save(file, logits)
        print(f"{args.logits}: float32 {list(logits.shape)}")
        return
    if len(prompt.ids) > 1:
        raise InputError(f"--ids has {len(prompt.ids)} rows; continue one, or add --logits")
    sampling = decode.Sampling(args.temperature, args.top_p, args.seed)
    tokens = decode.continuation(package.params, cfg, prompt, args.max_tokens, sampling)
    began = time.monotonic()
    n = _stream(package, _until(tokens, source.stop))
    print(f"{n} tokens, {time.monotonic() - began:.1f} s", file=sys.stderr)


def main() -> int:
    args = _arguments()
    try:
        # Accelerators multiply float32 in fewer bits unless told otherwise.
        with jax.default_matmul_precision("highest" if args.dtype == "float32" else None):
            _run(args)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    run_command(main)
