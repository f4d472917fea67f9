"""Advantages, and targets that were worked out when a rollout was prepared."""

from __future__ import annotations

import jax

from neurorl.loss_types import LossInputs
from neurorl.losses.bootstraps import Bootstrap
from neurorl.losses.targets import Target
from neurorl.registry import component
from neurorl.types import Array


@component
def recorded(name: str) -> Target:
  """What the actor recorded, or `losses.prepare` worked out, by its name.

  Args:
    name: of the extra, `[T+1, B]`.

  Returns:
    The target.
  """

  def target(inputs: LossInputs) -> Array:
    found = inputs.steps.extras[name]
    if found.ndim != 2:
      raise ValueError(
        f"recorded.name = '{name}' has shape {list(found.shape)}, which is "
        "more than one number per transition"
      )
    return jax.lax.stop_gradient(found[: inputs.mask.shape[0]])

  return target


@component
def advantages(returns: Target, baseline: Bootstrap) -> Target:
  """How much better an action was than what was expected of the state.

  A_t = G_t - v_t. With lambda returns this is the generalised advantage
  estimate.

  Schulman et al. (2016), https://arxiv.org/abs/1506.02438

  Args:
    returns: G, such as `@lambda_returns()`.
    baseline: v, such as `@target_value()`.

  Returns:
    The target, without gradient.
  """

  def target(inputs: LossInputs) -> Array:
    expected = baseline(inputs)[: inputs.mask.shape[0]]
    return jax.lax.stop_gradient(returns(inputs) - expected)

  return target
