"""A program of one seed, compiled for all of them."""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p
from jax.interpreters import mlir

from neurorl.buffers.ring import Stored
from neurorl.ops import threefry
from neurorl.training import devices, thread_splits
from neurorl.training.devices import Layout
from neurorl.training.experiment import Experiment
from neurorl.training.program import LoopState, Program
from neurorl.types import Array, Step, Tree


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


class Job(NamedTuple):
  """A function that is to be compiled.

  Attributes:
    function: it.
    arguments: their shapes.
    out: where its results lie, as `jax.jit` takes it.
    donated: numbers of the arguments that it may overwrite.
    stored: `[num_seeds, ...]`, shapes of arrays of which it reads and writes
      some rows.
  """

  function: Callable
  arguments: tuple
  out: Tree
  donated: tuple[int, ...] = ()
  stored: Tree = ()


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
  layout, num_seeds = program.layout, experiment.num_seeds

  def all_seeds(function):
    return layout.over_seeds(function, over_seeds, num_seeds)

  def evaluate(params_and_key, iterations):
    params, key = params_and_key
    return program.evaluate(params, jax.random.fold_in(key, iterations))

  def evaluation(params, keys, iterations):
    return all_seeds(evaluate)((params, keys), iterations)

  count = layout.everywhere(jax.ShapeDtypeStruct((), jnp.int32))
  learns = layout.everywhere(jax.ShapeDtypeStruct((), jnp.bool_))
  keys = layout.place(keys)
  init, run_chunk = map(all_seeds, (program.init, program.run_chunk))
  state = _placed(
    program, state_shapes(program, num_seeds), experiment.num_envs
  )
  params = state.learning.params["agent"]
  output = jax.eval_shape(run_chunk, state, count, learns)[1]
  kept, told = devices.shardings(state), layout.told()
  # A rollout is read whole.
  stored = state.buffer if program.splits_buffer else ()
  # The order in which they are traced: init is compiled meanwhile.
  jobs = {
    "init": Job(init, (keys,), kept),
    "run_chunk": Job(
      run_chunk, (state, count, learns), (kept, told), (0,), stored
    ),
    "evaluate": Job(evaluation, (params, keys, count), told),
  }
  return _executables(jobs, layout), state, tuple(sorted(output.metrics))


def _placed(program: Program, state: LoopState, num_envs: int) -> LoopState:
  """Says where the arrays of a state lie: as `program` splits them."""
  layout = program.layout
  placed = layout.place(state)
  placed = placed._replace(acting=layout.place(state.acting, num_envs, axis=1))
  if not program.splits_buffer:
    return placed

  def place(part):
    if isinstance(part, Step | Stored):  # time comes before environments
      return layout.place(part, num_envs, axis=2)
    return layout.place(part)  # priorities and counters

  buffer = jax.tree.map(
    place, state.buffer, is_leaf=lambda x: isinstance(x, Step | Stored)
  )
  return placed._replace(buffer=buffer)


def _executables(
  jobs: Mapping[str, Job], layout: Layout
) -> dict[str, Executable]:
  if jax.config.jax_disable_jit:
    return _debuggable(jobs)
  pool = concurrent.futures.ThreadPoolExecutor()
  executables = {}
  before = None
  several = layout.num_devices > 1
  for name, job in jobs.items():
    jitted = jax.jit(
      job.function, donate_argnums=job.donated, out_shardings=job.out
    )
    if name == "evaluate":  # needed last: takes no core from the others
      pending = pool.submit(_compile_after, before, jitted, job, several)
    else:
      traced = jitted.trace(*job.arguments)
      splits = thread_splits.pay(traced.jaxpr, job.stored)
      lowered = traced.lower()
      # `init` has a draw for each parameter and runs once: of all these JAX's
      # own form compiles sooner (1.2 s and not 2.0 for `qlearning.gin`).
      if name == "init":
        write_generator_out()
      pending = before = pool.submit(compile_, lowered, several, splits)
    executables[name] = Executable(pending)
  pool.shutdown(wait=False)
  return executables


@functools.cache
def write_generator_out() -> None:
  """Writes the random generator's rounds out on a CPU, from now on.

  For a GPU JAX does so itself, and XLA makes one kernel of them; for a CPU JAX
  makes a loop: eighty small operations for every draw or split, however few
  numbers it is for. This changes what JAX lowers in the whole process, but no
  number: the bits are the same.
  """
  lowering = mlir.lower_fun(threefry.rounds, multiple_results=True)
  mlir.register_lowering(threefry2x32_p, lowering, platform="cpu")


def _compile_after(before, jitted, job, several) -> jax.stages.Compiled:
  concurrent.futures.wait([before])
  return compile_(jitted.lower(*job.arguments), several)


def _debuggable(jobs: Mapping[str, Job]) -> dict[str, Executable]:
  """Learning without compilation; the rest, which would take minutes, with.

  JAX names the operation that made a NaN only for functions that it may run
  once more: neither compiled ahead of time nor donated to.
  """
  functions = {name: _jitted(job.function) for name, job in jobs.items()}
  plain, collecting = jobs["run_chunk"].function, functions["run_chunk"]
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


def compile_(
  lowered: jax.stages.Lowered,
  several_devices: bool = False,
  splits: bool = True,
) -> jax.stages.Compiled:
  """Compiles; on a CPU with what makes it fast, and cannot hang.

  XLA's concurrency-optimised scheduler deadlocks on training programs that are
  batched over seeds. Its loops take vectors of 256 bits, where its matrix
  products take 512: loops shall too. A CPU without those is not changed by it.

  Args:
    lowered: what `jax.jit(...).lower` gives.
    several_devices: whether it runs on more than one. Of cores each then works
      on its own, and waits for no other within an operation.
    splits: whether an operation may be split over threads.

  Returns:
    The program.
  """
  if jax.default_backend() != "cpu":
    return lowered.compile()
  options = {
    "xla_cpu_enable_concurrency_optimized_scheduler": False,
    "xla_cpu_prefer_vector_width": 512,
  }
  if several_devices:
    options["xla_cpu_multi_thread_eigen"] = False
  if not splits:
    options["xla_disable_hlo_passes"] = "cpu-parallel-task-assigner"
  while True:
    try:
      return lowered.compile(compiler_options=options)
    except (RuntimeError, ValueError) as error:
      # An XLA that has no such option.
      unknown = [name for name in options if name in str(error)]
      if not unknown:
        raise
      for name in unknown:
        del options[name]
