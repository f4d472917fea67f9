"""Rewards in units of how much returns vary: for tasks of any scale."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.loss_types import Loss, LossInputs, LossRecipe
from neurorl.ops import episodes
from neurorl.registry import component
from neurorl.types import Agent, Array, Task, TimeStep, Tree


class ReturnStatistics(NamedTuple):
  """What is known of how much returns vary.

  Attributes:
    sums: `[B]` float32, of the rewards of each environment's episode so far,
      discounted towards its beginning.
    count: `[]` float32, transitions seen.
    mean: `[]` float32, of the sums.
    square: `[]` float32, sum of squared differences from the mean.
  """

  sums: Array
  count: Array
  mean: Array
  square: Array


@component
def normalised_rewards(loss: LossRecipe, clip: float = 10.0) -> LossRecipe:
  """A loss that sees rewards divided by the deviation of discounted sums.

  The sums run along each environment's episodes, s' = gamma s + r; their
  deviation is that of everything seen in acting so far, this rollout included.
  Rewards are divided once, when a rollout is prepared: all its updates see the
  same. Returns in metrics are the environment's own.

  Engstrom et al. (2020), https://arxiv.org/abs/2005.12729

  Args:
    loss: such as `@losses()`.
    clip: divided rewards lie within +-clip.

  Returns:
    The loss's recipe; it needs a buffer of rollouts.

  Raises:
    ValueError: if clip is not positive.
  """
  if clip <= 0:
    raise ValueError(f"normalised_rewards.clip must be above 0, got {clip}")

  def build(agent: Agent, task: Task) -> Loss:
    inner = loss(agent, task)

    def init(key, num_envs):
      params, state = inner.init(key, num_envs)
      zero = jnp.float32(0)
      sums = jnp.zeros(num_envs, jnp.float32)
      return params, (state, ReturnStatistics(sums, zero, zero, zero))

    def apply(params, state, inputs: LossInputs, weights):
      state, statistics = state
      output, state = inner.apply(params, state, inputs, weights)
      return output, (state, statistics)

    def prepare(params, state, inputs: LossInputs):
      state, statistics = state
      timestep = inputs.steps.timestep
      statistics = _observe(statistics, timestep, task.discount)
      reward = timestep.reward / _deviation(statistics)
      timestep = timestep._replace(reward=jnp.clip(reward, -clip, clip))
      steps = inputs.steps._replace(timestep=timestep)
      steps, state = _prepare(inner, params, state, inputs, steps)
      return steps, (state, statistics)

    return Loss(init, apply, prepare)

  return build


def _prepare(inner: Loss, params: Tree, state: Tree, inputs, steps):
  if inner.prepare is None:
    return steps, state
  return inner.prepare(params, state, inputs._replace(steps=steps))


def _observe(
  statistics: ReturnStatistics, timestep: TimeStep, gamma: float
) -> ReturnStatistics:
  """Follows the sums along a rollout `[T+1, B]` (moments: Chan et al.)."""

  def arrive(sums, step):
    reward, first = step
    sums = jnp.where(first, 0.0, gamma * sums + reward)
    return sums, sums

  arrivals = (timestep.reward[1:], timestep.first[1:])
  last, sums = jax.lax.scan(arrive, statistics.sums, arrivals)
  mask = episodes.valid_transitions(timestep)
  new = mask.sum()
  mean = (sums * mask).sum() / jnp.maximum(new, 1)
  square = (jnp.square(sums - mean) * mask).sum()
  count = statistics.count + new
  share = new / jnp.maximum(count, 1)
  difference = mean - statistics.mean
  return ReturnStatistics(
    sums=last,
    count=count,
    mean=statistics.mean + difference * share,
    square=statistics.square
    + square
    + jnp.square(difference) * statistics.count * share,
  )


def _deviation(statistics: ReturnStatistics) -> Array:
  variance = statistics.square / jnp.maximum(statistics.count, 1)
  return jnp.sqrt(variance + 1e-8)
