"""The agent: torso, core and heads as one set of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.cores import CoreRecipe, FeedForward
from neurorl.networks.heads import HeadRecipe
from neurorl.networks.torsos import TorsoRecipe
from neurorl.registry import component
from neurorl.types import Agent, AgentRecipe, EnvironmentSpec, TimeStep

EMBEDDING = "embedding"


class Methods(NamedTuple):
  """What the transformed network can be asked for."""

  initial_state: Callable
  step: Callable
  unroll: Callable


@component
def agent(
  torso: TorsoRecipe,
  heads: Mapping[str, HeadRecipe],
  core: CoreRecipe | None = None,
) -> AgentRecipe:
  """A recurrent network of a torso, a core and named heads.

  Torso and heads run over `[T, B]` at once; only the core is sequential.

  Args:
    torso: observations to vectors.
    heads: what is predicted, by the names that losses and actors use.
    core: memory over time; None for a feed-forward agent.

  Returns:
    The agent's recipe: `environment spec -> Agent`.

  Raises:
    ValueError: if there is no head, or one is named 'embedding'.
  """
  if not heads:
    raise ValueError("agent.heads is empty; bind {'q': @q_head()}, say")
  if EMBEDDING in heads:
    raise ValueError(
      f"agent.heads: the name '{EMBEDDING}' is the core's output; rename it"
    )

  def build(spec: EnvironmentSpec) -> Agent:
    return _agent(hk.multi_transform(lambda: _methods(spec)), spec)

  def _methods(spec: EnvironmentSpec):
    torso_module = torso(spec.observation)
    core_module = core() if core else FeedForward()
    head_modules = {}
    for name, head in heads.items():
      # Parameters are found by the head's name, whatever its type and order.
      with hk.name_scope(name):
        head_modules[name] = head(spec)

    def predict(embedding, timestep, mode):
      outputs = {
        name: head(embedding, timestep, mode)
        for name, head in head_modules.items()
      }
      return {EMBEDDING: embedding, **outputs}

    def step(timestep, state, mode):
      x = torso_module(timestep.observation)
      x, state = core_module.step(x, timestep.first, state)
      return predict(x, timestep, mode), state

    def unroll(timestep, state, mode):
      x = torso_module(timestep.observation)
      x, state = core_module.unroll(x, timestep.first, state)
      return predict(x, timestep, mode), state

    def init(timestep):
      state = core_module.initial_state(1)
      return step(timestep, state, "online")

    return init, Methods(core_module.initial_state, step, unroll)

  return build


def _agent(transformed: hk.MultiTransformed, spec: EnvironmentSpec) -> Agent:
  """Turns a transformed network into an agent."""

  def init(key):
    timestep = TimeStep(
      observation=jax.tree.map(
        lambda x: jnp.zeros((1, *x.shape), x.dtype), spec.observation
      ),
      reward=jnp.zeros(1),
      discount=jnp.ones(1),
      first=jnp.ones(1, bool),
      last=jnp.zeros(1, bool),
    )
    return transformed.init(key, timestep)

  apply = transformed.apply

  def initial_state(params, batch_size):
    return apply.initial_state(params, None, batch_size)

  def step(params, key, timestep, state, mode):
    return apply.step(params, key, timestep, state, mode)

  def unroll(params, key, timestep, state, mode):
    return apply.unroll(params, key, timestep, state, mode)

  return Agent(init, initial_state, step, unroll)
