"""Learning: one update of the parameters from one batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from neurorl.loss_types import Loss, LossInputs
from neurorl.ops import episodes, packing, placing, trees
from neurorl.ops import outputs as outputs_lib
from neurorl.training.optimizers import Optimizer
from neurorl.training.target_params import TargetUpdate
from neurorl.types import (
  Agent,
  Array,
  Batch,
  Key,
  Metrics,
  Mode,
  Outputs,
  Params,
  Progress,
  Step,
  Tree,
)


class Learning(NamedTuple):
  """What learning changes.

  Attributes:
    params: `{'agent': ..., 'loss': ...}`.
    target_params: the agent's; `()` without a target.
    opt_state: the optimizer's.
    loss_state: the loss's own.
    updates: `[]` int32, so far.
  """

  params: Params
  target_params: Params
  opt_state: Tree
  loss_state: Tree
  updates: Array


class Report(NamedTuple):
  """What an update found.

  Attributes:
    errors: `[T, B]`, for the buffer.
    mask: `[T, B]`, the transitions that counted.
    metrics: `[]` by name.
  """

  errors: Array
  mask: Array
  metrics: Metrics


Update = Callable[[Learning, Batch, Key, Progress], tuple[Learning, Report]]
Prepare = Callable[[Learning, Step, Key, Progress], tuple[Learning, Step]]


def init(
  agent: Agent,
  loss: Loss,
  optimizer: Optimizer,
  target_update: TargetUpdate | None,
  num_envs: int,
  key: Key,
) -> Learning:
  """Initialises everything that learning changes.

  Args:
    agent: the network.
    loss: for its own parameters and state.
    optimizer: for its state.
    target_update: None for no target parameters.
    num_envs: environments in lockstep.
    key: a random key.

  Returns:
    The first state; target parameters begin as a copy.
  """
  agent_key, loss_key = jax.random.split(key)
  loss_params, loss_state = loss.init(loss_key, num_envs)
  params = {"agent": agent.init(agent_key), "loss": loss_params}
  return Learning(
    params=params,
    target_params=() if target_update is None else params["agent"],
    opt_state=optimizer.init(params),
    loss_state=loss_state,
    updates=jnp.int32(0),
  )


def with_params(learning: Learning, params: Params) -> Learning:
  """Returns what learning begins with, had it other parameters.

  Args:
    learning: of a run that begins.
    params: such as another run's.
  """

  def copy(new, old):  # what is shared cannot be donated
    return placing.on_devices(np.asarray(new), old.sharding)

  target_params = learning.target_params
  if target_params != ():
    target_params = jax.tree.map(copy, params["agent"], target_params)
  params = jax.tree.map(copy, params, learning.params)
  return learning._replace(params=params, target_params=target_params)


def make(
  agent: Agent,
  loss: Loss,
  optimizer: Optimizer,
  target_update: TargetUpdate | None,
  discount: float,
  burn_in: int,
  online_last: bool = True,
  target_last: bool = True,
  target_first: bool = True,
) -> Update:
  """Makes the learning half of an iteration.

  Args:
    agent: the network.
    loss: what is minimised.
    optimizer: how.
    target_update: how target parameters follow; without, the online outputs
      serve, without gradient.
    discount: the task's gamma.
    burn_in: leading steps that only warm up the agent's state.
    online_last: whether the loss reads what is predicted at the last step of
      a sequence.
    target_last: the same of the target's predictions.
    target_first: whether it reads what the target predicts at the first step;
      if not, an agent without memory is not asked, and zeros stand there.

  Returns:
    `(learning, batch, key, progress) -> (learning, report)`.
  """
  unroll = functools.partial(_unroll, agent, burn_in)

  def loss_and_aux(params, learning, batch, key, progress):
    online_key, target_key, loss_key = jax.random.split(key, 3)
    steps, online = unroll(
      online_last, params["agent"], online_key, batch.steps, "online"
    )
    if target_update is None:
      target_params = jax.lax.stop_gradient(params["agent"])
      target = jax.lax.stop_gradient(online)
    else:
      target_params = learning.target_params
      asked = batch.steps if target_first else _after_first(batch.steps)
      _, target = unroll(
        target_last, target_params, target_key, asked, "target"
      )
      if not target_first:
        target = jax.tree.map(_with_first_row, target)
    inputs = _inputs(
      agent, discount, steps, online, target, loss_key, progress
    )._replace(
      params=params["agent"],
      target_params=target_params,
      has_target=target_update is not None,
    )
    output, loss_state = loss.apply(
      params["loss"], learning.loss_state, inputs, batch.weights
    )
    return output.loss, (output, loss_state, inputs.mask)

  def update(learning, batch, key, progress):
    gradients, (output, loss_state, mask) = jax.grad(
      loss_and_aux, has_aux=True
    )(learning.params, learning, batch, key, progress)
    params, opt_state = optimizer.update(
      gradients, learning.opt_state, learning.params, progress
    )
    updates = learning.updates + 1
    target_params = learning.target_params
    if output.proceed is not None:
      params, opt_state = trees.where(
        output.proceed,
        (params, opt_state),
        (learning.params, learning.opt_state),
      )
    if target_update is not None:
      target_params = target_update(params["agent"], target_params, updates)
    metrics = {
      **output.metrics,
      **optimizer.metrics(gradients, progress),
      "gradient_norm": optax.global_norm(packing.pack(gradients)),
    }
    if output.proceed is not None:
      metrics["proceeds"] = output.proceed.astype(jnp.float32)
    learning = Learning(params, target_params, opt_state, loss_state, updates)
    return learning, Report(output.errors, mask, metrics)

  return update


def make_prepare(agent: Agent, loss: Loss, discount: float) -> Prepare:
  """Makes what happens once per rollout, between acting and learning.

  Args:
    agent: the network.
    loss: what prepares.
    discount: the task's gamma.

  Returns:
    `(learning, steps [T+1, B], key, progress) -> (learning, steps)`.
  """
  if loss.prepare is None:
    return lambda learning, steps, key, progress: (learning, steps)

  def prepare(learning, steps, key, progress):
    recorded = outputs_lib.Recorded(steps.extras)
    params = learning.params["agent"]
    inputs = _inputs(
      agent, discount, steps, recorded, recorded, key, progress
    )._replace(params=params, target_params=params)
    steps, loss_state = loss.prepare(
      learning.params["loss"], learning.loss_state, inputs
    )
    return learning._replace(loss_state=loss_state), steps

  return prepare


def _inputs(
  agent: Agent,
  discount: float,
  steps: Step,
  online: Outputs,
  target: Outputs,
  key: Key,
  progress: Progress,
) -> LossInputs:
  """What a loss reads but for parameters, which the caller adds."""
  mask = episodes.valid_transitions(steps.timestep)
  return LossInputs(
    steps=steps,
    mask=mask,
    discount=episodes.discounts(steps.timestep, discount),
    online=online,
    target=target,
    absorbing=jnp.zeros_like(mask),
    depth=None,
    agent=agent,
    params=(),
    target_params=(),
    key=key,
    progress=progress,
  )


def _after_first(steps: Step) -> Step:
  """Drops the first step of sequences that an agent without memory reads."""
  return jax.tree.map(lambda x: x[1:], steps)


def _with_first_row(x: Array) -> Array:
  return jnp.concatenate([jnp.zeros_like(x[:1]), x])


def _unroll(
  agent: Agent,
  burn_in: int,
  predict_last: bool,
  params: Params,
  key: Key,
  steps: Step,
  mode: Mode,
) -> tuple[Step, Outputs]:
  """Unrolls the agent after a burn-in without gradient; drops the burn-in."""
  state = steps.agent_state
  timestep = steps.timestep
  burn_in_key, key = jax.random.split(key)
  if burn_in:
    early = jax.tree.map(lambda x: x[:burn_in], timestep)
    # Stopped before, not after: nothing is kept for a gradient.
    fixed = jax.lax.stop_gradient(params)
    _, state = agent.unroll(fixed, burn_in_key, early, state, mode)
    rest = steps._replace(agent_state=())
    steps = jax.tree.map(lambda x: x[burn_in:], rest)
    steps = steps._replace(agent_state=state)
    timestep = steps.timestep
  if not predict_last:
    timestep = jax.tree.map(lambda x: x[:-1], timestep)
  outputs, _ = agent.unroll(params, key, timestep, state, mode)
  return steps, outputs
