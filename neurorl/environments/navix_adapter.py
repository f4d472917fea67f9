"""navix: MiniGrid's tasks in JAX.

Pignatelli et al. (2024), https://arxiv.org/abs/2407.19396
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from neurorl import registry
from neurorl.environments import adapting, pictures
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Environment, EnvironmentSpec

_OBSERVATIONS = (
  "categorical",
  "categorical_first_person",
  "rgb",
  "rgb_first_person",
  "symbolic",
  "symbolic_first_person",
)


@component
def navix(
  name: str = "Navix-Empty-5x5-v0",
  observation: str = "symbolic_first_person",
  max_steps: int = 100,
  arguments: Mapping[str, Any] | None = None,
) -> Environment:
  """Makes an environment of navix by name.

  The task's own end, such as the goal or lava, terminates; the time limit times
  out.

  Pignatelli et al. (2024), https://arxiv.org/abs/2407.19396

  Args:
    name: a registered name, such as 'Navix-DoorKey-5x5-v0'.
    observation: a function of `navix.observations`: 'symbolic', 'categorical'
      or 'rgb' of the grid, or each with '_first_person' of what lies before the
      agent.
    max_steps: transitions in the longest episode, at least 1.
    arguments: that its class is made with, such as `{'penality_coeff': 0.9}`.

  Returns:
    The environment.

  Raises:
    ValueError: if navix is not installed, or has no such environment,
      observation or argument, or max_steps is not positive.
  """
  library = adapting.library("navix", "navix")
  adapting.check_name("navix.name", name, library.registry())
  if observation not in _OBSERVATIONS:
    hint = registry.nearest(observation, _OBSERVATIONS)
    raise ValueError(f"navix.observation = '{observation}': unknown{hint}")
  if max_steps < 1:
    raise ValueError(f"navix.max_steps must be >= 1, got {max_steps}")
  settings = {
    "name": name,
    "max_steps": max_steps,
    "observation_fn": getattr(library.observations, observation),
    **dict(arguments or {}),
  }
  env = adapting.made(f"navix.arguments of '{name}'", library.make, settings)
  began = adapting.strong(jax.eval_shape(env.reset, jax.random.key(0)))

  def reset(key):
    state = adapting.held(began, env.reset(key))
    return state, restart(state.observation)

  def step(key, state, action):
    # Its `step` resets by itself. What is left to chance is drawn by the key in
    # its state, which is ours from now on.
    state = state.replace(state=state.state.replace(key=key))
    state = adapting.held(began, env._step(state, action))
    kinds = library.StepType
    return state, transition(
      state.observation,
      state.reward,
      state.step_type == kinds.TERMINATION,
      state.step_type == kinds.TRUNCATION,
    )

  def render(state):
    # Eight pixels a cell.
    picture = np.asarray(library.observations.rgb(state.state), np.uint8)
    return pictures.enlarge(picture)

  space = adapting.action_space(f"navix.name = '{name}'", env.action_space)
  action = adapting.action_spec(space)
  spec = EnvironmentSpec(name, began.observation, action, space)
  return Environment(reset, step, spec, render=render)
