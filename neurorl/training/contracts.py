"""What the parts of an experiment demand of each other, checked by shapes.

Everything runs under `jax.eval_shape`: a missing head or an extra that no
actor records is an error before anything is compiled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl import registry
from neurorl.loss_types import Loss
from neurorl.ops import spaces
from neurorl.training import learner
from neurorl.training.evaluation import Evaluate
from neurorl.training.experiment import Experiment
from neurorl.types import (
  Actor,
  Agent,
  Array,
  Buffer,
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
      params, key, timestep, env_state, state, actor.init(key, 1), _progress()
    )
    return Step(timestep, decided.action, decided.extras, state)

  step = _drop_axis(jax.eval_shape(act, jax.random.key(0)), 1)
  wanted = experiment.environment.spec.action
  if (step.action.shape, step.action.dtype) != (wanted.shape, wanted.dtype):
    raise ValueError(
      f"the actor's action is {step.action.dtype}"
      f"{list(step.action.shape)}, but "
      f"{experiment.environment.spec.name} takes "
      f"{wanted.dtype}{list(wanted.shape)}"
    )
  return step


def check_prepare(
  experiment: Experiment, agent: Agent, loss: Loss, step: Step
) -> tuple[Step, tuple[str, ...]]:
  """Runs the preparation of a rollout on shapes.

  Args:
    experiment: for sizes and discount.
    agent: the network.
    loss: what prepares, if it does.
    step: shapes of one environment's step, as the actor records it.

  Returns:
    Shapes of one environment's step with what is prepared, and the names of the
    extras that preparing reads.

  Raises:
    ValueError: if it reads what the actor does not record, or prepares under a
      name that the actor has taken.
  """
  if loss.prepare is None:
    return step, ()
  read = _Names()
  leading = (experiment.unroll_length + 1, experiment.num_envs)
  rollout = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((*leading, *x.shape), x.dtype), step
  )
  prepare = learner.make_prepare(agent, loss, experiment.discount)

  def run(steps, key):
    learning = learner.init(
      agent, loss, experiment.optimizer, experiment.target_params, key
    )
    steps = steps._replace(extras=_Recorder(steps.extras, read))
    _, steps = prepare(learning, steps, key, _progress())
    added = set(steps.extras) - set(step.extras)
    return {name: steps.extras[name] for name in added}

  added = _drop_axis(jax.eval_shape(run, rollout, jax.random.key(0)), 2)
  return step._replace(extras={**step.extras, **added}), tuple(sorted(read))


class LossNeeds(NamedTuple):
  """What a loss reads.

  Attributes:
    extras: names of what was recorded or prepared.
    predict_last: whether what is predicted at the last step of a sequence.
  """

  extras: tuple[str, ...]
  predict_last: bool


def check_loss(
  experiment: Experiment, agent: Agent, loss: Loss, buffer: Buffer
) -> LossNeeds:
  """Runs an update on shapes.

  Args:
    experiment: for optimizer and discount.
    agent: the network.
    loss: what is minimised.
    buffer: for what a batch looks like.

  Returns:
    What the loss reads.

  Raises:
    ValueError: if a term reads a head that the agent lacks, or an extra that
      the actor does not record; or if a batch exceeds the buffer.
  """
  if loss.prepare is not None and not buffer.peeks:
    raise ValueError(
      "losses.prepare needs whole rollouts; bind train.buffer = @rollout()"
    )
  if buffer.peeks:
    # Half of what there is to compute where sequences are single transitions.
    with contextlib.suppress(ValueError, TypeError, AssertionError):
      extras = _check_loss(experiment, agent, loss, buffer, False)
      return LossNeeds(extras, False)
  return LossNeeds(_check_loss(experiment, agent, loss, buffer, True), True)


def _check_loss(
  experiment: Experiment,
  agent: Agent,
  loss: Loss,
  buffer: Buffer,
  predict_last: bool,
) -> tuple[str, ...]:
  """Runs an update on shapes; returns the names of the extras it reads."""
  read = _Names()

  def apply(params, state, inputs, weights):
    extras = _Recorder(inputs.steps.extras, read)
    steps = inputs.steps._replace(extras=extras)
    return loss.apply(params, state, inputs._replace(steps=steps), weights)

  update = learner.make(
    agent,
    loss._replace(apply=apply),
    experiment.optimizer,
    experiment.target_params,
    experiment.discount,
    buffer.burn_in,
    predict_last,
  )

  def run(key):
    learning = learner.init(
      agent, loss, experiment.optimizer, experiment.target_params, key
    )
    batch, _ = buffer.sample(buffer.init(), key, _progress())
    return update(learning, batch, key, _progress())

  _, report = jax.eval_shape(run, jax.random.key(0))
  batch_size = report.mask.shape[1]
  if batch_size > buffer.num_sequences:
    raise ValueError(
      f"the buffer's batch_size = {batch_size} exceeds the "
      f"{buffer.num_sequences} sequences that it can hold; bind a smaller "
      "batch or a larger capacity"
    )
  return tuple(sorted(read))


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


class _Names(set):
  """Names in a set that stands for itself, as the key of a cache may."""

  __hash__ = object.__hash__

  def __eq__(self, other: object) -> bool:
    return self is other


@jax.tree_util.register_pytree_node_class
class _Recorder(Mapping):
  """Extras that remember which of them were read.

  A tree like any mapping, so that a loss may slice the steps it is given.
  """

  def __init__(self, extras: Mapping[str, Array], read: _Names):
    self._extras = extras
    self._read = read

  def __getitem__(self, name: str) -> Array:
    if name not in self._extras:
      raise ValueError(
        f"the loss reads extra '{name}', but the actor records "
        f"{', '.join(sorted(self._extras)) or 'none'}"
        f"{registry.nearest(name, self._extras)}"
      )
    self._read.add(name)
    return self._extras[name]

  def tree_flatten(self):
    """Splits into arrays and names."""
    names = tuple(sorted(self._extras))
    return [self._extras[name] for name in names], (names, self._read)

  @classmethod
  def tree_unflatten(cls, names_and_read, leaves):
    """Joins arrays and names; goes on writing to the same record."""
    names, read = names_and_read
    return cls(dict(zip(names, leaves, strict=True)), read)

  def __iter__(self) -> Iterator[str]:
    return iter(self._extras)

  def __len__(self) -> int:
    return len(self._extras)


def _progress() -> Progress:
  return Progress(jnp.float32(0.0), jnp.int32(0))


def _drop_axis(tree: Tree, axes: int) -> Tree:
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape[axes:], x.dtype), tree
  )
