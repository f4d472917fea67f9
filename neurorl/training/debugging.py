"""A chunk that went wrong, once more and slowly."""

from __future__ import annotations

import pathlib
import traceback

import jax
import jax.numpy as jnp

from neurorl.runs import state_files
from neurorl.training import chunks, executables, rows
from neurorl.training.experiment import Experiment
from neurorl.training.program import Program


def replay(
  experiment: Experiment, program: Program, crash: pathlib.Path
) -> None:
  """Repeats the chunk of a crash, its bad iteration without compilation.

  Args:
    experiment: what the gin file describes.
    program: what was built of it, where JAX checks for NaNs and compiles
      nothing by itself.
    crash: the folder with the state of before the chunk.

  Raises:
    FloatingPointError: naming the operation that made a NaN, or an infinity.
    TrainingError: if something else is not finite, or all is.
  """
  seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
  run_chunk = executables.over_seeds(program.run_chunk, len(seeds))
  state, about = state_files.load(
    crash, executables.state_shapes(program, len(seeds))
  )
  learn = jnp.bool_(about["learn"])
  counters = chunks.read_counters(about)
  print(
    f"repeating a chunk of {about['iterations']} iterations after "
    f"{counters.iterations * experiment.steps_per_iteration:,} steps",
    flush=True,
  )
  compiled = executables.compiled_anyway(run_chunk)
  for _ in range(about["iterations"]):
    after, output = compiled(state, jnp.int32(1), learn)
    found = rows.make(
      jax.device_get(output),
      seeds,
      0,
      counters.environment_steps,
      counters.updates,
      about["learn"],
    )
    try:
      rows.check(found)
    except rows.TrainingError:
      run_chunk(state, jnp.int32(1), learn)
      with jax.debug_infs(True):  # by then there was no NaN
        run_chunk(state, jnp.int32(1), learn)
      raise
    state = after
  raise rows.TrainingError(
    "the chunk that went wrong went well this time, on "
    f"{jax.devices()[0].device_kind}"
  )


def place(error: BaseException) -> str:
  """Says where in this library, or a user's module, an operation was called.

  Args:
    error: one that was raised.

  Returns:
    The innermost lines outside other libraries; nothing where there are none,
    or for an error of our own.
  """
  if not isinstance(error, FloatingPointError):
    return ""
  frames = [
    f"\n  {frame.filename}:{frame.lineno} in {frame.name}"
    for frame in traceback.extract_tb(error.__traceback__)
    if "site-packages" not in frame.filename and frame.filename[0] == "/"
  ]
  return "".join(frames[-3:])
