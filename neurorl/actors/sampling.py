"""Actions drawn from what the agent predicts."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from neurorl.head_types import Distribution
from neurorl.ops import distributions, schedules, spaces
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import (
  Actor,
  ActorOutput,
  ActorRecipe,
  Agent,
  Array,
  Outputs,
  Progress,
  Schedule,
  Task,
)


@component
def sampling(head: str = "policy") -> ActorRecipe:
  """Draws actions from a policy.

  It records the means of all heads by their names, `'log_prob'` `[B]` of the
  action and, where actions are discrete, `'probabilities'` `[B, A]` of all.

  Args:
    head: the head of the policy.

  Returns:
    The actor's recipe.

  Raises:
    ValueError: at build, if the head is no policy, or the environment forbids
      actions: a loss would not know which.
  """

  def build(agent: Agent, task: Task) -> Actor:
    if task.environment.invalid_actions is not None:
      raise ValueError(
        f"sampling cannot tell the loss the invalid actions of "
        f"{task.environment.spec.name}; leave them to be learned (of pgx, by "
        "--gin.pgx.mask_illegal=False), or bind train.actor = @search_actor() "
        "or @epsilon_greedy()"
      )
    policy = outputs_lib.distribution(agent, head, "sampling")

    def predict(outputs: Outputs, invalid, progress: Progress):
      del invalid, progress
      return outputs_lib.read_all(outputs, head, "sampling")

    return _actor(agent, task, policy, predict)

  return build


@component
def softmax(temperature: float | Schedule, head: str = "q") -> ActorRecipe:
  """Draws actions in proportion to exp(value / temperature).

  It records the means of all heads by their names, `'log_prob'` `[B]` of the
  action and, where actions are discrete, `'probabilities'` `[B, A]` of all.

  Args:
    temperature: above 0, in the units of the values; a number or a schedule.
    head: the head of action values, `'mean'` `[B, A]`.

  Returns:
    The actor's recipe.

  Raises:
    ValueError: if a temperature is not positive or, at build, if actions are
      not discrete.
  """
  schedules.check("softmax.temperature", temperature, 0.0)
  if temperature == 0.0:
    raise ValueError("softmax.temperature is 0; bind train.actor = @greedy()")

  def build(agent: Agent, task: Task) -> Actor:
    spaces.num_actions("softmax", task.environment.spec)

    def predict(outputs: Outputs, invalid: Array | None, progress: Progress):
      values = outputs_lib.read(outputs, head, "softmax")
      # A schedule may end at 0; the greedy policy is its limit.
      heat = schedules.as_schedule(temperature)(progress)
      logits = values / jnp.maximum(heat, 1e-6)
      if invalid is not None:
        logits = jnp.where(invalid, -jnp.inf, logits)
      return {"logits": logits}

    return _actor(agent, task, distributions.CATEGORICAL, predict)

  return build


def _actor(
  agent: Agent,
  task: Task,
  policy: Distribution,
  predict: Callable[[Outputs, Array | None, Progress], Outputs],
) -> Actor:
  """An actor that draws from a distribution, and says how likely that was."""

  def step(
    params, keys, timestep, env_state, agent_state, actor_state, progress
  ):
    agent_key, action_key = keys
    outputs, agent_state = agent.step(
      params, agent_key, timestep, agent_state, "acting"
    )
    invalid = spaces.invalid_actions(task.environment, env_state)
    prediction = predict(outputs, invalid, progress)
    action = policy.sample(prediction, action_key)
    extras = {
      **outputs_lib.record(outputs),
      "log_prob": policy.log_prob(prediction, action),
    }
    if "logits" in prediction:
      extras["probabilities"] = jax.nn.softmax(prediction["logits"])
    return ActorOutput(action, extras, agent_state, actor_state)

  return Actor(init=lambda key, num_envs: (), step=step)
