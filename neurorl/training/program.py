"""The loop, once for every algorithm, as pure functions.

An iteration collects a rollout, adds it to the buffer, and learns as often as
the buffer says. A chunk is many iterations in one compiled program; the host
only starts chunks. While the buffer fills, the same program runs with no
updates: that a chunk learns is an argument, not a branch inside the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from neurorl.environments import batch
from neurorl.ops import packing, trees
from neurorl.training import collect, contracts, learner, loss_contracts
from neurorl.training.devices import Layout
from neurorl.training.evaluation import Evaluate
from neurorl.training.experiment import Experiment
from neurorl.types import (
  Agent,
  Array,
  Buffer,
  Key,
  Metrics,
  Progress,
  Step,
  Tree,
)


class LoopState(NamedTuple):
  """The only thing that training carries.

  Attributes:
    learning: parameters, targets, optimizer and loss state.
    buffer: what has been collected.
    acting: where every environment stands.
    key: consumed by the next iteration.
    iterations: `[]` int32, so far.
  """

  learning: learner.Learning
  buffer: Tree
  acting: collect.Acting
  key: Key
  iterations: Array


def without_buffer(state: LoopState) -> LoopState:
  """Returns a state, or its shapes, without what has been collected."""
  return state._replace(buffer=())


# Where a state's parameters are, as checkpoints name it.
PARAMS = "learning/params"


class ChunkOutput(NamedTuple):
  """What a chunk did, `[]` each.

  Attributes:
    tally: sums over its rollouts.
    updates: int32, optimizer updates made.
    metrics: means over its updates, and the buffer's and parameters' own.
  """

  tally: collect.Tally
  updates: Array
  metrics: Metrics


class Program(NamedTuple):
  """A run as pure functions of one seed.

  Attributes:
    init: `key -> state`.
    run_chunk: `(state, iterations, learns) -> (state, ChunkOutput)`; collects
      only unless `learns`, `[]` bool.
    evaluate: `(agent params, key) -> Reports`.
    warm_up_iterations: how many fill the buffer for its first sample.
    agent: the network's pure functions.
    sequence_length: transitions that gradients flow through.
    layout: on which devices its seeds and environments lie.
    splits_buffer: whether the buffer is split with the environments. A rollout,
      which is learned from at once and often, is not: devices exchange it once.
  """

  init: Callable[[Key], LoopState]
  run_chunk: Callable[[LoopState, Array, Array], tuple[LoopState, ChunkOutput]]
  evaluate: Evaluate
  warm_up_iterations: int
  agent: Agent
  sequence_length: int
  layout: Layout
  splits_buffer: bool


def build(experiment: Experiment, layout: Layout | None = None) -> Program:
  """Builds an experiment and checks that its parts fit each other.

  Args:
    experiment: what the gin file describes.
    layout: from `devices.layout`; None for one device.

  Returns:
    The program; nothing is compiled yet.

  Raises:
    ValueError: if parts do not fit: a head that is missing, sizes that do not
      agree, actions of another kind.
  """
  layout = layout or Layout()
  contracts.check_environment(experiment.environment)
  environment = batch(experiment.environment)
  agent = experiment.agent(environment.spec)
  actor = experiment.actor(agent, experiment.task)
  loss = experiment.loss(agent, experiment.task)
  recorded = contracts.check_actor(experiment, agent, actor)
  step, read = loss_contracts.check_prepare(experiment, agent, loss, recorded)
  sizes = (experiment.num_envs, experiment.unroll_length)
  buffer = experiment.buffer(step, *sizes)
  needs = loss_contracts.check_loss(experiment, agent, loss, buffer)
  buffer = experiment.buffer(_with_extras(step, needs.extras), *sizes)
  evaluate = experiment.evaluator.build(experiment.task, agent, layout)
  contracts.check_evaluator(agent, evaluate)
  warm_up_iterations = _warm_up_iterations(experiment, buffer)

  def init(key):
    learning_key, acting_key, key = jax.random.split(key, 3)
    learning = learner.init(
      agent,
      loss,
      experiment.optimizer,
      experiment.target_params,
      experiment.num_envs,
      learning_key,
    )
    acting = collect.init(
      environment,
      agent,
      actor,
      learning.params["agent"],
      experiment.num_envs,
      acting_key,
    )
    acting = layout.split(acting, axis=0)
    return LoopState(learning, buffer.init(), acting, key, jnp.int32(0))

  rollout = collect.make(
    environment,
    actor,
    experiment.unroll_length,
    {*read, *needs.extras} & set(recorded.extras),
    buffer.peeks,
  )
  prepare = learner.make_prepare(agent, loss, experiment.discount)

  def prepare_needed(learning, steps, key, progress):
    learning, steps = prepare(learning, steps, key, progress)
    return learning, _with_extras(steps, needs.extras)

  update = learner.make(
    agent,
    loss,
    experiment.optimizer,
    experiment.target_params,
    experiment.discount,
    buffer.burn_in,
    needs.online_last,
    needs.target_last,
    needs.target_first,
  )
  iterate = _iteration(
    experiment, layout, agent, buffer, rollout, prepare_needed, update
  )
  return Program(
    init=init,
    run_chunk=_chunk(iterate, buffer),
    evaluate=evaluate,
    warm_up_iterations=warm_up_iterations,
    agent=agent,
    sequence_length=needs.length,
    layout=layout,
    splits_buffer=not buffer.peeks,
  )


def _with_extras(step: Step, names: Iterable[str]) -> Step:
  return step._replace(extras={name: step.extras[name] for name in names})


def _iteration(
  experiment: Experiment,
  layout: Layout,
  agent: Agent,
  buffer: Buffer,
  rollout: collect.Collect,
  prepare: learner.Prepare,
  update: learner.Update,
):
  """Makes `(state, learns) -> (state, (tally, updates, sums of metrics))`."""

  def gather(state: LoopState, now: Progress):
    key, collect_key, prepare_key = jax.random.split(state.key, 3)
    acting, steps, tally = rollout(
      state.learning.params["agent"], state.acting, collect_key, now
    )
    acting, steps = layout.split(acting, axis=0), layout.split(steps, axis=1)
    learning, steps = prepare(state.learning, steps, prepare_key, now)
    steps = layout.share(steps) if buffer.peeks else steps
    state = state._replace(
      learning=learning,
      acting=acting,
      buffer=buffer.add(state.buffer, steps),
      key=key,
      iterations=state.iterations + 1,
    )
    return state, steps.timestep.observation, tally

  def observe(state: LoopState, observation: Tree):
    # After the updates: they are of the network that acted.
    params = state.learning.params
    agent_params = agent.observe(params["agent"], observation)
    learning = state.learning._replace(params={**params, "agent": agent_params})
    return state._replace(learning=learning)

  # What is called once for its shapes and once in earnest is traced once so.
  @functools.partial(jax.jit, inline=True)
  def learn(state: LoopState, keys: Array, now: Progress):
    now = now._replace(updates=state.learning.updates)
    drawn, buffer_state = buffer.sample(state.buffer, keys[0], now)
    drawn = drawn._replace(steps=_split_sequences(layout, drawn.steps))
    learning, report = update(state.learning, drawn, keys[1], now)
    buffer_state = buffer.update(
      buffer_state, drawn.indices, report.errors, report.mask
    )
    state = state._replace(learning=learning, buffer=buffer_state)
    return state, report.metrics

  @functools.partial(jax.jit, inline=True)
  def iterate(state: LoopState, learns: Array):
    fraction = state.iterations / jnp.float32(experiment.iterations)
    now = Progress(fraction.astype(jnp.float32), state.learning.updates)
    state, observation, tally = gather(state, now)
    key, learning_key = jax.random.split(state.key)
    state = state._replace(key=key)
    # All at once, as for acting; as data, since JAX's checker of keys cannot
    # know that a loop takes another row each time.
    # One more than is used: of one alone XLA knows that every turn reads it. It
    # then samples before the loop, and copies all of a replay to do so.
    keys = jax.random.split(learning_key, (buffer.updates_per_add + 1, 2))
    data, kind = jax.random.key_data(keys), jax.random.key_impl(keys)

    def body(i, carry):
      state, sums = carry
      row = jax.random.wrap_key_data(data[i], impl=kind)
      state, metrics = learn(state, row, now)
      new = packing.pack(metrics)
      return state, jax.tree.map(jnp.add, sums, new)

    _, zeros = trees.zeros_like_result(learn, state, keys[0], now)
    updates = jnp.where(learns, buffer.updates_per_add, 0)
    state, sums = jax.lax.fori_loop(
      0, updates, body, (state, packing.pack(zeros))
    )
    sums = packing.unpack(sums, zeros)
    return observe(state, observation), (tally, updates, sums)

  return iterate


def _split_sequences(layout: Layout, steps: Step) -> Step:
  """Splits a batch of sequences over devices."""
  agent_state = layout.split(steps.agent_state, axis=0)
  steps = layout.split(steps._replace(agent_state=()), axis=1)
  return steps._replace(agent_state=agent_state)


def _chunk(iterate, buffer: Buffer):
  """Repeats an iteration as often as it is told, and reduces its metrics."""

  def chunk(state: LoopState, iterations: Array, learns: Array):
    def body(_, carry):
      state, sums = carry
      state, new = iterate(state, learns)
      return state, jax.tree.map(jnp.add, sums, new)

    _, zeros = trees.zeros_like_result(iterate, state, learns)
    # The number of iterations is an argument: one program serves chunks of any
    # length, the last and shorter one among them.
    state, sums = jax.lax.fori_loop(0, iterations, body, (state, zeros))
    tally, updates, metrics = sums
    metrics = jax.tree.map(lambda x: x / jnp.maximum(updates, 1), metrics)
    metrics |= buffer.metrics(state.buffer)
    metrics["parameter_norm"] = optax.global_norm(state.learning.params)
    return state, ChunkOutput(tally, updates, metrics)

  return chunk


def _warm_up_iterations(experiment: Experiment, buffer: Buffer) -> int:
  """Iterations before the first one that can learn."""
  iterations = -(-buffer.min_steps // experiment.unroll_length) - 1
  if iterations >= experiment.iterations:
    needed = (iterations + 1) * experiment.steps_per_iteration
    raise ValueError(
      f"train.total_steps = {experiment.total_steps} ends before the buffer "
      f"can be sampled from, at {needed} steps; bind more steps, or a smaller "
      "min_size or sequence_length of the buffer"
    )
  return iterations
