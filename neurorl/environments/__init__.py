"""Adapters from other libraries' environments to ours, and wrappers.

What lives here: recipes of `types.Environment` (an adapter per library, the
probe environments, wrappers), and the batching that the loop uses.

May import: `types`, `registry`, `ops`, jax; a library of environments only
inside the functions of its own module.

To add one: write `@component def my_task(...) -> Environment`. `reset` yields
a timestep with `first`, `step` one with `last` where the episode ends and
discount 0 where it *terminates*; neither ever resets by itself. `restart` and
`transition` build such timesteps. For a library, `adapting` has what adapters
share; one that is no requirement of this package is imported by its `library`.
"""

from neurorl.environments.batching import BatchedEnvironment, batch
from neurorl.environments.collect_objects import collect_objects
from neurorl.environments.craftax_adapter import craftax
from neurorl.environments.dm_env_adapter import dm_env_like
from neurorl.environments.gymnax_adapter import gymnax, gymnax_like
from neurorl.environments.navix_adapter import navix
from neurorl.environments.pgx_adapter import pgx
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
from neurorl.environments.xland_minigrid_adapter import xland_minigrid

__all__ = [
  "BatchedEnvironment",
  "batch",
  "clip_reward",
  "collect_objects",
  "craftax",
  "dm_env_like",
  "flatten_observation",
  "gymnax",
  "gymnax_like",
  "limit_episode",
  "navix",
  "observation_action_reward",
  "pgx",
  "probe",
  "restart",
  "scale_reward",
  "time_limit_is_terminal",
  "transition",
  "two_step",
  "xland_minigrid",
]
