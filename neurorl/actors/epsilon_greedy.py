"""Greedy actions, and random ones with probability epsilon."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from neurorl.ops import outputs as outputs_lib
from neurorl.ops import schedules, spaces
from neurorl.ops.selection import select
from neurorl.registry import component
from neurorl.types import (
  Actor,
  ActorOutput,
  ActorRecipe,
  Agent,
  Array,
  DiscreteActions,
  Schedule,
  Task,
)


@dataclasses.dataclass(frozen=True)
class PerEnvironment:
  """A value for each environment, kept for life.

  Attributes:
    values: `num_envs -> [B]`.
  """

  values: Callable[[int], Array]


@component
def log_spaced(base: float = 0.4, exponent: float = 7.0) -> PerEnvironment:
  """One epsilon per environment: base ** (1 + exponent * i / (B - 1)).

  Horgan et al. (2018), https://arxiv.org/abs/1803.00933

  Args:
    base: the greatest epsilon, in (0, 1).
    exponent: the least epsilon is base ** (1 + exponent); not negative.

  Returns:
    The epsilons, by the number of environments.

  Raises:
    ValueError: if an argument is out of range.
  """
  if not 0.0 < base < 1.0 or exponent < 0.0:
    raise ValueError(
      "log_spaced needs 0 < base < 1 and exponent >= 0, got base "
      f"{base}, exponent {exponent}"
    )
  return PerEnvironment(
    lambda num_envs: base ** (1.0 + exponent * jnp.linspace(0, 1, num_envs))
  )


@component
def epsilon_greedy(
  epsilon: float | Schedule | PerEnvironment, head: str = "q"
) -> ActorRecipe:
  """Takes the action of highest value, or with probability epsilon any.

  It records the means of all heads by their names, `'log_prob'` `[B]` of the
  action and `'probabilities'` `[B, A]` of all.

  Args:
    epsilon: a number, a schedule, or `log_spaced()`.
    head: the head of action values, `'mean'` `[B, A]`.

  Returns:
    The actor's recipe.

  Raises:
    ValueError: if epsilon is not a probability or, at build, if actions are
      not discrete.
  """
  if not isinstance(epsilon, PerEnvironment):
    schedules.check("epsilon_greedy.epsilon", epsilon, 0.0, 1.0)

  def build(agent: Agent, task: Task) -> Actor:
    spec = task.environment.spec
    num_actions = spaces.num_actions("epsilon_greedy", spec)

    def init(key, num_envs):
      del key
      if isinstance(epsilon, PerEnvironment):
        return epsilon.values(num_envs)
      return ()

    def step(
      params, keys, timestep, env_state, agent_state, actor_state, progress
    ):
      agent_key, explore_key = keys
      outputs, agent_state = agent.step(
        params, agent_key, timestep, agent_state, "acting"
      )
      q = outputs_lib.read(outputs, head, "epsilon_greedy")
      if isinstance(epsilon, PerEnvironment):
        probability = actor_state
      else:
        probability = schedules.as_schedule(epsilon)(progress)
      batch = q.shape[:-1]
      explore, which = jax.random.uniform(explore_key, (2, *batch))
      explore = explore < probability
      invalid = spaces.invalid_actions(task.environment, env_state)
      random = _any(which, num_actions, invalid)
      best = best_action(q, invalid)
      action = jnp.where(explore, random, best)
      policy = _epsilon_soft(best, probability, num_actions, invalid)
      extras = {
        **outputs_lib.record(outputs),
        "log_prob": jnp.log(select(policy, action)),
        "probabilities": policy,
      }
      return ActorOutput(action, extras, agent_state, actor_state)

    return Actor(init, step)

  return build


@component
def greedy(head: str = "q") -> ActorRecipe:
  """Takes the action of highest value or probability: for evaluation.

  It records the means of all heads by their names and, where actions are
  discrete, `'probabilities'` `[B, A]`: one for the action.

  Args:
    head: the head of action values or of a policy, `'mean'` `[B, A]`; where
      actions are continuous, of a policy.

  Returns:
    The actor's recipe.

  Raises:
    ValueError: at build, if actions are continuous and the head is no policy.
  """

  def build(agent: Agent, task: Task) -> Actor:
    spec = task.environment.spec
    discrete = isinstance(spec.actions, DiscreteActions)
    policy = agent.distributions.get(head)
    if not discrete and policy is None:
      raise ValueError(
        f"greedy: {spec.name} has {spec.actions} actions, which only a policy "
        f"chooses, and head '{head}' is none; bind greedy.head"
      )

    def step(
      params, keys, timestep, env_state, agent_state, actor_state, progress
    ):
      del progress
      outputs, agent_state = agent.step(
        params, keys[0], timestep, agent_state, "evaluating"
      )
      extras = outputs_lib.record(outputs)
      if discrete:
        preferences = outputs_lib.read(outputs, head, "greedy")
        invalid = spaces.invalid_actions(task.environment, env_state)
        action = best_action(preferences, invalid)
        extras["probabilities"] = jax.nn.one_hot(
          action, spec.actions.num_actions
        )
      else:
        action = policy.mode(outputs[head])
      return ActorOutput(action, extras, agent_state, actor_state)

    return Actor(lambda key, num_envs: (), step)

  return build


def best_action(q: Array, invalid: Array | None) -> Array:
  """Picks the action of highest value among those that are allowed.

  Args:
    q: `[B, A]`.
    invalid: `[B, A]` bool, or None where all are allowed.

  Returns:
    `[B]` int32.
  """
  if invalid is not None:
    q = jnp.where(invalid, -jnp.inf, q)
  return jnp.argmax(q, axis=-1).astype(jnp.int32)


def _epsilon_soft(
  best: Array, epsilon: Array, num_actions: int, invalid: Array | None
) -> Array:
  """Probabilities `[B, A]`: epsilon shared by all allowed, the rest to one."""
  allowed = jnp.ones((*best.shape, num_actions))
  if invalid is not None:
    allowed = 1.0 - invalid
  any_ = allowed / jnp.sum(allowed, axis=-1, keepdims=True)
  epsilon = jnp.broadcast_to(epsilon, best.shape)[..., None]
  return epsilon * any_ + (1.0 - epsilon) * jax.nn.one_hot(best, num_actions)


def _any(which: Array, num_actions: int, invalid: Array | None) -> Array:
  """The action at that part, `[B]` from 0 to 1, of those that are allowed."""
  if invalid is None:
    return (which * num_actions).astype(jnp.int32)
  rank = jnp.cumsum(~invalid, axis=-1)
  place = (which * rank[..., -1]).astype(jnp.int32)
  return jnp.argmax(rank > place[..., None], axis=-1).astype(jnp.int32)
