"""The agent: torso, core, heads and perhaps a model, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from neurorl.networks import observation_norm
from neurorl.networks.cores import CoreRecipe, FeedForward
from neurorl.networks.dynamics import DynamicsRecipe, Normalise, encode_action
from neurorl.networks.heads import Head, HeadRecipe
from neurorl.networks.torsos import TorsoRecipe
from neurorl.ops.outputs import EMBEDDING
from neurorl.registry import component
from neurorl.types import Agent, AgentRecipe, EnvironmentSpec, TimeStep


class Methods(NamedTuple):
  """What the transformed network can be asked for."""

  initial_state: Callable
  step: Callable
  unroll: Callable
  imagine: Callable
  evaluate_action: Callable
  observe: Callable


@component
def agent(
  torso: TorsoRecipe,
  heads: Mapping[str, HeadRecipe],
  core: CoreRecipe | None = None,
  dynamics: DynamicsRecipe | None = None,
  transition_heads: Mapping[str, HeadRecipe] | None = None,
  normalise: Normalise | None = None,
  action_heads: Mapping[str, HeadRecipe] | None = None,
) -> AgentRecipe:
  """A recurrent network of a torso, a core and named heads.

  Torso and heads run over `[T, B]` at once; only the core is sequential. With
  dynamics it is a model too: where an action leads is imagined from the
  core's output, and the same heads say what is predicted for there.

  Args:
    torso: observations to vectors.
    heads: what is predicted of a state, by the names that losses and actors
      use.
    core: memory over time; None for a feed-forward agent.
    dynamics: the core's output and an action to the next core's output; None
      for no model.
    transition_heads: what the model predicts of a transition from where it
      leads, such as the reward.
    normalise: applied to the core's output and to what is imagined.
    action_heads: what is predicted of a state and an action, such as
      `{'q': @scalar_head()}` for Q(s, a): any heads, which read the embedding
      and the action side by side. Only losses evaluate them.

  Returns:
    The agent's recipe: `environment spec -> Agent`.

  Raises:
    ValueError: if there is no head, one is named 'embedding', names of heads
      are not distinct, or transition heads have no dynamics.
  """
  transition_heads, action_heads = transition_heads or {}, action_heads or {}
  _check_names(heads, transition_heads, action_heads)
  for name in transition_heads:
    if dynamics is None:
      raise ValueError(
        f"agent.transition_heads: '{name}' needs a model; bind agent.dynamics "
        "= @residual_dynamics()"
      )
  all_heads = {**heads, **transition_heads, **action_heads}
  codecs = {name: head.codec for name, head in all_heads.items() if head.codec}

  def build(spec: EnvironmentSpec) -> Agent:
    distributions = {
      name: head.distribution(spec)
      for name, head in heads.items()
      if head.distribution
    }
    transformed = hk.multi_transform(lambda: _methods(spec))
    pure = _agent(transformed, spec, dynamics is not None)
    if not action_heads:
      pure = pure._replace(evaluate_action=None)
    return pure._replace(codecs=codecs, distributions=distributions)

  def _methods(spec: EnvironmentSpec):
    torso_module = torso(spec.observation)
    core_module = core() if core else FeedForward()
    head_modules = _heads(heads, spec)
    transition_modules = _heads(transition_heads, spec)
    action_modules = _heads(action_heads, spec)
    dynamics_module = dynamics(spec) if dynamics else None
    normalised = normalise or (lambda x: x)

    def predict(x, timestep, mode, modules):
      embedding = normalised(x)
      outputs = {n: head(embedding, timestep, mode) for n, head in modules}
      return {EMBEDDING: embedding, **outputs}

    def step(timestep, state, mode):
      x = torso_module(timestep.observation)
      x, state = core_module.step(x, timestep.first, state)
      return predict(x, timestep, mode, head_modules), state

    def unroll(timestep, state, mode):
      x = _over_time(torso_module)(timestep.observation)
      x, state = core_module.unroll(x, timestep.first, state)
      outputs = _over_time(
        lambda x, timestep: predict(x, timestep, mode, head_modules)
      )(x, timestep)
      return outputs, state

    def imagine(embedding, action, mode):
      x = dynamics_module(embedding, action)
      modules = [*head_modules, *transition_modules]
      outputs = predict(x, None, mode, modules)
      return outputs, outputs[EMBEDDING]

    def evaluate_action(embedding, action, mode):
      x = jnp.concatenate([embedding, encode_action(spec, action)], axis=-1)
      return {name: head(x, None, mode) for name, head in action_modules}

    def observe(observation):
      return observation_norm.observe(torso_module, observation)

    def init(timestep, action):
      state = core_module.initial_state(1)
      outputs, _ = step(timestep, state, "online")
      evaluate_action(outputs[EMBEDDING], action, "online")
      if dynamics_module:
        imagine(outputs[EMBEDDING], action, "online")

    return init, Methods(
      core_module.initial_state,
      step,
      unroll,
      imagine,
      evaluate_action,
      observe,
    )

  return build


def _over_time(module: Callable) -> Callable:
  """Applies what takes `[B, ...]` to `[T, B, ...]`."""
  mesh = jax.sharding.get_abstract_mesh()
  kinds = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
  if any(size > 1 and kind == AxisType.Auto for size, kind in kinds):
    # A batch that devices share cannot be merged with time.
    return hk.vmap(module, split_rng=False)
  # As rows: XLA copies the operands of a product over two leading axes.
  return hk.BatchApply(module)


def _check_names(
  heads: Mapping[str, HeadRecipe],
  transition_heads: Mapping[str, HeadRecipe],
  action_heads: Mapping[str, HeadRecipe],
) -> None:
  if not heads:
    raise ValueError("agent.heads is empty; bind {'q': @q_head()}, say")
  if EMBEDDING in {*heads, *transition_heads, *action_heads}:
    raise ValueError(
      f"agent.heads: the name '{EMBEDDING}' is the core's output; rename it"
    )
  for slot, names, others in [
    ("transition_heads", transition_heads, [("heads", heads)]),
    (
      "action_heads",
      action_heads,
      [("heads", heads), ("transition_heads", transition_heads)],
    ),
  ]:
    for other, taken in others:
      for name in names:
        if name in taken:
          raise ValueError(
            f"agent.{slot}: '{name}' is in agent.{other} too; rename one"
          )


def _heads(
  recipes: Mapping[str, HeadRecipe], spec: EnvironmentSpec
) -> list[tuple[str, Head]]:
  modules = []
  for name, recipe in recipes.items():
    # Parameters are found by the head's name, whatever its type and order.
    with hk.name_scope(name):
      modules.append((name, recipe.build(spec)))
  return modules


def _agent(
  transformed: hk.MultiTransformed,
  spec: EnvironmentSpec,
  has_model: bool,
) -> Agent:
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
    action = jnp.zeros((1, *spec.action.shape), spec.action.dtype)
    return transformed.init(key, timestep, action)

  apply = transformed.apply

  def initial_state(params, batch_size):
    return apply.initial_state(params, None, batch_size)

  def step(params, key, timestep, state, mode):
    return apply.step(params, key, timestep, state, mode)

  def unroll(params, key, timestep, state, mode):
    return apply.unroll(params, key, timestep, state, mode)

  def imagine(params, key, embedding, action, mode):
    return apply.imagine(params, key, embedding, action, mode)

  def evaluate_action(params, key, embedding, action, mode):
    return apply.evaluate_action(params, key, embedding, action, mode)

  def observe(params, observation):
    if not observation_norm.watches(params):
      return params
    key = jax.random.key(0)  # of what the torso draws nothing is used
    return {**params, **apply.observe(params, key, observation)}

  return Agent(
    init,
    initial_state,
    step,
    unroll,
    imagine if has_model else None,
    evaluate_action=evaluate_action,
    observe=observe,
  )
