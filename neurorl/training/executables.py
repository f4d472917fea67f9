"""A program of one seed, compiled for all of them."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from neurorl.training.experiment import Experiment
from neurorl.training.program import Program
from neurorl.types import Array, Tree


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


def state_shapes(program: Program, num_seeds: int) -> Tree:
  """Returns the shapes of a run's state, over a leading axis of seeds."""
  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), num_seeds))
  return jax.eval_shape(over_seeds(program.init, num_seeds), keys)


class Executable:
  """A function that may still be compiling; a call waits for it."""

  def __init__(self, pending: concurrent.futures.Future):
    self._pending = pending

  def wait(self, seconds: float) -> bool:
    """Waits a while; returns whether the function can run."""
    done = concurrent.futures.wait([self._pending], seconds).done
    return bool(done)

  def __call__(self, *arguments):
    """Runs the function, once it is compiled."""
    return self._pending.result()(*arguments)


def compile_program(
  experiment: Experiment, program: Program, keys: Array
) -> tuple[dict[str, Executable], Tree, tuple[str, ...]]:
  """Compiles a run's functions side by side, from shapes alone.

  Returns at once: a function is waited for when it is first called, so that
  what is needed last compiles while training has begun.

  Args:
    experiment: for the number of seeds.
    program: functions of one seed.
    keys: a key for every seed, as `init` and `evaluate` will take them.

  Returns:
    `init` (`keys -> state`), `run_chunk` (`(state, iterations, learns) ->
    (state, ChunkOutput)`, the state donated) and `evaluate` (`(agent params,
    keys, iterations) -> Reports`), over a leading axis of seeds; the shapes of
    the state; and the names of the chunk's metrics.
  """
  num_seeds = experiment.num_seeds

  def evaluate(params_and_key, iterations):
    params, key = params_and_key
    return program.evaluate(params, jax.random.fold_in(key, iterations))

  def evaluation(params, keys, iterations):
    return over_seeds(evaluate, num_seeds)((params, keys), iterations)

  count = jax.ShapeDtypeStruct((), jnp.int32)
  learns = jax.ShapeDtypeStruct((), jnp.bool_)
  init = over_seeds(program.init, num_seeds)
  state = state_shapes(program, num_seeds)
  run_chunk = over_seeds(program.run_chunk, num_seeds)
  params = state.learning.params["agent"]
  # The order in which they are traced: init is compiled meanwhile.
  jobs = {
    "init": (init, (keys,), ()),
    "run_chunk": (run_chunk, (state, count, learns), (0,)),
    "evaluate": (evaluation, (params, keys, count), ()),
  }
  output = jax.eval_shape(run_chunk, state, count, learns)[1]
  return _executables(jobs), state, tuple(sorted(output.metrics))


def _executables(jobs: Mapping[str, Any]) -> dict[str, Executable]:
  if jax.config.jax_disable_jit:
    return _debuggable(jobs)
  pool = concurrent.futures.ThreadPoolExecutor()
  executables = {}
  before = None
  for name, (function, arguments, donated) in jobs.items():
    jitted = jax.jit(function, donate_argnums=donated)
    if name == "evaluate":  # needed last: takes no core from the others
      pending = pool.submit(_compile_after, before, jitted, arguments)
    else:
      pending = before = pool.submit(compile_, jitted.lower(*arguments))
    executables[name] = Executable(pending)
  pool.shutdown(wait=False)
  return executables


def _compile_after(before, jitted, arguments) -> jax.stages.Compiled:
  concurrent.futures.wait([before])
  return compile_(jitted.lower(*arguments))


def _debuggable(jobs: Mapping[str, Any]) -> dict[str, Executable]:
  """Learning without compilation; the rest, which would take minutes, with.

  JAX names the operation that made a NaN only for functions that it may run
  once more: neither compiled ahead of time nor donated to.
  """
  functions = {name: _jitted(job[0]) for name, job in jobs.items()}
  plain, collecting = jobs["run_chunk"][0], functions["run_chunk"]
  functions["run_chunk"] = lambda state, iterations, learns: (
    plain if learns else collecting
  )(state, iterations, learns)
  executables = {}
  for name, function in functions.items():
    pending = concurrent.futures.Future()
    pending.set_result(function)
    executables[name] = Executable(pending)
  return executables


def _jitted(function: Callable) -> Callable:
  """Compiles a function even where compilation is disabled."""
  jitted = jax.jit(function)

  def call(*arguments):
    with jax.disable_jit(False):
      return jitted(*arguments)

  return call


def compiled_anyway(function: Callable) -> Callable:
  """Compiles a function where compilation is disabled and NaNs are errors.

  Args:
    function: of arrays, always of the same shapes.

  Returns:
    The same, compiled when it is first called; its NaNs are let through.
  """
  made = []

  def call(*arguments):
    with jax.disable_jit(False), jax.debug_nans(False):
      if not made:
        made.append(compile_(jax.jit(function).lower(*arguments)))
      return made[0](*arguments)

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
