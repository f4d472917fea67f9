"""Adapters from other libraries' environments to ours, and wrappers.

What lives here: recipes of `types.Environment` (an adapter per library, the
probe environments, wrappers), and the batching that the loop uses.

May import: `types`, `registry`, `ops`, jax; a library of environments only
inside the functions of its own module.

To add one: write `@component def my_task(...) -> Environment`. `reset` yields
a timestep with `first`, `step` one with `last` where the episode ends and
discount 0 where it *terminates*; neither ever resets by itself. `restart` and
`transition` build such timesteps.
"""

from neurorl.environments.batching import BatchedEnvironment, batch
from neurorl.environments.collect_objects import collect_objects
from neurorl.environments.gymnax_adapter import gymnax
from neurorl.environments.probes import probe
from neurorl.environments.timesteps import restart, transition
from neurorl.environments.two_step import two_step
from neurorl.environments.wrappers import (
  clip_reward,
  flatten_observation,
  limit_episode,
  observation_action_reward,
  scale_reward,
  time_limit_is_terminal,
)

__all__ = [
  "BatchedEnvironment",
  "batch",
  "clip_reward",
  "collect_objects",
  "flatten_observation",
  "gymnax",
  "limit_episode",
  "observation_action_reward",
  "probe",
  "restart",
  "scale_reward",
  "time_limit_is_terminal",
  "transition",
  "two_step",
]
