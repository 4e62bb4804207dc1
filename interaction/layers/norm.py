"""RMSNorm, in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def rms_norm(x: jax.Array, scale: jax.Array | None, eps: float) -> jax.Array:
    """x / rms(x) over the last axis, times `scale` [last axis] unless None."""
    x32 = x.astype(jnp.float32)
    x32 = x32 * jax.lax.rsqrt(jnp.mean(x32 * x32, -1, keepdims=True) + eps)
    y = x32.astype(x.dtype)
    return y if scale is None else y * scale.astype(x.dtype)
