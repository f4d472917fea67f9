"""Acting: a rollout of steps, and statistics of the episodes that end in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.environments import BatchedEnvironment
from neurorl.types import (
  Actor,
  Agent,
  Array,
  Key,
  Params,
  Progress,
  Step,
  TimeStep,
  Tree,
)


class Acting(NamedTuple):
  """Where every environment stands, `[B, ...]` all.

  Attributes:
    timestep: what the environments said last; not answered yet.
    env_state: theirs.
    agent_state: the agent's, before that timestep.
    actor_state: the actor's.
    episode_return: `[B]` float32, rewards of the episode so far.
    episode_length: `[B]` int32, transitions of the episode so far.
  """

  timestep: TimeStep
  env_state: Tree
  agent_state: Tree
  actor_state: Tree
  episode_return: Array
  episode_length: Array


class Tally(NamedTuple):
  """Sums over a rollout, `[]` each.

  Attributes:
    transitions: int32, steps from a state that was not `last`.
    episodes: int32, episodes that ended.
    returns: float32, the sum of their returns.
    lengths: int32, the sum of their lengths in transitions.
  """

  transitions: Array
  episodes: Array
  returns: Array
  lengths: Array


Collect = Callable[[Params, Acting, Key, Progress], tuple[Acting, Step, Tally]]


def init(
  environment: BatchedEnvironment,
  agent: Agent,
  actor: Actor,
  params: Params,
  num_envs: int,
  key: Key,
) -> Acting:
  """Begins an episode in every environment.

  Args:
    environment: the batch.
    agent: for its initial state.
    actor: for its initial state.
    params: the agent's.
    num_envs: `B`.
    key: a random key.

  Returns:
    Where every environment stands.
  """
  env_key, actor_key = jax.random.split(key)
  env_state, timestep = environment.reset(jax.random.split(env_key, num_envs))
  return Acting(
    timestep=timestep,
    env_state=env_state,
    agent_state=agent.initial_state(params, num_envs),
    actor_state=actor.init(actor_key, num_envs),
    episode_return=jnp.zeros(num_envs),
    episode_length=jnp.zeros(num_envs, jnp.int32),
  )


def make(
  environment: BatchedEnvironment,
  actor: Actor,
  unroll_length: int,
  extras: Collection[str],
  peeks: bool,
) -> Collect:
  """Makes the acting half of an iteration.

  Args:
    environment: the batch.
    actor: who acts.
    unroll_length: steps of a rollout, `T`.
    extras: names of what the actor records that is to be kept.
    peeks: whether to end with the step that the next rollout begins with: what
      is predicted there is recorded, the action thrown away.

  Returns:
    `(params, acting, key, progress) -> (acting, steps [T, B], tally)`;
    `[T+1, B]` if it peeks.
  """

  def collect(params, acting, key, progress):
    def body(acting, keys):
      return _step(environment, actor, extras, params, acting, *keys, progress)

    # All at once: each call of the generator costs as much as a small network.
    num_envs = acting.episode_return.shape[0]
    decisions = unroll_length + peeks
    keys = jax.random.split(key, 2 * (decisions + unroll_length * num_envs))
    actor_keys = keys[: 2 * decisions].reshape(decisions, 2)
    env_keys = keys[2 * decisions :]
    acting, (steps, seen) = jax.lax.scan(
      body,
      acting,
      (
        actor_keys[:unroll_length],
        env_keys.reshape(unroll_length, num_envs, 2),
      ),
    )
    if peeks:
      last, _ = _act(actor, extras, params, acting, actor_keys[-1], progress)
      steps = jax.tree.map(
        lambda x, y: jnp.concatenate([x, y[None]]), steps, last
      )
    return acting, steps, _tally(steps.timestep.last[:unroll_length], *seen)

  return collect


def _tally(
  before: Array, ended: Array, returns: Array, lengths: Array
) -> Tally:
  """Sums up a rollout `[T, B]` at once: devices then meet once, not T times.

  Args:
    before: whether the steps that were answered were `last`.
    ended: whether those that came of it are.
    returns: of the episodes then.
    lengths: of the episodes then.

  Returns:
    The sums.
  """
  return Tally(
    transitions=jnp.sum(~before, dtype=jnp.int32),
    episodes=jnp.sum(ended, dtype=jnp.int32),
    returns=jnp.sum(jnp.where(ended, returns, 0.0)),
    lengths=jnp.sum(jnp.where(ended, lengths, 0)),
  )


def _act(actor, extras, params, acting, keys, progress):
  decided = actor.step(
    params,
    keys,
    acting.timestep,
    acting.env_state,
    acting.agent_state,
    acting.actor_state,
    progress,
  )
  kept = {name: decided.extras[name] for name in extras}
  step = Step(acting.timestep, decided.action, kept, acting.agent_state)
  return step, decided


def _step(
  environment, actor, extras, params, acting, actor_keys, env_keys, progress
):
  before = acting.timestep
  step, decided = _act(actor, extras, params, acting, actor_keys, progress)
  env_state, after = environment.step(
    env_keys, acting.env_state, before, decided.action
  )
  episode_return = jnp.where(
    after.first, 0.0, acting.episode_return + after.reward
  )
  episode_length = jnp.where(after.first, 0, acting.episode_length + 1)
  acting = Acting(
    timestep=after,
    env_state=env_state,
    agent_state=decided.agent_state,
    actor_state=decided.actor_state,
    episode_return=episode_return,
    episode_length=episode_length,
  )
  return acting, (step, (after.last, episode_return, episode_length))
