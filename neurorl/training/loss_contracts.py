"""What a loss demands of actor and buffer, checked by shapes.

An extra that no actor records is an error before anything is compiled; what no
loss reads is not stored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl import registry
from neurorl.loss_types import Loss
from neurorl.training import first_rows, learner, own_code
from neurorl.training.contracts import beginning, drop_axes
from neurorl.training.experiment import Experiment
from neurorl.types import Agent, Array, Buffer, Key, Step

# By which sequences are made longer to see whether their last step is read: a
# length of 1 goes with any other, and 3 is soon a divisor of something.
_UNLIKELY_LENGTHS = (97, 101)


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
    learning = _learning(experiment, agent, loss, key)
    steps = steps._replace(extras=_Recorder(steps.extras, read))
    _, steps = prepare(learning, steps, key, beginning())
    added = set(steps.extras) - set(step.extras)
    return {name: steps.extras[name] for name in added}

  added = drop_axes(jax.eval_shape(run, rollout, jax.random.key(0)), 2)
  return step._replace(extras={**step.extras, **added}), tuple(sorted(read))


def _learning(
  experiment: Experiment, agent: Agent, loss: Loss, key: Key
) -> learner.Learning:
  return learner.init(
    agent,
    loss,
    experiment.optimizer,
    experiment.target_params,
    experiment.num_envs,
    key,
  )


class LossNeeds(NamedTuple):
  """What a loss reads.

  Attributes:
    extras: names of what was recorded or prepared.
    length: transitions of a sequence that gradients flow through.
    online_last: whether what is predicted at the last step of a sequence.
    target_last: the same of the target's predictions.
    target_first: whether what the target predicts at the first step; always
      where the agent's memory has to begin there.
  """

  extras: tuple[str, ...]
  length: int
  online_last: bool = True
  target_last: bool = True
  target_first: bool = True


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
      "losses.prepare and normalised_rewards need whole rollouts; bind "
      "train.buffer = @rollout()"
    )
  needs = LossNeeds(
    *_check_loss(experiment, agent, loss, buffer),
    target_first=_reads_target_first(experiment, agent, loss, buffer),
  )
  # Shapes tell what this library's terms read. Those of a user may take x[-1],
  # or a mean over time, of whatever they are given: they are given everything.
  if own_code.has_own_code(loss):
    return needs
  # Half of what there is to compute where sequences are single transitions.
  savings = [(False, False)] if buffer.peeks else []
  if experiment.target_params is not None:
    savings.append((False, True))
  for last in savings:
    with contextlib.suppress(ValueError, TypeError, AssertionError):
      for steps in _UNLIKELY_LENGTHS:
        _check_loss(experiment, agent, loss, buffer, *last, more=steps)
      return needs._replace(online_last=last[0], target_last=last[1])
  return needs


def _reads_target_first(
  experiment: Experiment, agent: Agent, loss: Loss, buffer: Buffer
) -> bool:
  """Whether the target is to be asked about the first step of a sequence."""
  params = jax.eval_shape(agent.init, jax.random.key(0))
  state = jax.eval_shape(lambda params: agent.initial_state(params, 1), params)
  if experiment.target_params is None or jax.tree.leaves(state):
    return True
  found = []

  def apply(params, state, inputs, weights):
    def of_target(target):
      asked = inputs._replace(target=target)
      return loss.apply(params, state, asked, weights)

    found.append(first_rows.reads_first(of_target, inputs.target))
    return of_target(inputs.target)

  _check_loss(experiment, agent, loss._replace(apply=apply), buffer)
  return any(found)


def _check_loss(
  experiment: Experiment,
  agent: Agent,
  loss: Loss,
  buffer: Buffer,
  online_last: bool = True,
  target_last: bool = True,
  more: int = 0,
) -> tuple[tuple[str, ...], int]:
  """Runs an update on shapes.

  Returns:
    The names of the extras it reads, and the transitions of a sequence.
  """
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
    online_last,
    target_last,
  )

  def run(key):
    learning = _learning(experiment, agent, loss, key)
    batch, _ = buffer.sample(buffer.init(), key, beginning())
    if more:
      batch = batch._replace(steps=_longer(batch.steps, more))
    return update(learning, batch, key, beginning())

  _, report = jax.eval_shape(run, jax.random.key(0))
  length, batch_size = report.mask.shape
  if batch_size > buffer.num_sequences:
    raise ValueError(
      f"the buffer's batch_size = {batch_size} exceeds the "
      f"{buffer.num_sequences} sequences that it can hold; bind a smaller "
      "batch or a larger capacity"
    )
  return tuple(sorted(read)), length


def _longer(steps: Step, more: int) -> Step:
  """Adds steps to sequences."""
  longer = jax.tree.map(
    lambda x: jnp.concatenate([x[:1]] * more + [x]),
    steps._replace(agent_state=()),
  )
  return longer._replace(agent_state=steps.agent_state)


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
