"""Our loop as `train.py` runs it, with nothing around it.

No evaluation, no loggers, no checkpoints; seeds lie on the devices there are.
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import config, training
from neurorl.training import chunks, devices
from neurorl.training.experiment import Experiment
from neurorl.training.program import Program

from . import arithmetic

_LONGEST = 1.0  # seconds of a measurement


@dataclasses.dataclass
class Loop:
  """A run that is ready to learn.

  Attributes:
    experiment: what was built.
    program: its functions.
    chunks: what runs it.
    updates: of one seed in an iteration that learns.
  """

  experiment: Experiment
  program: Program
  chunks: chunks.Chunks
  updates: int

  @property
  def steps(self) -> int:
    """Environment steps of an iteration, of all seeds."""
    return self.experiment.steps_per_iteration * self.experiment.num_seeds

  def run(self, iterations: int, learn: bool = True) -> Any:
    """Runs a chunk; returns its output when it is done."""
    return self.chunks.run(iterations, learn)[0]

  def iterations_in(self, seconds: float, learn: bool = True) -> int:
    """Finds how many iterations to time.

    A chunk as `train.py` has it, since what a chunk costs once is shared by
    its iterations; more if it takes less than `seconds`, fewer if it takes
    longer than about a second.
    """
    count = 1
    while True:
      begun = time.perf_counter()
      self.run(count, learn)
      took = time.perf_counter() - begun
      if took >= _LONGEST:
        return count
      if count >= self.experiment.iterations_per_chunk:
        return max(count, math.ceil(count * seconds / took))
      count = min(2 * count, self.experiment.iterations_per_chunk)

  def operations(self) -> float:
    """Counts the operations of an iteration that learns, of all seeds."""
    state = jax.eval_shape(self.program.init, jax.random.key(0))
    arguments = (state, jnp.int32(1), jnp.bool_(True))
    lengths = (1, self.updates)
    one = arithmetic.operations(self.program.run_chunk, arguments, lengths)
    return one * self.experiment.num_seeds


def start(files: Sequence[str], bindings: Sequence[str]) -> Loop:
  """Builds and compiles a run, and goes on until it has learned once.

  Args:
    files: gin files.
    bindings: over them.

  Returns:
    The loop.
  """
  devices.offer_cores()
  experiment = dataclasses.replace(
    config.load(list(files), list(bindings)).call(), evaluator=_NoEvaluator()
  )
  layout = devices.layout(
    experiment.num_devices, experiment.num_seeds, experiment.num_envs
  )
  program = training.build(experiment, layout)
  runs = chunks.Chunks(experiment, program)
  runs.state = runs.first_state()
  runs.run(program.warm_up_iterations, False)
  output, _ = runs.run(1, True)
  return Loop(experiment, program, runs, int(np.min(output.updates)))


class _NoEvaluator:
  """Stands where the evaluator does, and compiles to nothing."""

  def build(self, task, agent, layout) -> Any:
    """Makes an evaluation without reports."""
    del task, agent, layout
    return lambda params, key: {}
