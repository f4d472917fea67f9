"""Many copies of one environment, each starting anew after its last step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.ops import placing, trees
from neurorl.types import Array, Environment, EnvironmentSpec, TimeStep, Tree


class BatchedEnvironment(NamedTuple):
  """Environments in lockstep.

  Attributes:
    reset: `keys [B] -> (states, timesteps)`.
    step: `(keys [B, 2], states, timesteps, actions) -> (states, timesteps)`; a
      row whose timestep was `last` answers with the `first` of a new episode,
      whatever the action. Of a row's keys one is to step by, one to begin by.
    spec: that of one environment.
  """

  reset: Callable[[Array], tuple[Tree, TimeStep]]
  step: Callable[[Array, Tree, TimeStep, Array], tuple[Tree, TimeStep]]
  spec: EnvironmentSpec


def _branches_are_cheap() -> bool:
  """Whether it pays to ask if any episode ended; devices would all wait."""
  return jax.default_backend() == "cpu" and not placing.batch_is_split()


def batch(environment: Environment) -> BatchedEnvironment:
  """Batches an environment.

  Args:
    environment: one environment.

  Returns:
    Any number of it.
  """

  def step(keys, states, timesteps, actions):
    stepped = jax.vmap(environment.step)(keys[:, 0], states, actions)

    def restart():
      restarted = jax.vmap(environment.reset)(keys[:, 1])
      return jax.vmap(trees.where)(timesteps.last, restarted, stepped)

    if _branches_are_cheap():
      ended = jnp.any(timesteps.last)
      return jax.lax.cond(ended, restart, lambda: stepped)
    return restart()

  def step_then_reset(keys, states, timesteps, actions):
    stepped = jax.vmap(environment.step)(keys[:, 0], states, actions)

    def reset_one(carry):
      ended, rows = carry
      row = jnp.argmax(ended)
      fresh = environment.reset(keys[row, 1])
      rows = jax.tree.map(lambda xs, x: xs.at[row].set(x), rows, fresh)
      return ended.at[row].set(False), rows

    carry = (timesteps.last, stepped)
    return jax.lax.while_loop(lambda c: jnp.any(c[0]), reset_one, carry)[1]

  if environment.slow_reset:
    # Such programs are long: not vectorised, one compiles in half the time.
    reset = functools.partial(jax.lax.map, environment.reset)
    return BatchedEnvironment(reset, step_then_reset, environment.spec)
  return BatchedEnvironment(jax.vmap(environment.reset), step, environment.spec)
