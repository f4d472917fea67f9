"""Models: where actions lead, as mctx asks of them, for a batch at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.ops import outputs as outputs_lib
from neurorl.ops import spaces
from neurorl.registry import component
from neurorl.types import (
  Agent,
  Array,
  Key,
  Mode,
  Outputs,
  Params,
  Task,
  TimeStep,
  Tree,
)


class Heads(NamedTuple):
  """The names of the heads that search reads.

  Attributes:
    policy: priors, `'logits'`.
    value: what a state is worth, `'mean'`.
  """

  policy: str
  value: str


class Root(NamedTuple):
  """Where a search begins, `[B, ...]` all.

  Attributes:
    outputs: the agent's, at this step.
    timestep: this step.
    env_state: the environment's state.
    agent_state: the agent's state after this step.
  """

  outputs: Outputs
  timestep: TimeStep
  env_state: Tree
  agent_state: Tree


class Outcome(NamedTuple):
  """Where an action leads, `[B, ...]` all.

  Attributes:
    reward: for arriving there.
    discount: of the value there: gamma, and 0 beyond a termination.
    logits: `[B, A]`, the prior there.
    value: what it is worth there.
  """

  reward: Array
  discount: Array
  logits: Array
  value: Array


class Model(NamedTuple):
  """What a search moves in.

  Attributes:
    root: `(root) -> node`, what is kept of the state where it begins.
    step: `(params, key, action [B], node) -> (Outcome, node)`.
    needs_environment: whether a root must have the environment's state, which
      only who acts has.
  """

  root: Callable[[Root], Tree]
  step: Callable[[Params, Key, Array, Tree], tuple[Outcome, Tree]]
  needs_environment: bool


# (agent, task, heads, mode) -> Model
ModelRecipe = Callable[[Agent, Task, Heads, Mode], Model]


class _Node(NamedTuple):
  """A simulated state, as little of it as it takes to go on.

  Attributes:
    env_state: the environment's.
    agent_state: the agent's, after it has seen the state.
    value: what the agent thinks it is worth.
    last: whether the episode ended here.
    discount: 0 if it ended by termination.
  """

  env_state: Tree
  agent_state: Tree
  value: Array
  last: Array
  discount: Array


@component
def environment_model() -> ModelRecipe:
  """The true environment, stepped for all rows at once and never reset.

  Beyond a termination there is neither reward nor value. Beyond a time-out the
  search stands still: what follows is worth what the agent thinks of the state
  where time ran out, however often it is visited.

  Silver et al. (2018), https://doi.org/10.1126/science.aar6404

  Returns:
    The model's recipe.
  """

  def build(agent: Agent, task: Task, heads: Heads, mode: Mode) -> Model:
    environment = task.environment

    def root(begin: Root) -> _Node:
      value = outputs_lib.read(begin.outputs, heads.value, "environment_model")
      timestep = begin.timestep
      return _Node(
        begin.env_state,
        begin.agent_state,
        value,
        timestep.last,
        timestep.discount,
      )

    def step(params, key, action, node: _Node):
      env_key, agent_key = jax.random.split(key)
      keys = jax.random.split(env_key, action.shape[0])
      env_state, timestep = jax.vmap(environment.step)(
        keys, node.env_state, action
      )
      outputs, agent_state = agent.step(
        params, agent_key, timestep, node.agent_state, mode
      )
      value = outputs_lib.read(outputs, heads.value, "environment_model")
      logits = outputs_lib.read(
        outputs, heads.policy, "environment_model", "logits"
      )
      invalid = spaces.invalid_actions(environment, env_state)
      if invalid is not None:
        logits = jnp.where(invalid, jnp.finfo(logits.dtype).min, logits)
      # What the environment says when it is stepped beyond the end is not used.
      over = node.last
      value = jnp.where(over, node.value, value)
      outcome = Outcome(
        reward=jnp.where(over, 0.0, timestep.reward),
        discount=jnp.where(
          over, node.discount, task.discount * timestep.discount
        ),
        logits=jnp.where(over[:, None], 0.0, logits),
        value=value,
      )
      following = _Node(
        env_state,
        agent_state,
        value,
        over | timestep.last,
        jnp.where(over, node.discount, timestep.discount),
      )
      return outcome, following

    return Model(root, step, needs_environment=True)

  return build


@component
def learned_model(
  reward_head: str = "reward", discount_head: str | None = None
) -> ModelRecipe:
  """The agent's own model, which imagines in the space of its embeddings.

  Schrittwieser et al. (2020), https://arxiv.org/abs/1911.08265

  Args:
    reward_head: the transition head of rewards, `'mean'`.
    discount_head: the transition head that says whether the episode goes on,
      `'mean'`; None for episodes that never end.

  Returns:
    The model's recipe.

  Raises:
    ValueError: at build, if the agent has no model.
  """

  def build(agent: Agent, task: Task, heads: Heads, mode: Mode) -> Model:
    outputs_lib.require_model(agent, "learned_model")

    def step(params, key, action, embedding):
      outputs, embedding = agent.imagine(params, key, embedding, action, mode)

      def read(head, entry="mean"):
        return outputs_lib.read(outputs, head, "learned_model", entry)

      value = read(heads.value)
      goes_on = read(discount_head) if discount_head else jnp.ones_like(value)
      outcome = Outcome(
        read(reward_head),
        task.discount * goes_on,
        read(heads.policy, "logits"),
        value,
      )
      return outcome, embedding

    return Model(
      lambda begin: begin.outputs["embedding"], step, needs_environment=False
    )

  return build
