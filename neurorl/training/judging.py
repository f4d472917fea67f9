"""What a record calls value, action probabilities and TD error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import registry
from neurorl.ops import outputs as outputs_lib
from neurorl.ops.selection import select
from neurorl.types import (
  Agent,
  Array,
  DiscreteActions,
  EnvironmentSpec,
  Key,
  Outputs,
  Params,
)


class Judgement(NamedTuple):
  """What an agent thinks of a step, `[B, ...]` all.

  Attributes:
    value: `[B]`, of the state.
    chosen: `[B]`, what a TD error takes as the prediction: the value of the
      action where the head knows actions, else `value`.
    action_values: `[B, A]`; None where the head knows no discrete actions.
  """

  value: Array
  chosen: Array
  action_values: Array | None


# (params, key, outputs, action [B], invalid [B, A] or None) -> Judgement
Judge = Callable[[Params, Key, Outputs, Array, Array | None], Judgement]


def judge(
  agent: Agent,
  spec: EnvironmentSpec,
  outputs: Outputs,
  head: str | None = None,
) -> Judge | None:
  """Finds the head that says what states are worth, and how it is read.

  One number for every step is the value. Of one for every action the value is
  their mean under the agent's policy, if it has one, or else the greatest that
  is allowed. A head that reads actions is asked for the policy's likeliest.

  Args:
    agent: the network.
    spec: of the environment.
    outputs: of the agent, `[B, ...]`; only shapes are read.
    head: its name; None for 'value', 'q', or the only one of its kind.

  Returns:
    How a step is judged; None where no head says it.

  Raises:
    ValueError: if there is no such head, or it has other numbers.
  """
  policy = policy_head(agent, outputs)
  means = {
    name: outputs[name]["mean"].ndim
    for name in outputs
    if name != outputs_lib.EMBEDDING
    and name not in agent.distributions
    and "mean" in outputs[name]
  }
  read_actions = sorted(set(agent.codecs) - set(outputs))
  discrete = isinstance(spec.actions, DiscreteActions)
  if head is None:
    head = _likely(means, read_actions if policy else [], discrete)
  if head is None:
    return None
  if head in read_actions and policy and agent.evaluate_action:
    return _of_actions_read(agent, policy, head)
  if means.get(head) == 1:
    return _of_states(head)
  if means.get(head) == 2 and discrete:
    return _of_actions(head, policy)
  names = sorted({*means, *read_actions})
  raise ValueError(
    f"no value is read of head '{head}'; heads are {', '.join(names)}"
    f"{registry.nearest(head, names)}"
  )


def policy_head(agent: Agent, outputs: Outputs) -> str | None:
  """Names the head of the agent's policy: 'policy', or the only one."""
  names = [name for name in agent.distributions if name in outputs]
  if "policy" in names or not names:
    return "policy" if names else None
  return names[0] if len(names) == 1 else None


def _likely(
  means: Mapping[str, int], read_actions: list[str], discrete: bool
) -> str | None:
  by_action = [name for name, axes in means.items() if axes == 2 and discrete]
  if means.get("value") == 1:
    return "value"
  if "q" in by_action or "q" in read_actions:
    return "q"
  return by_action[0] if len(by_action) == 1 else None


def _of_states(head: str) -> Judge:
  def read(params, key, outputs, action, invalid):
    del params, key, action, invalid
    value = outputs[head]["mean"]
    return Judgement(value, value, None)

  return read


def _of_actions(head: str, policy: str | None) -> Judge:
  def read(params, key, outputs, action, invalid):
    del params, key
    values = outputs[head]["mean"]
    if policy:
      value = jnp.sum(outputs[policy]["mean"] * values, axis=-1)
    else:
      forbidden = False if invalid is None else invalid
      value = jnp.max(jnp.where(forbidden, -jnp.inf, values), axis=-1)
    return Judgement(value, select(values, action), values)

  return read


def _of_actions_read(agent: Agent, policy: str, head: str) -> Judge:
  def read(params, key, outputs, action, invalid):
    del invalid
    embedding = outputs[outputs_lib.EMBEDDING]
    likeliest = agent.distributions[policy].mode(outputs[policy])

    def ask(key, action):
      seen = agent.evaluate_action(params, key, embedding, action, "evaluating")
      return seen[head]["mean"]

    keys = jax.random.split(key)
    return Judgement(ask(keys[0], likeliest), ask(keys[1], action), None)

  return read


def td_errors(
  reward: np.ndarray,
  discount: np.ndarray,
  value: np.ndarray,
  chosen: np.ndarray,
  last: np.ndarray,
  gamma: float,
) -> np.ndarray:
  """One-step errors: r' + gamma * discount' * V(s') - what was predicted.

  A prime is the next row. At a termination its discount is 0; at a time-out its
  value is that of the true final observation.

  Args:
    reward: `[R]`, rows of whole episodes, one after another.
    discount: `[R]`, the environment's.
    value: `[R]`.
    chosen: `[R]`, what was predicted.
    last: `[R]` bool.
    gamma: the task's discount factor.

  Returns:
    `[R]`, NaN at the last step of an episode, from where nothing leads on.
  """
  # What a termination is worth is not asked: it may be worth no number.
  worth = np.where(discount == 0.0, 0.0, value)
  later = np.roll(reward + gamma * discount * worth, -1)
  return np.where(last, np.nan, later - chosen).astype(np.float32)
