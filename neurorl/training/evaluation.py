"""Evaluation: exactly N whole episodes of one policy, none counted twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.environments import batch
from neurorl.registry import component
from neurorl.training.devices import Layout
from neurorl.types import (
  ActorRecipe,
  Agent,
  Array,
  Environment,
  Key,
  Params,
  Progress,
  Task,
)


class EpisodeReport(NamedTuple):
  """What evaluation saw, `[episodes]` each.

  Attributes:
    episode_return: float32.
    episode_length: int32, transitions.
    capped: bool, cut by `evaluator.max_steps`, not by the environment.
  """

  episode_return: Array
  episode_length: Array
  capped: Array


# By the prefix of its metrics' names: 'evaluation', and 'evaluation/NAME' for
# those beside it.
Reports = Mapping[str, EpisodeReport]
Evaluate = Callable[[Params, Key], Reports]


@dataclasses.dataclass(frozen=True)
class Evaluator:
  """When and how the policy is evaluated.

  Attributes:
    actor: the recipe of who acts.
    episodes: whole episodes, in as many environments.
    max_steps: transitions after which an episode is cut.
    every_steps: environment steps between evaluations; 0 for only at the end.
    beside: more actors to judge by the same parameters, by name.
    environment: what they act in; None for the task's.
  """

  actor: ActorRecipe
  episodes: int
  max_steps: int
  every_steps: int
  beside: Mapping[str, ActorRecipe]
  environment: Environment | None = None

  @property
  def names(self) -> tuple[str, ...]:
    """The prefixes of metrics' names, that of `actor` first."""
    return ("evaluation", *(f"evaluation/{name}" for name in self.beside))

  def build(
    self, task: Task, agent: Agent, layout: Layout | None = None
  ) -> Evaluate:
    """Makes `(params, key) -> Reports`, its episodes split over devices."""
    if self.environment is not None:
      _check_same(task.environment, self.environment)
      task = Task(self.environment, task.discount)
    recipes = [self.actor, *self.beside.values()]
    actors = [recipe(agent, task) for recipe in recipes]
    environment = batch(task.environment)
    layout = layout or Layout()

    def evaluate(params, key):
      keys = jax.random.split(key, len(actors))
      return {
        name: _evaluate(
          self, environment, agent, actor, layout, params, keys[i]
        )
        for i, (name, actor) in enumerate(zip(self.names, actors, strict=True))
      }

    return evaluate


@component
def evaluator(
  actor: ActorRecipe,
  episodes: int = 128,
  max_steps: int = 10_000,
  every_steps: int = 0,
  beside: Mapping[str, ActorRecipe] | None = None,
  environment: Environment | None = None,
) -> Evaluator:
  """Evaluates whole episodes of a policy, at the end and now and then.

  Each of as many environments plays one episode, so that short episodes are
  not seen more often than long ones.

  Args:
    actor: who acts, such as `@greedy()`.
    episodes: how many, at least 1.
    max_steps: transitions after which an episode that does not end is cut.
    every_steps: environment steps between evaluations, rounded up to whole
      chunks; 0 for only at the end.
    beside: more actors to judge by the same parameters, by the names that their
      metrics get: the policy head without its search, say.
    environment: what they act in, such as tasks that were not trained on; None
      for `train.environment`.

  Returns:
    The evaluator.

  Raises:
    ValueError: if a number is out of range or, at build, if observations or
      actions are not those of `train.environment`.
  """
  for name, value, least in [
    ("episodes", episodes, 1),
    ("max_steps", max_steps, 1),
    ("every_steps", every_steps, 0),
  ]:
    if value < least:
      raise ValueError(f"evaluator.{name} must be >= {least}, got {value}")
  return Evaluator(
    actor, episodes, max_steps, every_steps, dict(beside or {}), environment
  )


def _check_same(trained: Environment, judged: Environment) -> None:
  for part in ("observation", "action"):
    ours, theirs = [getattr(x.spec, part) for x in (trained, judged)]
    if ours != theirs:
      raise ValueError(
        f"evaluator.environment has {part} {theirs}, but train.environment has "
        f"{ours}"
      )


class _Carry(NamedTuple):
  timestep: tuple
  env_state: tuple
  agent_state: tuple
  actor_state: tuple
  report: EpisodeReport
  done: Array
  key: Key
  steps: Array


def _evaluate(settings, environment, agent, actor, layout, params, key):
  count = settings.episodes
  reset_key, actor_key, key = jax.random.split(key, 3)
  env_state, timestep = environment.reset(jax.random.split(reset_key, count))
  progress = Progress(jnp.float32(1.0), jnp.int32(0))

  def unfinished(carry):
    return ~jnp.all(carry.done) & (carry.steps < settings.max_steps)

  def body(carry):
    keys = jax.random.split(carry.key, 4)
    key, env_key, actor_keys = keys[0], keys[1], keys[2:]
    decided = actor.step(
      params,
      actor_keys,
      carry.timestep,
      carry.env_state,
      carry.agent_state,
      carry.actor_state,
      progress,
    )
    env_state, timestep = environment.step(
      jax.random.split(env_key, (count, 2)),
      carry.env_state,
      carry.timestep,
      decided.action,
    )
    report = carry.report
    report = EpisodeReport(
      report.episode_return + jnp.where(carry.done, 0.0, timestep.reward),
      report.episode_length + ~carry.done,
      report.capped,
    )
    return _Carry(
      timestep,
      env_state,
      decided.agent_state,
      decided.actor_state,
      report,
      carry.done | timestep.last,
      key,
      carry.steps + 1,
    )

  carry = _Carry(
    timestep=timestep,
    env_state=env_state,
    agent_state=agent.initial_state(params, count),
    actor_state=actor.init(actor_key, count),
    report=EpisodeReport(
      jnp.zeros(count), jnp.zeros(count, jnp.int32), jnp.zeros(count, bool)
    ),
    done=jnp.zeros(count, bool),
    key=key,
    steps=jnp.int32(0),
  )
  carry = layout.split(carry, axis=0)
  carry = jax.lax.while_loop(unfinished, body, carry)
  return carry.report._replace(capped=~carry.done)
