"""What the parts of an experiment demand of each other, checked by shapes.

Everything runs under `jax.eval_shape`: a missing head is an error before
anything is compiled. What a loss demands is in `loss_contracts`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.ops import spaces
from neurorl.training.evaluation import Evaluate
from neurorl.training.experiment import Experiment
from neurorl.types import (
  Actor,
  Agent,
  Environment,
  Progress,
  Step,
  TimeStep,
  Tree,
)


def check_environment(environment: Environment) -> None:
  """Runs an environment on shapes.

  Args:
    environment: one environment, perhaps the user's own.

  Raises:
    ValueError: if a timestep is not what the spec and `TimeStep` say, or a
      state changes its shape.
  """
  spec = environment.spec
  key = jax.random.key(0)
  action = jnp.zeros(spec.action.shape, spec.action.dtype)
  first = jax.eval_shape(environment.reset, key)
  again = jax.eval_shape(
    lambda: environment.step(key, environment.reset(key)[0], action)
  )
  _check_invalid_actions(environment)
  scalar = jax.ShapeDtypeStruct((), jnp.float32)
  flag = jax.ShapeDtypeStruct((), jnp.bool_)
  timestep = TimeStep(spec.observation, scalar, scalar, flag, flag)
  for where, found, wanted in [
    ("reset: timestep", first[1], timestep),
    ("step: timestep", again[1], timestep),
    ("step: state", again[0], first[0]),
  ]:
    differs = _difference(found, wanted)
    if differs:
      raise ValueError(f"environment {spec.name}, {where}{differs}")


def _check_invalid_actions(environment: Environment) -> None:
  if environment.invalid_actions is None:
    return
  spec = environment.spec
  num_actions = spaces.num_actions("Environment.invalid_actions", spec)
  mask = jax.eval_shape(
    lambda: environment.invalid_actions(environment.reset(jax.random.key(0))[0])
  )
  if (mask.shape, mask.dtype) != ((num_actions,), jnp.bool_):
    raise ValueError(
      f"environment {spec.name}, invalid_actions is {mask.dtype}"
      f"{list(mask.shape)}, not bool[{num_actions}]"
    )


def _difference(found: Tree, wanted: Tree) -> str:
  """Says how a tree of shapes differs from what is wanted; or nothing."""
  if jax.tree.structure(found) != jax.tree.structure(wanted):
    return (
      f" has structure {jax.tree.structure(found)}, not "
      f"{jax.tree.structure(wanted)}"
    )
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(found),
    jax.tree.leaves(wanted),
    strict=True,
  )
  for (path, leaf), like in pairs:
    if (leaf.shape, leaf.dtype) != (like.shape, like.dtype):
      return (
        f"{jax.tree_util.keystr(path)} is {leaf.dtype}{list(leaf.shape)}, not "
        f"{like.dtype}{list(like.shape)}"
      )
  return ""


def check_actor(experiment: Experiment, agent: Agent, actor: Actor) -> Step:
  """Runs the actor on shapes.

  Args:
    experiment: for the environment.
    agent: the network.
    actor: who acts.

  Returns:
    Shapes of one environment's step, with every extra the actor records.

  Raises:
    ValueError: if the actor reads what the agent does not predict, or its
      actions are not the environment's.
  """

  def act(key):
    params = agent.init(key)
    env_state, timestep = jax.vmap(experiment.environment.reset)(key[None])
    state = agent.initial_state(params, 1)
    decided = actor.step(
      params,
      jax.random.split(key),
      timestep,
      env_state,
      state,
      actor.init(key, 1),
      beginning(),
    )
    return Step(timestep, decided.action, decided.extras, state)

  step = drop_axes(jax.eval_shape(act, jax.random.key(0)), 1)
  wanted = experiment.environment.spec.action
  if (step.action.shape, step.action.dtype) != (wanted.shape, wanted.dtype):
    raise ValueError(
      f"the actor's action is {step.action.dtype}"
      f"{list(step.action.shape)}, but "
      f"{experiment.environment.spec.name} takes "
      f"{wanted.dtype}{list(wanted.shape)}"
    )
  return step


def check_evaluator(agent: Agent, evaluate: Evaluate) -> None:
  """Runs the evaluator on shapes.

  Args:
    agent: the network.
    evaluate: what the evaluator built.

  Raises:
    ValueError: if its actor reads what the agent does not predict.
  """
  try:
    jax.eval_shape(
      lambda key: evaluate(agent.init(key), key), jax.random.key(0)
    )
  except ValueError as error:
    raise ValueError(f"evaluator: {error}") from error


def beginning() -> Progress:
  """Returns the progress of a run that begins."""
  return Progress(jnp.float32(0.0), jnp.int32(0))


def drop_axes(tree: Tree, axes: int) -> Tree:
  """Returns the shapes of a tree's leaves without their leading axes."""
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape[axes:], x.dtype), tree
  )
