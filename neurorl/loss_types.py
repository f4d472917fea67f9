"""The types of losses, which cross rooms as those of `types` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from neurorl.types import (
  Agent,
  Array,
  Key,
  Metrics,
  Outputs,
  Params,
  Progress,
  Step,
  Task,
  Tree,
)


class LossInputs(NamedTuple):
  """Everything a loss term may read; `[T+1, B]` unless said.

  The outputs are `[T, B]` where nobody reads those of the last step: terms
  slice the predictions of transitions by `[:T]`. While a rollout is prepared
  they are what its actor recorded.

  Attributes:
    steps: the sequences; `agent_state` is that of their first step, `[B, ...]`.
    mask: `[T, B]` float32, the transitions that count.
    discount: `[T, B]` float32, gamma times the environment's discount.
    online: outputs of the parameters being learned.
    target: outputs of the target parameters, without gradient.
    absorbing: `[T, B]` float32, 1 for states that a model imagines beyond a
      termination: nothing that was recorded at that step is of them.
    depth: `[]` int32, actions that a model followed to the online outputs; None
      where no model is asked.
    agent: the agent, for losses that call it again.
    params: the parameters being learned.
    target_params: the target parameters, without gradient.
    key: for losses that sample.
    progress: for schedules.
    has_target: whether the target parameters are others than those being
      learned; no array, like `agent`.
  """

  steps: Step
  mask: Array
  discount: Array
  online: Outputs
  target: Outputs
  absorbing: Array
  depth: Array | None
  agent: Agent
  params: Params
  target_params: Params
  key: Key
  progress: Progress
  has_target: bool = True


class TermOutput(NamedTuple):
  """One loss term, unreduced.

  Attributes:
    loss: `[T, B]`.
    error: `[T, B]`, what priorities are made of (a TD error, say).
    metrics: `[T, B]` or `[]` by name; the former are averaged over the mask.
    proceed: `[]` bool, False to skip this update; None for always.
  """

  loss: Array
  error: Array
  metrics: Metrics
  proceed: Array | None = None


# A loss term: `inputs -> TermOutput`.
Term = Callable[[LossInputs], TermOutput]


class LossOutput(NamedTuple):
  """A reduced loss.

  Attributes:
    loss: `[]`, what is differentiated.
    errors: `[T, B]`, what the buffer is told.
    metrics: `[]` by name.
    proceed: `[]` bool, False to skip this update; None for always.
  """

  loss: Array
  errors: Array
  metrics: Metrics
  proceed: Array | None = None


class Loss(NamedTuple):
  """A loss with parameters and state of its own (most have neither).

  Attributes:
    init: `(key, num_envs) -> (loss params, loss state)`.
    apply: `(loss params, loss state, inputs, weights [B]) -> (LossOutput,
      loss state)`.
    prepare: `(loss params, loss state, inputs) -> (steps, loss state)`, once
      per rollout: what is the same for all its updates, more extras say; None
      for nothing. Needs a buffer that peeks.
  """

  init: Callable[[Key, int], tuple[Params, Tree]]
  apply: Callable[[Params, Tree, LossInputs, Array], tuple[LossOutput, Tree]]
  prepare: Callable[[Params, Tree, LossInputs], tuple[Step, Tree]] | None = None


# What a component of losses returns, and the build calls.
LossRecipe = Callable[[Agent, Task], Loss]
