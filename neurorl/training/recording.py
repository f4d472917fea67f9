"""Whole episodes of trained agents, with all that was seen and thought."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.environments import batch
from neurorl.ops import outputs as outputs_lib
from neurorl.ops import spaces
from neurorl.training import executables, judging
from neurorl.training.gathering import Played, Seen, Tally
from neurorl.types import Actor, ActorRecipe, Agent, Params, Progress, Task

# Steps between two looks at which episodes are over.
_CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Settings:
  """What is played.

  Attributes:
    actor: the recipe of who acts.
    episodes: for each agent, at least 1.
    environments: in lockstep, at least 1; each plays a number of episodes that
      is settled before, so that long ones are seen as often as short ones.
    max_steps: transitions of the longest episode; one that has not ended by
      then is an error.
    seed: of the episodes.
    value_head: whose value is read; None for the likeliest.
    keep_states: whether the environments' states are kept, for pictures.
  """

  actor: ActorRecipe
  episodes: int
  environments: int
  max_steps: int = 10_000
  seed: int = 0
  value_head: str | None = None
  keep_states: bool = False


def play(
  task: Task,
  agent: Agent,
  params: Sequence[Params],
  subjects: Sequence[int],
  settings: Settings,
) -> Played:
  """Plays episodes with several agents, in one program.

  Args:
    task: what is played, and its discount.
    agent: the network.
    params: of each agent.
    subjects: what each is called: its seed.
    settings: how much, and who acts.

  Returns:
    The rows of all whole episodes.

  Raises:
    ValueError: if an episode does not end, or there is no such value head.
  """
  size = min(settings.environments, settings.episodes)
  settings = dataclasses.replace(settings, environments=size)
  start, advance = _program(task, agent, settings)
  count = len(params)
  params = jax.tree.map(lambda *xs: jnp.stack(xs), *params)
  keys = jax.random.split(jax.random.key(settings.seed), count)
  carry = _compiled(lambda x: start(*x), count, (params, keys))((params, keys))
  step = _compiled(lambda x: advance(*x), count, (params, carry))
  tally = Tally(settings.episodes, size, settings.max_steps, count)
  while not tally.done:
    carry, seen = step((params, carry))
    tally.add(seen)
  return tally.played(np.asarray(subjects), task.discount)


def _compiled(function, count, arguments):
  jitted = jax.jit(executables.over_seeds(function, count))
  return executables.compile_(jitted.lower(arguments))


def _program(task: Task, agent: Agent, settings: Settings):
  """Makes `start` and `advance` of one agent."""
  size = settings.environments
  environment = batch(task.environment)
  actor = settings.actor(agent, task)

  def start(params, key):
    reset_key, actor_key, key = jax.random.split(key, 3)
    env_state, timestep = environment.reset(jax.random.split(reset_key, size))
    memory = agent.initial_state(params, size)
    return timestep, env_state, memory, actor.init(actor_key, size), key

  def one(params, carry, _):
    timestep, env_state, memory, actor_state, key = carry
    key, think_key, env_key = jax.random.split(key, 3)
    seen, decided = _think(
      task, agent, actor, settings, params, think_key, carry
    )
    env_state, timestep = environment.step(
      jax.random.split(env_key, (size, 2)), env_state, timestep, decided.action
    )
    memory, actor_state = decided.agent_state, decided.actor_state
    return (timestep, env_state, memory, actor_state, key), seen

  def advance(params, carry):
    return jax.lax.scan(
      lambda carry, x: one(params, carry, x), carry, None, _CHUNK
    )

  return start, advance


def _think(
  task: Task, agent: Agent, actor: Actor, settings: Settings, params, key, carry
):
  """What an agent makes of a step, and what its actor does."""
  timestep, env_state, memory, actor_state, _ = carry
  actor_key, agent_key, judge_key = jax.random.split(key, 3)
  actor_keys = jax.random.split(actor_key)
  progress = Progress(jnp.float32(1.0), jnp.int32(0))
  decided = actor.step(
    params, actor_keys, timestep, env_state, memory, actor_state, progress
  )
  # Without the noise of acting: what the parameters say.
  outputs, _ = agent.step(params, agent_key, timestep, memory, "evaluating")
  judge = judging.judge(
    agent, task.environment.spec, outputs, settings.value_head
  )
  invalid = spaces.invalid_actions(task.environment, env_state)
  judgement = judge and judge(
    params, judge_key, outputs, decided.action, invalid
  )
  heads = outputs_lib.record(outputs)
  recorded = {n: x for n, x in decided.extras.items() if n not in heads}
  probabilities = recorded.pop("probabilities", None)
  policy = judging.policy_head(agent, outputs)
  if policy and "logits" in outputs[policy]:
    probabilities = outputs[policy]["mean"]
  seen = Seen(
    timestep,
    decided.action,
    probabilities,
    judgement,
    heads,
    recorded,
    decided.agent_state,
    env_state if settings.keep_states else (),
  )
  return seen, decided
