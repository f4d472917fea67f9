"""XLand-MiniGrid: grids of rules and goals, and MiniGrid's tasks.

Nikulin et al. (2024), https://arxiv.org/abs/2312.12044
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import registry
from neurorl.environments import adapting, dm_env_adapter
from neurorl.registry import component
from neurorl.types import DiscreteActions, Environment, Key, Tree


@component
def xland_minigrid(
  name: str = "MiniGrid-DoorKey-5x5",
  parameters: Mapping[str, Any] | None = None,
  benchmark: str | None = None,
  num_rulesets: int = 1_000,
) -> Environment:
  """Makes an environment of XLand-MiniGrid by name.

  Reaching the goal terminates, with reward 1 - 0.9 steps / max_steps; the time
  limit `max_steps` times out. The observation is what the agent sees before it,
  `[rows, columns, 2]` uint8, the tile and the colour.

  Nikulin et al. (2024), https://arxiv.org/abs/2312.12044

  Args:
    name: a registered name, such as 'MiniGrid-DoorKey-5x5' or
      'XLand-MiniGrid-R1-9x9'.
    parameters: fields of its `EnvParams` to change, such as `{'max_steps':
      100}`.
    benchmark: what an episode's rules and goal are drawn from: a name such as
      'trivial-21k', which is downloaded, or a file of that format; None for the
      task's own. Of names that begin with 'XLand'.
    num_rulesets: how many of it, from its beginning; they are kept in memory.

  Returns:
    The environment.

  Raises:
    ValueError: if xminigrid is not installed, or has no such environment,
      parameter or benchmark, or num_rulesets is not positive.
  """
  library = adapting.library("xminigrid", "xland-minigrid")
  names = library.registered_environments()
  adapting.check_name("xland_minigrid.name", name, names)
  if num_rulesets < 1:
    raise ValueError(
      f"xland_minigrid.num_rulesets must be >= 1, got {num_rulesets}"
    )
  env, params = library.make(name)
  params = adapting.replaced(
    f"xland_minigrid.parameters: {name}", params, dict(parameters or {})
  )
  drawn = _drawn(library, name, params, benchmark, num_rulesets)

  def reset(key):
    draw_key, reset_key = jax.random.split(key)
    timestep = env.reset(drawn(draw_key), reset_key)
    return timestep, timestep

  def step(key, state, action):
    del key  # nothing is left to chance after the reset
    timestep = env.step(params, state, action)
    return timestep, timestep

  def render(state):
    return np.asarray(env.render(params, state), np.uint8)

  space = DiscreteActions(int(env.num_actions(params)))
  return dm_env_adapter.adapt(name, space, reset, step, render)


def _drawn(
  library: Any, name: str, params: Any, benchmark: str | None, count: int
) -> Callable[[Key], Tree]:
  """Returns `key -> parameters` of an episode, with its rules and goal."""
  if benchmark is None:
    return lambda key: params
  if not hasattr(params, "ruleset"):
    raise ValueError(
      f"xland_minigrid.benchmark = '{benchmark}': {name} has no rulesets; bind "
      "a name such as 'XLand-MiniGrid-R1-9x9'"
    )
  if os.path.exists(benchmark):
    module = adapting.library("xminigrid.benchmarks", "xland-minigrid")
    loaded = module.load_benchmark_from_path(benchmark)
  else:
    names = library.registered_benchmarks()
    if benchmark not in names:
      hint = registry.nearest(benchmark, names)
      raise ValueError(
        f"xland_minigrid.benchmark = '{benchmark}': no such file or "
        f"benchmark{hint}"
      )
    loaded = library.load_benchmark(benchmark)
  # A million of them as constants of a program would not compile.
  kept = jax.tree.map(lambda x: jnp.asarray(x[:count]), loaded)

  return lambda key: params.replace(ruleset=kept.sample_ruleset(key))
