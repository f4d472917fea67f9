"""A run's state and counters, and the compiled functions that move them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.runs import state_files
from neurorl.training import executables
from neurorl.training import program as program_lib
from neurorl.training.evaluation import Reports
from neurorl.training.experiment import Experiment


@dataclasses.dataclass
class Counters:
  """What the host knows of a run beside its state; kept with it.

  Python integers: a device's int32 would overflow at 2**31 steps.

  Attributes:
    environment_steps: transitions so far, of each seed.
    learns_from: the iteration from which there is something to learn from.
    iterations: so far.
    updates: so far, of one seed.
    chunk_seconds: that chunks took which learned.
    chunk_steps: transitions of those.
    seconds: of the run before this process.
    first_update: seconds from the run's beginning to it; None before.
    warned: of what, not to be repeated.
  """

  environment_steps: list[int]
  learns_from: int
  iterations: int = 0
  updates: int = 0
  chunk_seconds: float = 0.0
  chunk_steps: int = 0
  seconds: float = 0.0
  first_update: float | None = None
  warned: list[str] = dataclasses.field(default_factory=list)


def read_counters(about: Mapping[str, Any]) -> Counters:
  """Reads the counters that are kept with a state.

  Args:
    about: what was kept.

  Returns:
    The counters.

  Raises:
    MismatchError: if another version of this library kept them.
  """
  try:
    return Counters(**about["counters"])
  except (TypeError, KeyError):
    raise state_files.MismatchError(
      "the checkpoint was written by another version of neurorl, "
      f"{about.get('versions')}"
    ) from None


class Chunks:
  """Runs a program chunk by chunk, all seeds at once.

  Attributes:
    seeds: their numbers.
    shapes: of the state.
    metrics: the names of a chunk's metrics.
    state: the run's, once it is set.
    counters: beside it.
  """

  def __init__(self, experiment: Experiment, program: program_lib.Program):
    """Begins to compile.

    Args:
      experiment: what the gin file describes.
      program: what was built of it.
    """
    self._experiment = experiment
    self._program = program
    self.seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
    roots = [jax.random.split(jax.random.key(seed)) for seed in self.seeds]
    place = program.layout.place_keys
    self._evaluation_keys = place(jnp.stack([root[1] for root in roots]))
    self._training_keys = place(jnp.stack([root[0] for root in roots]))
    self._functions, self.shapes, self.metrics = executables.compile_program(
      experiment, program, self._training_keys
    )
    self._worker = concurrent.futures.ThreadPoolExecutor(1)
    self.state: Any = None
    self.counters = self.first_counters()

  @property
  def num_devices(self) -> int:
    """Devices that share the run."""
    return self._program.layout.num_devices

  @property
  def steps(self) -> int:
    """Slots spent so far by one seed."""
    return self.counters.iterations * self._experiment.steps_per_iteration

  @property
  def budget(self) -> int:
    """Slots that one seed will spend."""
    return self._experiment.iterations * self._experiment.steps_per_iteration

  def first_counters(self) -> Counters:
    """Returns the counters of a run that begins."""
    return Counters(
      environment_steps=[0] * len(self.seeds),
      learns_from=self._program.warm_up_iterations,
    )

  def first_state(self) -> Any:
    """Makes the state of a run that begins."""
    init = self._functions["init"]
    return self._wait(lambda: jax.block_until_ready(init(self._training_keys)))

  def plan(self) -> Iterator[tuple[int, bool]]:
    """Yields (iterations, whether they learn) for each chunk to come."""
    total = self._experiment.iterations
    chunk = self._experiment.iterations_per_chunk
    learns_from = min(self.counters.learns_from, total)
    at = self.counters.iterations
    for end, learn in [(learns_from, False), (total, True)]:
      for start in range(at, end, chunk):
        yield min(chunk, end - start), learn
      at = max(at, end)

  def compiled(self, name: str, seconds: float) -> bool:
    """Waits a while; returns whether `'run_chunk'` or `'evaluate'` can run."""
    return self._functions[name].wait(seconds)

  def run(self, iterations: int, learn: bool) -> tuple[Any, float]:
    """Runs one chunk.

    Args:
      iterations: of it.
      learn: whether it learns, or only collects.

    Returns:
      Its output, `[seeds]` each, on the host; and the seconds it took.
    """
    begun = time.perf_counter()
    output = self._wait(lambda: self._run(iterations, learn))
    seconds = time.perf_counter() - begun
    counters, transitions = self.counters, output.tally.transitions
    counters.iterations += iterations
    counters.updates += int(output.updates[0])
    counters.environment_steps = [
      total + int(new)
      for total, new in zip(
        counters.environment_steps, transitions, strict=True
      )
    ]
    if learn:
      counters.chunk_seconds += seconds
      counters.chunk_steps += int(transitions.sum())
    return output, seconds

  def _run(self, iterations: int, learn: bool):
    self.state, output = self._functions["run_chunk"](
      self.state, np.int32(iterations), np.bool_(learn)
    )
    return jax.device_get(output)

  def evaluate(self) -> Reports:
    """Evaluates the parameters of now."""
    evaluate = self._functions["evaluate"]
    params = self.state.learning.params["agent"]
    at = np.int32(self.counters.iterations)
    return self._wait(
      lambda: jax.device_get(evaluate(params, self._evaluation_keys, at))
    )

  def _wait(self, function: Callable[[], Any]) -> Any:
    """Runs what takes long aside: this thread alone hears signals."""
    if jax.config.jax_disable_jit:  # its settings are this thread's own
      return function()
    return self._worker.submit(function).result()
