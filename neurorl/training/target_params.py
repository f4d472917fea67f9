"""Target parameters: how they follow those being learned."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from neurorl.registry import component
from neurorl.types import Array, Params

# (params, target params, updates so far [] int32) -> target params
TargetUpdate = Callable[[Params, Params, Array], Params]


@component
def periodic_copy(period: int) -> TargetUpdate:
  """Copies the parameters now and then.

  Mnih et al. (2015), https://doi.org/10.1038/nature14236

  Args:
    period: updates between copies, at least 1.

  Returns:
    The rule.

  Raises:
    ValueError: if the period is not positive.
  """
  if period < 1:
    raise ValueError(f"periodic_copy.period must be >= 1, got {period}")

  def update(params, target_params, updates):
    copy = updates % period == 0
    return jax.tree.map(
      lambda p, t: jnp.where(copy, p, t), params, target_params
    )

  return update


@component
def polyak(step_size: float) -> TargetUpdate:
  """Moves a little towards the parameters at every update.

  Lillicrap et al. (2016), https://arxiv.org/abs/1509.02971

  Args:
    step_size: part of the way, in (0, 1].

  Returns:
    The rule.

  Raises:
    ValueError: if the step size is out of range.
  """
  if not 0.0 < step_size <= 1.0:
    raise ValueError(f"polyak.step_size must be in (0, 1], got {step_size}")

  def update(params, target_params, updates):
    del updates
    return optax.incremental_update(params, target_params, step_size)

  return update
