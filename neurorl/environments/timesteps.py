"""The two ways in which a timestep comes about."""

from __future__ import annotations

import jax.numpy as jnp

from neurorl.types import Array, TimeStep, Tree


def restart(observation: Tree) -> TimeStep:
  """Begins an episode.

  Args:
    observation: the first observation, without batch axes.

  Returns:
    The timestep with `first`, reward 0 and discount 1.
  """
  return TimeStep(
    observation=observation,
    reward=jnp.float32(0.0),
    discount=jnp.float32(1.0),
    first=jnp.bool_(True),
    last=jnp.bool_(False),
  )


def transition(
  observation: Tree, reward: Array, terminated: Array, truncated: Array
) -> TimeStep:
  """Arrives at a step within or at the end of an episode.

  Args:
    observation: what is seen on arrival, without batch axes.
    reward: `[]`, for arriving.
    terminated: `[]` bool, nothing follows; wins where both flags are up.
    truncated: `[]` bool, time is up though something would have followed.

  Returns:
    The timestep.
  """
  terminated = jnp.asarray(terminated, bool)
  return TimeStep(
    observation=observation,
    reward=jnp.asarray(reward, jnp.float32),
    discount=1.0 - terminated.astype(jnp.float32),
    first=jnp.bool_(False),
    last=terminated | jnp.asarray(truncated, bool),
  )
