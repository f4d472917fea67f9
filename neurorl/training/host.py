"""The host: starts chunks, reads scalars, logs, evaluates. Plain Python.

Nothing of it runs inside compiled code, and compiled code never calls back.
"""

from __future__ import annotations

import concurrent.futures
import functools
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.training import program as program_lib
from neurorl.training import statistics
from neurorl.training.experiment import Experiment
from neurorl.types import Row, RunInfo

_TIMING = ("seconds", "steps_per_second")
_LEADING = (
  "seed",
  "budget_steps",
  "environment_steps",
  "updates",
  "training/episodes",
  "training/episode_return",
  "training/episode_length",
)
_EVALUATION = (
  "evaluation/episode_return",
  "evaluation/episode_length",
  "evaluation/capped",
)


class TrainingError(RuntimeError):
  """Training went wrong in a way that more of it cannot mend."""


def run(
  experiment: Experiment,
  program: program_lib.Program,
  run_dir: pathlib.Path,
  started: float | None = None,
) -> dict[str, Any]:
  """Trains, evaluates and logs to the end.

  Args:
    experiment: what the gin file describes.
    program: what `program.build` made of it.
    run_dir: an existing folder, for loggers and `summary.json`.
    started: `time.time()` when the process began, for the time to the first
      update.

  Returns:
    The summary, as written to `summary.json`.

  Raises:
    TrainingError: if a loss or gradient is not finite, or stored observations
      are not what was seen.
  """
  host = _Host(experiment, program, run_dir, started or time.time())
  for iterations, learn in host.plan():
    host.advance(iterations, learn)
  summary = host.summary()
  text = json.dumps(summary, indent=2, allow_nan=False)
  (run_dir / "summary.json").write_text(text + "\n")
  for logger in host.loggers:
    logger.finish(summary)
  return summary


class _Host:
  """Counters and compiled functions of one run."""

  def __init__(self, experiment, program, run_dir, started):
    self.experiment = experiment
    self.program = program
    self.seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
    roots = [jax.random.split(jax.random.key(seed)) for seed in self.seeds]
    self._evaluation_keys = jnp.stack([root[1] for root in roots])
    init = jax.jit(over_seeds(program.init, len(self.seeds)))
    with jax.disable_jit(False):
      self.state = init(jnp.stack([root[0] for root in roots]))
    self._functions, columns = _compile(
      experiment, program, self.state, self._evaluation_keys
    )
    info = RunInfo(run_dir, columns, self._budget(), len(self.seeds))
    self.loggers = [make(info) for make in experiment.loggers]
    # Python integers: a device's int32 would overflow at 2**31 steps.
    self.environment_steps = [0] * len(self.seeds)
    self.updates = 0
    self.iterations = 0
    self.final_scores: np.ndarray | None = None
    self._chunk_seconds = 0.0
    self._chunk_steps = 0
    self._started = started
    self._first_update: float | None = None
    self._next_evaluation = experiment.evaluator.every_steps

  def plan(self):
    """Yields (iterations, whether they learn) for each chunk of the run."""
    total = self.experiment.iterations
    chunk = self.experiment.iterations_per_chunk
    warm_up = self.program.warm_up_iterations
    if warm_up:
      yield warm_up, False
    for start in range(warm_up, total, chunk):
      yield min(chunk, total - start), True

  def advance(self, iterations: int, learn: bool) -> None:
    """Runs one chunk, and what the host does after it."""
    name = "run_chunk" if learn else "warm_up"
    if learn and self._first_update is None:
      self._first_update = time.time() - self._started
    begun = time.perf_counter()
    self.state, output = self._functions[name](self.state, iterations)
    output = jax.device_get(output)
    seconds = time.perf_counter() - begun
    transitions = output.tally.transitions
    self.iterations += iterations
    self.updates += int(output.updates[0])
    self.environment_steps = [
      total + int(new)
      for total, new in zip(self.environment_steps, transitions, strict=True)
    ]
    if learn:
      self._chunk_seconds += seconds
      self._chunk_steps += int(transitions.sum())
    rows = self._rows(output, learn)
    for row in rows:
      row["seconds"] = time.time() - self._started
      row["steps_per_second"] = float(transitions.sum()) / seconds
    self._evaluate_if_due(rows)
    for logger in self.loggers:
      logger.write(rows)
    _check(rows)

  def summary(self) -> dict[str, Any]:
    """Returns what `summary.json` says."""
    seconds = max(self._chunk_seconds, 1e-9)
    return {
      "environment_steps": sum(self.environment_steps),
      "budget_steps": self._budget() * len(self.seeds),
      "learner_updates": self.updates * len(self.seeds),
      "seconds": time.time() - self._started,
      "seconds_to_first_update": self._first_update,
      "steps_per_second": self._chunk_steps / seconds,
      "seeds": list(self.seeds),
      "evaluation": {"episode_return": statistics.summarise(self.final_scores)},
    }

  def _budget(self) -> int:
    return self.experiment.iterations * self.experiment.steps_per_iteration

  def _rows(self, output, learn: bool) -> list[dict[str, float]]:
    rows = []
    for i, seed in enumerate(self.seeds):
      tally = jax.tree.map(lambda x: x[i].item(), output.tally)  # noqa: B023
      row: dict[str, float] = {
        "seed": seed,
        "budget_steps": self.iterations * self.experiment.steps_per_iteration,
        "environment_steps": self.environment_steps[i],
        "updates": self.updates,
        "training/episodes": tally.episodes,
      }
      if tally.episodes:
        row["training/episode_return"] = tally.returns / tally.episodes
        row["training/episode_length"] = tally.lengths / tally.episodes
      if learn:
        row |= {k: v[i].item() for k, v in output.metrics.items()}
      rows.append(row)
    return rows

  def _evaluate_if_due(self, rows: list[dict[str, float]]) -> None:
    every = self.experiment.evaluator.every_steps
    steps = self.iterations * self.experiment.steps_per_iteration
    last = self.iterations >= self.experiment.iterations
    if not last and not (every and steps >= self._next_evaluation):
      return
    while every and self._next_evaluation <= steps:
      self._next_evaluation += every
    report = jax.device_get(
      self._functions["evaluate"](
        self.state.learning.params["agent"],
        self._evaluation_keys,
        self.iterations,
      )
    )
    for i, row in enumerate(rows):
      row["evaluation/episode_return"] = report.episode_return[i].mean().item()
      row["evaluation/episode_length"] = report.episode_length[i].mean().item()
      row["evaluation/capped"] = report.capped[i].sum().item()
    self.final_scores = report.episode_return


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


def _compile(experiment, program, state, keys):
  """Compiles chunk, warm-up and evaluation side by side; names the metrics."""
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
  columns = (*_LEADING, *sorted(output.metrics), *_EVALUATION, *_TIMING)
  return _executables(jobs), columns


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
  except (RuntimeError, ValueError):  # an XLA that has no such option
    return lowered.compile()


def _check(rows: list[Row]) -> None:
  for row in rows:
    where = f"seed {row['seed']}, {row['environment_steps']:,} steps"
    # Loss terms first: they say more than the norms that follow from them.
    for name, value in sorted(row.items(), key=lambda x: "norm" in x[0]):
      watched = name.startswith("loss/") or name.endswith("_norm")
      if watched and not math.isfinite(value):
        raise TrainingError(
          f"{name} is {value} ({where}); the learning rate may be too high, or "
          "rewards unbounded. --debug stops at the first operation that makes "
          "a NaN"
        )
    if row.get("buffer/lossy_adds"):
      raise TrainingError(
        f"the buffer's store_as changes observations ({where}); bind a dtype "
        "that holds them, or None"
      )
