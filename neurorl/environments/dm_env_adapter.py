"""Environments whose pure functions yield dm_env's timesteps, as jumanji's do.

Bonnet et al. (2024), https://arxiv.org/abs/2306.09884
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from neurorl.environments import adapting
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import (
  ActionSpace,
  Array,
  Environment,
  EnvironmentSpec,
  Key,
  Tree,
)

_LAST = 2  # dm_env.StepType.LAST


@component
def dm_env_like(
  path: str, arguments: Mapping[str, Any] | None = None
) -> Environment:
  """Makes an environment of your own that yields dm_env's timesteps.

  It has `action_spec`, `reset(key) -> (state, timestep)` and `step(state,
  action) -> (state, timestep)`, or `step(state, action, key)`. A timestep has
  `observation`, `reward`, `discount` and `step_type`, which is 2 at the last
  step: with discount 0 it has terminated, with any other it timed out. Where
  the timestep is the state too, both functions yield and take that alone.

  Muldal et al. (2019), https://github.com/google-deepmind/dm_env

  Args:
    path: of its class, or a function that makes it, such as
      'jumanji.environments.Snake'.
    arguments: that it is made with.

  Returns:
    The environment.

  Raises:
    ValueError: if there is no such class, argument or function.
  """
  make = adapting.by_path("dm_env_like.path", path)
  where = f"dm_env_like.arguments of '{path}'"
  env = adapting.made(where, make, dict(arguments or {}))
  for name in ("reset", "step", "action_spec"):
    if not hasattr(env, name):
      raise ValueError(f"dm_env_like.path = '{path}' has no {name}")
  spec = env.action_spec() if callable(env.action_spec) else env.action_spec
  space = adapting.action_space(f"dm_env_like.path = '{path}'", spec)
  takes_key = "key" in inspect.signature(env.step).parameters

  def step(key, state, action):
    return _pair(env.step(state, action, **({"key": key} if takes_key else {})))

  return adapt(path, space, lambda key: _pair(env.reset(key)), step)


def adapt(
  name: str,
  space: ActionSpace,
  reset: Callable[[Key], tuple[Tree, Any]],
  step: Callable[[Key, Tree, Array], tuple[Tree, Any]],
  render: Callable[[Tree], np.ndarray] | None = None,
) -> Environment:
  """Adapts functions that yield dm_env's timesteps.

  Args:
    name: of the environment.
    space: of its actions.
    reset: `key -> (state, timestep)`.
    step: `(key, state, action) -> (state, timestep)`.
    render: `state -> [H, W, 3] uint8`; None for none.

  Returns:
    The environment.
  """
  state_spec, first = adapting.strong(jax.eval_shape(reset, jax.random.key(0)))

  def our_reset(key):
    state, timestep = reset(key)
    seen = adapting.held(first.observation, timestep.observation)
    return adapting.held(state_spec, state), restart(seen)

  def our_step(key, state, action):
    state, timestep = step(key, state, action)
    seen = adapting.held(first.observation, timestep.observation)
    last = timestep.step_type == _LAST
    dead = last & (timestep.discount == 0.0)
    return adapting.held(state_spec, state), transition(
      seen, timestep.reward, dead, last & ~dead
    )

  action = adapting.action_spec(space)
  spec = EnvironmentSpec(name, first.observation, action, space)
  return Environment(our_reset, our_step, spec, render=render)


def _pair(yielded: Any) -> tuple[Tree, Any]:
  """A state and a timestep, where the timestep may be both."""
  if hasattr(yielded, "step_type"):
    return yielded, yielded
  return yielded
