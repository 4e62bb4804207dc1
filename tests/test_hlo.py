"""Programs read as text: operations, how often they run, what they send."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from interaction import hlo


def text_of(f, *args) -> str:
    return jax.jit(f).lower(*args).compile().as_text()


def test_operations_in_loops_are_counted_as_often_as_they_run():
    def body(x, _):
        inner = jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y @ y), x)
        return inner, None

    def f(x):
        return jax.lax.scan(body, x, None, length=5)[0]

    found = hlo.operations(text_of(f, jnp.ones((8, 8))))
    times = [op.times for op in found if "dot_general" in op.where]
    assert 15 in times


def test_a_loop_without_a_known_count_runs_as_often_as_one_says():
    def f(x):
        return jax.lax.while_loop(lambda y: y.sum() < 100, lambda y: jnp.sin(y @ y) + 1, x)

    text = text_of(f, jnp.ones((8, 8)))
    for outer in (1, 7):
        found = hlo.operations(text, outer)
        assert {op.times for op in found if "dot_general" in op.where} == {outer}


def test_sizes_of_types():
    assert hlo.sizes("(f32[8,2]{1,0:T(8,128)}, s32[], pred[4]{0})") == [64, 4, 4]
    assert hlo.sizes("bf16[3,5]{1,0}") == [30]
