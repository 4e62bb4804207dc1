"""Instructions at the start of a session, seen from any distance."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from interaction import model
from interaction.cache import clear_slots, empty_cache
from interaction.config import ModelConfig
from interaction.errors import InputError
from interaction.grammar import Kind
from interaction.model import Block
from interaction.ops import attention
from interaction.params import initialise

LONG = 200  # positions: global layers fold it, and their rings turn twice
WORDS = {0: 3, 9: 4, 28: 6}  # where the channel stands -> words after it; some are too late


def talk(cfg: ModelConfig, length: int, channel: Kind = Kind.INSTRUCT, word: int = 5):
    """A block of text whose beginning is read from a channel."""
    rng = np.random.default_rng(0)
    kind = np.full((2, length), Kind.TEXT, np.int32)
    token = rng.integers(0, cfg.vocab_used, (2, length), dtype=np.int32)
    for at, words in WORDS.items():
        kind[:, at : at + words + 1] = Kind.TEXT_IN
        token[:, at] = cfg.controls_at + channel
    token[:, 10] = word
    none = np.zeros((2, length), np.int32)
    pixels = np.zeros((2, 0, 2, cfg.patch, cfg.patch, 3), np.float32)
    return Block(
        kind, token, none, np.zeros((2, 0, 80), np.uint8), pixels,
        np.zeros((2, 0, 320), np.float32), np.full(2, length, np.int32),
    )  # fmt: skip


def in_blocks(params, cfg: ModelConfig, block: Block, cuts: list[int]) -> np.ndarray:
    """Block by block; sessions change their slots' ages half way."""
    step = jax.jit(lambda b, c: model.forward(params, cfg, b, c))
    cache, width, found = empty_cache(cfg, 2), 12, []
    for a, b in zip(cuts, cuts[1:], strict=False):
        part = [np.pad(x[:, a:b], ((0, 0), (0, width - (b - a)))) for x in block[:3]]
        out = step(block._replace(
            kind=part[0], token=part[1], row=part[2], n_valid=np.full(2, b - a, np.int32)
        ), cache)  # fmt: skip
        cache = out.cache
        found.append(out.hidden[:, : b - a])
    return np.concatenate(found, 1)


@pytest.mark.parametrize("length", [110, LONG])
def test_blocks_have_the_bits_of_one_forward(tiny, tiny_params, monkeypatch, length):
    block = talk(tiny, length)
    whole = jax.jit(lambda b: model.forward(tiny_params, tiny, b).hidden)
    want = np.asarray(whole(block))
    cuts = sorted({0, 9, 21, 28, *range(40, length, 7), length})
    assert (in_blocks(tiny_params, tiny, block, cuts) == want).all()
    if length < LONG:
        monkeypatch.setattr(attention, "LONG", 64)
        again = jax.jit(lambda b: model.forward(tiny_params, tiny, b).hidden)
        assert (np.asarray(again(block)) == want).all()
    without = dataclasses.replace(tiny, pinned=0)
    other = jax.jit(lambda b: model.forward(tiny_params, without, b).hidden)(block)
    assert (np.asarray(other)[:, :64] == want[:, :64]).all()
    assert (np.asarray(other)[:, -1] != want[:, -1]).any()


@pytest.mark.parametrize("length", [110, LONG])
def test_only_instructions_are_seen_from_far(tiny, length):
    """One global layer: what was at a far position reaches the last one if it is one of the
    first `pinned`, and an instruction."""
    values = tiny.__dict__ | {"layers": 1, "global_layers": (0,), "dense_layers": ()}
    cfg = ModelConfig(**values)
    params = initialise(model.specs(cfg), jax.random.key(0))
    run = jax.jit(lambda b: model.forward(params, cfg, b).hidden[:, -1])

    def reaches(channel: Kind, at: int) -> bool:
        one, other = (talk(cfg, length, channel) for _ in range(2))
        other.token[:, at] += 1
        return bool((run(one) != run(other)).any())

    assert reaches(Kind.INSTRUCT, 10) and reaches(Kind.INSTRUCT, 31)
    assert not reaches(Kind.USER, 10)
    assert not reaches(Kind.INSTRUCT, 20)  # no word of an instruction
    assert not reaches(Kind.INSTRUCT, 34)  # too late


def test_a_cleared_slot_has_no_instructions(tiny, tiny_params):
    block = talk(tiny, 40)
    out = model.forward(tiny_params, tiny, block, empty_cache(tiny, 2, 40))
    assert np.asarray(out.cache.keep).sum(1).tolist() == [4 + 5 + 4] * 2
    kept = clear_slots(out.cache, jnp.array([True, False])).keep
    assert np.asarray(kept).sum(1).tolist() == [0, 13]


@pytest.mark.parametrize("pinned", [-16, 8, 80])
def test_a_bad_size_is_named(tiny, pinned):
    with pytest.raises(InputError, match="model.pinned"):
        dataclasses.replace(tiny, pinned=pinned)
