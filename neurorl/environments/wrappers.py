"""Environments made of an environment."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from neurorl.registry import component
from neurorl.types import (
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  TimeStep,
  Tree,
)


def _with_observation(spec: EnvironmentSpec, observation: Tree):
  return EnvironmentSpec(spec.name, observation, spec.action, spec.actions)


def _map_timesteps(environment: Environment, function, spec=None):
  """Applies a function to every timestep."""

  def reset(key):
    state, timestep = environment.reset(key)
    return state, function(timestep)

  def step(key, state, action):
    state, timestep = environment.step(key, state, action)
    return state, function(timestep)

  return environment._replace(
    reset=reset, step=step, spec=spec or environment.spec
  )


@component
def flatten_observation(environment: Environment) -> Environment:
  """Makes one float32 vector of an observation, in the order of its leaves.

  Args:
    environment: what to wrap.

  Returns:
    The wrapped environment.
  """

  def flatten(observation):
    leaves = jax.tree.leaves(observation)
    return jnp.concatenate([x.reshape(-1).astype(jnp.float32) for x in leaves])

  size = sum(
    math.prod(x.shape) for x in jax.tree.leaves(environment.spec.observation)
  )
  vector = jax.ShapeDtypeStruct((size,), jnp.float32)
  return _map_timesteps(
    environment,
    lambda t: t._replace(observation=flatten(t.observation)),
    _with_observation(environment.spec, vector),
  )


@component
def scale_reward(environment: Environment, scale: float) -> Environment:
  """Multiplies rewards, for learning and for every figure that is reported.

  Args:
    environment: what to wrap.
    scale: the factor.

  Returns:
    The wrapped environment.
  """
  return _map_timesteps(
    environment, lambda t: t._replace(reward=t.reward * scale)
  )


@component
def clip_reward(
  environment: Environment, low: float = -1.0, high: float = 1.0
) -> Environment:
  """Clips rewards, for learning and for every figure that is reported.

  Args:
    environment: what to wrap.
    low: the least reward.
    high: the greatest reward, at least `low`.

  Returns:
    The wrapped environment.

  Raises:
    ValueError: if `low` exceeds `high`.
  """
  if low > high:
    raise ValueError(
      f"clip_reward.low = {low} exceeds clip_reward.high = {high}"
    )

  def clip(timestep: TimeStep):
    clipped = jnp.clip(timestep.reward, low, high)
    # A first step has no reward, whatever the bounds.
    return timestep._replace(reward=jnp.where(timestep.first, 0.0, clipped))

  return _map_timesteps(environment, clip)


@component
def time_limit_is_terminal(environment: Environment) -> Environment:
  """Treats time-outs as terminations, where running out of time is the task.

  gymnax's DiscountingChain and its bandits, say, end in no other way.

  Args:
    environment: what to wrap.

  Returns:
    The wrapped environment.
  """

  def terminate(timestep: TimeStep):
    discount = jnp.where(timestep.last, 0.0, timestep.discount)
    return timestep._replace(discount=discount)

  return _map_timesteps(environment, terminate)


@component
def limit_episode(environment: Environment, max_steps: int) -> Environment:
  """Times an episode out after some steps, if it has not ended before.

  Args:
    environment: what to wrap.
    max_steps: transitions in the longest episode, at least 1.

  Returns:
    The wrapped environment.

  Raises:
    ValueError: if `max_steps` is not positive.
  """
  if max_steps < 1:
    raise ValueError(f"limit_episode.max_steps must be >= 1, got {max_steps}")

  def reset(key):
    state, timestep = environment.reset(key)
    return (state, jnp.int32(0)), timestep

  def step(key, state, action):
    inner, steps = state
    inner, timestep = environment.step(key, inner, action)
    last = timestep.last | (steps + 1 >= max_steps)
    return (inner, steps + 1), timestep._replace(last=last)

  def of_inner(function):
    return function and (lambda state: function(state[0]))

  return environment._replace(
    reset=reset,
    step=step,
    invalid_actions=of_inner(environment.invalid_actions),
    render=of_inner(environment.render),
  )


@component
def observation_action_reward(environment: Environment) -> Environment:
  """Lets the agent also see its previous action and the reward it brought.

  The observation becomes `{'observation', 'action', 'reward'}`: a discrete
  action one-hot, action and reward zeros at the start of an episode.

  Kapturowski et al. (2019), https://openreview.net/forum?id=r1lyTjAqYX

  Args:
    environment: what to wrap.

  Returns:
    The wrapped environment.
  """
  spec = environment.spec
  discrete = isinstance(spec.actions, DiscreteActions)

  def encode(action):
    if discrete:
      return jax.nn.one_hot(action, spec.actions.num_actions)
    return action

  def observe(timestep, action):
    seen = {
      "observation": timestep.observation,
      "action": action,
      "reward": timestep.reward,
    }
    return timestep._replace(observation=seen)

  def reset(key):
    state, timestep = environment.reset(key)
    none = jnp.zeros_like(
      encode(jnp.zeros(spec.action.shape, spec.action.dtype))
    )
    return state, observe(timestep, none)

  def step(key, state, action):
    state, timestep = environment.step(key, state, action)
    return state, observe(timestep, encode(action))

  observation = jax.eval_shape(lambda: reset(jax.random.key(0))[1].observation)
  return environment._replace(
    reset=reset, step=step, spec=_with_observation(spec, observation)
  )
