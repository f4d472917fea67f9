"""The types that cross rooms, and the conventions they stand for.

Those of losses are in `loss_types`, what heads predict means by `head_types`.

Shapes: `T` time, `B` batch (environments or sequences), `A` actions. Time is
axis 0 and batch is axis 1. Timing is that of dm_env: the reward and discount
of step t answer the action of step t-1, so a transition t leads from step t to
step t+1 and T transitions need T+1 steps.

Keys are typed (`jax.random.key`) and each is consumed once.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from neurorl.head_types import Codec, Distribution

Array = jax.Array
Key = jax.Array
# A nest of arrays whose structure only its producer knows.
Tree = Any
Params = Tree
Metrics = Mapping[str, Array]

# Why an agent is called; static under jit. Noise and dropout may depend on it.
Mode = Literal["acting", "evaluating", "online", "target"]

# Head name -> what that head predicts: `'mean'`, decoded, which actors, search
# and bootstraps read; and what its loss needs. 'embedding' is reserved for the
# core's output.
Outputs = Mapping[str, Any]


class TimeStep(NamedTuple):
  """What an environment says at one step.

  Attributes:
    observation: `[..., *observation_shape]`, a tree.
    reward: `[...]` float32, for arriving here; 0 where `first`.
    discount: `[...]` float32, 0 only at termination; 1 at a time-out.
    first: `[...]` bool, no action led here.
    last: `[...]` bool, terminated or timed out; the action here is ignored.
  """

  observation: Tree
  reward: Array
  discount: Array
  first: Array
  last: Array


class Step(NamedTuple):
  """One step as a buffer holds it.

  Attributes:
    timestep: what the environment said.
    action: `[...]`, the answer to it.
    extras: what the actor recorded for the loss, by name.
    agent_state: the agent's recurrent state before this step.
  """

  timestep: TimeStep
  action: Array
  extras: Mapping[str, Array]
  agent_state: Tree


class Progress(NamedTuple):
  """What every schedule is a function of.

  Attributes:
    fraction: `[]` float32 in [0, 1], the part of the step budget spent.
    updates: `[]` int32, optimizer updates so far.
  """

  fraction: Array
  updates: Array


# A hyperparameter that changes with training.
Schedule = Callable[[Progress], Array]


@dataclasses.dataclass(frozen=True)
class DiscreteActions:
  """Actions 0 .. num_actions - 1."""

  num_actions: int

  def __str__(self) -> str:
    return f"discrete({self.num_actions})"


@dataclasses.dataclass(frozen=True)
class ContinuousActions:
  """Real vectors within bounds."""

  low: np.ndarray
  high: np.ndarray

  def __str__(self) -> str:
    return f"continuous{list(self.low.shape)}"


ActionSpace = DiscreteActions | ContinuousActions


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
  """The shapes that everything else is derived from.

  Attributes:
    name: what to call the environment in messages.
    observation: a tree of `jax.ShapeDtypeStruct`, without batch axes.
    action: a `jax.ShapeDtypeStruct`, without batch axes.
    actions: the action space.
  """

  name: str
  observation: Tree
  action: jax.ShapeDtypeStruct
  actions: ActionSpace


class Environment(NamedTuple):
  """One environment; the loop batches it.

  Attributes:
    reset: `key -> (state, timestep)`, the first step of an episode.
    step: `(key, state, action) -> (state, timestep)`; never resets by itself.
    spec: shapes of observations and actions.
    invalid_actions: `state -> [A] bool`, the discrete actions that are not
      allowed there; None where all are, always.
    render: `state -> [H, W, 3] uint8`, a picture; called on the host with one
      concrete state, never traced. None where there is none to be had.
    slow_reset: whether a reset costs many times a step; the loop then resets
      one by one the environments whose episodes ended, and no others.
  """

  reset: Callable[[Key], tuple[Tree, TimeStep]]
  step: Callable[[Key, Tree, Array], tuple[Tree, TimeStep]]
  spec: EnvironmentSpec
  invalid_actions: Callable[[Tree], Array] | None = None
  render: Callable[[Tree], np.ndarray] | None = None
  slow_reset: bool = False


class Agent(NamedTuple):
  """A recurrent network as pure functions.

  Attributes:
    init: `key -> params`.
    initial_state: `(params, batch_size) -> state`, the state where `first`.
    step: `(params, key, timestep [B], state, mode) -> (outputs [B], state)`.
    unroll: the same over `[T, B]`; the state is reset where `first` is true.
    imagine: `(params, key, embedding [..., D], action [...], mode) -> (outputs,
      embedding)`, the learned model: where an action leads, and what is
      predicted for there; None without a model.
    codecs: of the heads that predict scalars, by name.
    distributions: of the heads that predict policies, by name.
    evaluate_action: `(params, key, embedding [..., D], action [...], mode) ->
      outputs` of the heads that read an action beside the state, such as
      Q(s, a); None without such heads. No unroll evaluates them.
    observe: `(params, observation) -> params`, with statistics of it too.
  """

  init: Callable[[Key], Params]
  initial_state: Callable[[Params, int], Tree]
  step: Callable[[Params, Key, TimeStep, Tree, Mode], tuple[Outputs, Tree]]
  unroll: Callable[[Params, Key, TimeStep, Tree, Mode], tuple[Outputs, Tree]]
  imagine: (
    Callable[[Params, Key, Array, Array, Mode], tuple[Outputs, Array]] | None
  ) = None
  codecs: Mapping[str, Codec] = types.MappingProxyType({})
  distributions: Mapping[str, Distribution] = types.MappingProxyType({})
  evaluate_action: (
    Callable[[Params, Key, Array, Array, Mode], Outputs] | None
  ) = None
  observe: Callable[[Params, Tree], Params] = lambda params, observation: params


class ActorOutput(NamedTuple):
  """What an actor decides at one step.

  Attributes:
    action: `[B]`.
    extras: `[B, ...]` by name, recorded with the step for the loss.
    agent_state: the agent's state after this step.
    actor_state: the actor's own state after this step.
  """

  action: Array
  extras: Mapping[str, Array]
  agent_state: Tree
  actor_state: Tree


class Actor(NamedTuple):
  """Predictions to actions.

  Attributes:
    init: `(key, num_envs) -> actor state`.
    step: `(params, keys [2], timestep [B], env_state, agent_state, actor_state,
      progress) -> ActorOutput`; the first key is for the agent, the second for
      the actor's own chances. They come split, by whoever calls: many steps'
      at once cost what one step's do.
  """

  init: Callable[[Key, int], Tree]
  step: Callable[
    [Params, Key, TimeStep, Tree, Tree, Tree, Progress], ActorOutput
  ]


class Batch(NamedTuple):
  """Sequences drawn from a buffer.

  Attributes:
    steps: `[burn_in + T + 1, B]`; its `agent_state` is that of the first step,
      `[B, ...]`.
    weights: `[B]` float32 importance weights; ones when drawn uniformly.
    indices: `[B]` int32, where the sequences came from.
  """

  steps: Step
  weights: Array
  indices: Array


class Buffer(NamedTuple):
  """Storage of steps: knows time and batch, knows no reinforcement learning.

  Attributes:
    init: `() -> state`, empty.
    add: `(state, steps [T, B]) -> state`; `[T+1, B]` if it peeks.
    sample: `(state, key, progress) -> (Batch, state)`.
    update: `(state, indices [B], errors [T, B], mask [T, B]) -> state`, with
      the errors that the loss made on a sample.
    metrics: `state -> scalars by name`.
    num_sequences: how many it can hold; no batch may be larger.
    burn_in: leading steps of a sample that only warm up the agent's state.
    updates_per_add: how many (sample, update) follow an add.
    min_steps: time steps an environment must have added before a sample.
    peeks: whether an add ends with the step that the next one begins with, so
      that T transitions have T+1 steps; losses prepare such rollouts.
  """

  init: Callable[[], Tree]
  add: Callable[[Tree, Step], Tree]
  sample: Callable[[Tree, Key, Progress], tuple[Batch, Tree]]
  update: Callable[[Tree, Array, Array, Array], Tree]
  metrics: Callable[[Tree], Metrics]
  num_sequences: int
  burn_in: int
  updates_per_add: int
  min_steps: int
  peeks: bool = False


class Task(NamedTuple):
  """What is to be done.

  Attributes:
    environment: one environment.
    discount: gamma.
  """

  environment: Environment
  discount: float


# What components return, and the build calls: shapes in, pure functions out.
AgentRecipe = Callable[[EnvironmentSpec], Agent]
ActorRecipe = Callable[[Agent, Task], Actor]
# (shapes of one environment's step, num_envs, unroll_length) -> Buffer
BufferRecipe = Callable[[Step, int, int], Buffer]
