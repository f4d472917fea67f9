"""A program of one seed, compiled for all of them."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from neurorl.training.experiment import Experiment
from neurorl.training.program import LoopState, Program
from neurorl.types import Array


def over_seeds(function: Callable, num_seeds: int) -> Callable:
  """Runs a function of one seed for several.

  One seed keeps its own, unbatched program; several are a `vmap` axis.

  Args:
    function: takes one seed's tree first; the rest is shared.
    num_seeds: how many.

  Returns:
    The same over a leading axis of seeds, results included.
  """

  @functools.wraps(function)
  def batched(first, *shared):
    if num_seeds == 1:
      result = function(jax.tree.map(lambda x: x[0], first), *shared)
      return jax.tree.map(lambda x: x[None], result)
    return jax.vmap(lambda x: function(x, *shared))(first)

  return batched


def compile_program(
  experiment: Experiment,
  program: Program,
  state: LoopState,
  keys: Array,
) -> tuple[dict[str, Callable], tuple[str, ...]]:
  """Compiles chunk, warm-up and evaluation side by side.

  Args:
    experiment: for the number of seeds.
    program: functions of one seed.
    state: every seed's first state.
    keys: every seed's key for evaluation.

  Returns:
    `run_chunk` and `warm_up` (`(state, iterations) -> (state, ChunkOutput)`,
    the state donated) and `evaluate` (`(agent params, keys, iterations) ->
    EpisodeReport`), over a leading axis of seeds; and the names of the chunk's
    metrics.
  """
  num_seeds = experiment.num_seeds

  def evaluate(params_and_key, iterations):
    params, key = params_and_key
    return program.evaluate(params, jax.random.fold_in(key, iterations))

  def evaluation(params, keys, iterations):
    return over_seeds(evaluate, num_seeds)((params, keys), iterations)

  count = jnp.int32(0)
  run_chunk = over_seeds(program.run_chunk, num_seeds)
  jobs = {
    "run_chunk": (run_chunk, (state, count), (0,)),
    "warm_up": (over_seeds(program.warm_up, num_seeds), (state, count), (0,)),
    "evaluate": (
      evaluation,
      (state.learning.params["agent"], keys, count),
      (),
    ),
  }
  if not program.warm_up_iterations:
    del jobs["warm_up"]
  output = jax.eval_shape(run_chunk, state, count)[1]
  return _executables(jobs), tuple(sorted(output.metrics))


def _executables(jobs: Mapping[str, Any]) -> dict[str, Callable]:
  jitted = {
    name: jax.jit(function, donate_argnums=donated)
    for name, (function, _, donated) in jobs.items()
  }
  # Debugging runs learning without compilation; the rest would take minutes.
  plain = {"run_chunk"} if jax.config.jax_disable_jit else set()
  # Tracing holds Python's lock, compiling does not.
  with (
    jax.disable_jit(False),
    concurrent.futures.ThreadPoolExecutor() as pool,
  ):
    pending = {
      name: pool.submit(compile_, jitted[name].lower(*arguments))
      for name, (_, arguments, _) in jobs.items()
      if name not in plain
    }
    jitted |= {name: future.result() for name, future in pending.items()}
  return {
    name: _call(function, plain=name in plain)
    for name, function in jitted.items()
  }


def _call(function: Callable, plain: bool) -> Callable:
  """Takes the number of iterations, the last argument, from Python."""

  def call(*arguments):
    *arrays, iterations = arguments
    with jax.disable_jit(plain):
      return function(*arrays, jnp.int32(iterations))

  return call


def compile_(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
  """Compiles, on a CPU without a scheduler that can hang.

  XLA's concurrency-optimised scheduler deadlocks on training programs that are
  batched over seeds.
  """
  if jax.default_backend() != "cpu":
    return lowered.compile()
  options = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
  try:
    return lowered.compile(compiler_options=options)
  except (RuntimeError, ValueError) as error:
    if "xla_cpu_enable_concurrency" not in str(error):
      raise
    return lowered.compile()  # an XLA that has no such option
