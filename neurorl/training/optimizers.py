"""Optimizers: optax's transforms, and a learning rate by progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from neurorl.ops import schedules
from neurorl.registry import component
from neurorl.types import Metrics, Params, Progress, Schedule, Tree


class Optimizer(NamedTuple):
  """Gradients to new parameters.

  Attributes:
    init: `params -> state`.
    update: `(gradients, state, params, progress) -> (params, state)`.
    metrics: `progress -> scalars by name`.
  """

  init: Callable[[Params], Tree]
  update: Callable[[Params, Tree, Params, Progress], tuple[Params, Tree]]
  metrics: Callable[[Progress], Metrics]


@component
def optimizer(
  learning_rate: float | Schedule,
  transforms: Sequence[optax.GradientTransformation],
) -> Optimizer:
  """Applies transforms to the gradients in turn, then a learning rate.

  The rate is not part of a transform: so any transform takes any schedule.
  `[@optax.clip_by_global_norm(), @optax.scale_by_adam()]` is Adam with clipped
  gradients; with `@optax.add_decayed_weights()` as well, AdamW.

  Args:
    learning_rate: a number above 0, or a schedule.
    transforms: optax's `clip...`, `scale_by...` and their like, first to last;
      none for stochastic gradient descent.

  Returns:
    The optimizer.

  Raises:
    ValueError: if the learning rate is negative, not finite, or 0 half way.
  """
  schedules.check("optimizer.learning_rate", learning_rate, 0.0)
  schedule = schedules.as_schedule(learning_rate)
  halfway = Progress(jnp.float32(0.5), jnp.int32(0))
  if not float(schedule(halfway)) > 0.0:
    raise ValueError(
      "optimizer.learning_rate is 0 at half the step budget; bind a number or "
      "a schedule above 0"
    )
  chain = optax.chain(*transforms)

  def update(gradients, state, params, progress):
    updates, state = chain.update(gradients, state, params)
    rate = schedule(progress)
    updates = jax.tree.map(lambda u: -rate * u, updates)
    return optax.apply_updates(params, updates), state

  return Optimizer(
    chain.init, update, lambda progress: {"learning_rate": schedule(progress)}
  )
