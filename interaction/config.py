"""`ModelConfig`: every size of a model, frozen, validated once, hashable.

`configs/*.py` hold the values; nothing else in the project does.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from interaction.errors import InputError
from interaction.grammar import CONTROLS, MAX_TEXT_IN


class LayerKind(NamedTuple):
    """What varies from layer to layer."""

    is_global: bool
    is_dense: bool


class Run(NamedTuple):
    """`length` layers of one kind in a row."""

    kind: LayerKind
    length: int


class Segment(NamedTuple):
    """`repeats` times the same runs of layers: a loop, with a loop inside for each run of
    more than one layer. The parameters of a run are one stack, with a leading axis of
    repeats * length."""

    runs: tuple[Run, ...]
    repeats: int


def _runs(kinds: Sequence[LayerKind], longest: int) -> tuple[Run, ...]:
    runs: list[Run] = []
    for kind in kinds:
        if runs and runs[-1].kind == kind and runs[-1].length < longest:
            runs[-1] = Run(kind, runs[-1].length + 1)
        else:
            runs.append(Run(kind, 1))
    return tuple(runs)


_COUNTS = (
    "vocab", "vocab_used", "width", "layers", "heads", "kv_heads", "head_dim",
    "local_heads", "local_kv_heads", "local_head_dim", "window", "horizon",
    "global_extent", "rel_dim", "group", "run", "log_floor", "conv_kernel", "experts",
    "experts_per_token", "expert_width", "mels", "mel_bins", "patch", "patch_frames",
    "frame_height", "frame_width", "frame_period", "flow_width", "flow_steps",
    "kv_split", "tensor_shards",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes of an interaction model. Defaults are Inkling's where it fixes them."""

    # Vocabulary: `vocab` rows in both tables, of which `vocab_used` are tokens of the
    # tokenizer, the rest padding. Control tokens have tables of their own; their ids
    # follow `vocab`.
    vocab: int
    vocab_used: int

    # Backbone
    width: int
    layers: int
    global_layers: tuple[int, ...]  # indices; the other layers slide
    heads: int
    kv_heads: int
    head_dim: int
    local_heads: int
    local_kv_heads: int
    local_head_dim: int
    window: int  # positions a sliding layer sees, itself included
    horizon: int  # positions a global layer sees, itself included
    global_extent: int  # distances with a relative bias in global layers; local: window
    rel_dim: int = 16
    # Layers in the body of one loop, and alike ones in a row that are a loop in it: the
    # more, the smaller the program, and the less it can overlap. They change no result.
    group: int = 6
    run: int = 1
    log_floor: int = 128_000  # global layers scale logits past this position
    log_alpha: float = 0.1  # 0: they never do
    conv_kernel: int = 4
    norm_eps: float = 1e-6
    logit_divisor: float = 1.0  # muP: width / 256

    # Mixture of experts
    dense_layers: tuple[int, ...] = ()  # indices; the other layers are sparse
    dense_width: int = 0
    experts: int = 8
    experts_per_token: int = 2
    shared_experts: int = 1
    expert_width: int = 64
    route_scale: float = 8.0

    # Ears: channels and bins of a dMel frame
    mels: int = 80
    mel_bins: int = 16

    # Eyes: square patches of a pair of frames; a frame is fitted into this size.
    patch: int = 40
    patch_frames: int = 2
    patch_widths: tuple[int, ...] = (128, 320, 4800)  # hMLP's layers but the last
    frame_height: int = 40
    frame_width: int = 80
    frame_period: int = 1  # micro-turns from one look at the camera to the next

    # Voice: the flow-matching head
    flow_width: int = 256
    flow_layers: int = 3
    flow_steps: int = 8
    flow_temperature: float = 0.7
    flow_guidance: float = 1.0

    # Numbers: `invariant` fixes the order of every sum, so that a result's bits depend on
    # nothing beside it; `fast` leaves it to XLA. The sizes below are part of the result.
    numerics: str = "invariant"
    dtype: str = "float32"
    kv_split: int = 64  # keys that attention sums together; rings hold whole splits
    # Of a session's first `pinned` positions, global layers see instructions for ever.
    pinned: int = 0
    tensor_shards: int = 1  # parts of a sum that the mesh axis `tensor` may divide

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}; use 1 or more")
        if self.numerics not in ("invariant", "fast"):
            raise InputError(f"model.numerics={self.numerics!r}; use invariant or fast")
        self._check_shards()
        for kind in ("", "local_"):
            heads, kv = getattr(self, kind + "heads"), getattr(self, kind + "kv_heads")
            if heads % kv:
                raise InputError(
                    f"model.{kind}heads={heads} is not a multiple of "
                    f"model.{kind}kv_heads={kv}; change either"
                )
        if self.kv_split & (self.kv_split - 1):
            raise InputError(f"model.kv_split={self.kv_split} is no power of two; use one")
        if self.vocab_used > self.vocab:
            raise InputError("model.vocab_used is above model.vocab; raise vocab")
        for name in ("window", "global_extent"):
            if getattr(self, name) > self.horizon:
                raise InputError(f"model.{name} is above model.horizon; lower it")
        if self.pinned % self.kv_split or not 0 <= self.pinned <= self.horizon:
            raise InputError(
                f"model.pinned={self.pinned} is no multiple of model.kv_split="
                f"{self.kv_split} from 0 to model.horizon={self.horizon}; change it"
            )
        for name in ("global_layers", "dense_layers"):
            if any(not 0 <= i < self.layers for i in getattr(self, name)):
                raise InputError(
                    f"model.{name} names a layer outside 0..{self.layers - 1}; mend it"
                )
        if self.experts_per_token > self.experts:
            raise InputError("model.experts_per_token is above model.experts; lower it")
        if self.dtype not in ("float32", "bfloat16"):
            raise InputError(f"model.dtype={self.dtype!r}; use float32 or bfloat16")

    def _check_shards(self) -> None:
        sums = {
            "vocab": self.vocab,
            "heads * head_dim": self.heads * self.head_dim,
            "local_heads * local_head_dim": self.local_heads * self.local_head_dim,
            "expert_width": self.expert_width,
            "dense_width": self.dense_width,
        }
        for name, size in sums.items():
            if size % self.tensor_shards:
                raise InputError(
                    f"model.tensor_shards={self.tensor_shards} does not divide "
                    f"model.{name}={size}; change it"
                )

    @property
    def controls_at(self) -> int:
        """Id of the first control token: the tokenizer's are below it."""
        return self.vocab

    @property
    def outputs(self) -> int:
        """Logits of a position: the rows of the vocabulary, then the controls."""
        return self.vocab + CONTROLS

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        return tuple(
            LayerKind(i in self.global_layers, i in self.dense_layers)
            for i in range(self.layers)
        )

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The layers, in order, `group` by `group`."""
        kinds = self.layer_kinds
        segments: list[Segment] = []
        for i in range(0, len(kinds), self.group):
            runs = _runs(kinds[i : i + self.group], self.run)
            if segments and segments[-1].runs == runs:
                segments[-1] = Segment(runs, segments[-1].repeats + 1)
            else:
                segments.append(Segment(runs, 1))
        return tuple(segments)

    @property
    def stacks(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """`stacks[segment][run]`: numbers of the layers in a run's stack."""
        out, first = [], 0
        for segment in self.segments:
            stacks: list[list[int]] = [[] for _ in segment.runs]
            for _ in range(segment.repeats):
                for stack, run in zip(stacks, segment.runs, strict=True):
                    stack += range(first, first + run.length)
                    first += run.length
            out.append(tuple(map(tuple, stacks)))
        return tuple(out)

    @property
    def patches_per_frame(self) -> int:
        """Patches of one camera frame: Inkling's grid has one extra column."""
        rows = -(-self.frame_height // self.patch)
        return rows * (self.frame_width // self.patch + 1)

    @property
    def max_ingest(self) -> int:
        """Positions of the longest input block."""
        return 1 + (1 + MAX_TEXT_IN) + (1 + self.patches_per_frame) + 4

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build from a ConfigDict or parsed JSON. Raises InputError on unknown keys."""
        known = {field.name for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise InputError(f"unknown key model.{key}; see interaction/config.py")
        items: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        try:
            return cls(**items)
        except TypeError as error:
            raise InputError(f"model config: {error}; add the missing keys") from None
