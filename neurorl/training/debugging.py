"""A chunk that went wrong, once more and slowly."""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp

from neurorl.runs import state_files
from neurorl.training import executables, rows
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
    FloatingPointError: naming the operation that made a NaN.
    TrainingError: if something else is not finite, or all is.
  """
  seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
  keys = jnp.stack([jax.random.key(seed) for seed in seeds])
  init = executables.over_seeds(program.init, len(seeds))
  run_chunk = executables.over_seeds(program.run_chunk, len(seeds))
  state, about = state_files.load(crash, jax.eval_shape(init, keys))
  learn = jnp.bool_(about["learn"])
  compiled = executables.compiled_anyway(run_chunk)
  for _ in range(about["iterations"]):
    after, output = compiled(state, jnp.int32(1), learn)
    found = rows.make(
      jax.device_get(output),
      seeds,
      0,
      about["counters"]["environment_steps"],
      about["counters"]["updates"],
      about["learn"],
    )
    try:
      rows.check(found)
    except rows.TrainingError:
      run_chunk(state, jnp.int32(1), learn)
      raise
    state = after
  raise rows.TrainingError(
    "the chunk that went wrong went well this time, on "
    f"{jax.devices()[0].device_kind}"
  )
