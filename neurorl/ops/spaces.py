"""Action spaces, and who can handle which."""

from __future__ import annotations

import jax
import numpy as np

from neurorl.types import (
  Array,
  ContinuousActions,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Tree,
)


def num_actions(reader: str, spec: EnvironmentSpec) -> int:
  """Counts the actions of an environment whose actions must be discrete.

  Args:
    reader: who needs them so, for the message.
    spec: of the environment.

  Returns:
    How many actions there are.

  Raises:
    ValueError: if actions are not discrete.
  """
  if not isinstance(spec.actions, DiscreteActions):
    raise ValueError(
      f"{reader} needs discrete actions, but {spec.name} has {spec.actions}; "
      "for such there are ppo_continuous.gin, sac.gin and td3.gin"
    )
  return spec.actions.num_actions


def continuous(reader: str, spec: EnvironmentSpec) -> ContinuousActions:
  """Bounds of the actions of an environment that must be vectors of numbers.

  Args:
    reader: who needs them so, for the message.
    spec: of the environment.

  Returns:
    The action space.

  Raises:
    ValueError: if actions are discrete, unbounded, or not vectors.
  """
  actions = spec.actions
  if not isinstance(actions, ContinuousActions) or actions.low.ndim != 1:
    raise ValueError(
      f"{reader} needs vectors of continuous actions, but {spec.name} has "
      f"{actions}"
    )
  if not np.all(np.isfinite(actions.low) & np.isfinite(actions.high)):
    raise ValueError(
      f"{reader} needs bounded actions, but {spec.name} has {actions.low} to "
      f"{actions.high}"
    )
  return actions


def invalid_actions(environment: Environment, env_state: Tree) -> Array | None:
  """Asks a batch of environments which actions are not allowed.

  Args:
    environment: one environment.
    env_state: `[B, ...]`.

  Returns:
    `[B, A]` bool; None where all actions are allowed, always.
  """
  if environment.invalid_actions is None:
    return None
  return jax.vmap(environment.invalid_actions)(env_state)
