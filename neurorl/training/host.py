"""The host: starts chunks, reads scalars, logs, evaluates. Plain Python.

Nothing of it runs inside compiled code, and compiled code never calls back.
"""

from __future__ import annotations

import json
import math
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp

from neurorl.logging_types import Row, RunInfo
from neurorl.training import executables, statistics
from neurorl.training import program as program_lib
from neurorl.training.evaluation import EpisodeReport, Reports
from neurorl.training.experiment import Experiment

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
# Of a chunk's targets; fewer may be the outliers of a network that is young.
_MUCH_BEYOND_SUPPORT = 0.01
_EVALUATION = ("episode_return", "episode_length", "capped")


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


class _Clock:
  """Splits the time since a moment."""

  def __init__(self, moment: float):
    self._moment = moment

  def lap(self) -> float:
    now = time.time()
    self._moment, seconds = now, now - self._moment
    return seconds


class _Host:
  """Counters and compiled functions of one run."""

  def __init__(self, experiment, program, run_dir, started):
    self.experiment = experiment
    self.program = program
    clock = _Clock(started)
    self._startup = {"import, configure and build": clock.lap()}
    self.seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
    roots = [jax.random.split(jax.random.key(seed)) for seed in self.seeds]
    self._evaluation_keys = jnp.stack([root[1] for root in roots])
    training_keys = jnp.stack([root[0] for root in roots])
    self._functions, metrics = executables.compile_program(
      experiment, program, training_keys
    )
    self._startup["trace"] = clock.lap()
    self.state = self._functions["init"](training_keys)
    jax.block_until_ready(self.state)
    self._startup["compile and initialise"] = clock.lap()
    evaluation = [
      f"{prefix}/{name}"
      for prefix in experiment.evaluator.names
      for name in _EVALUATION
    ]
    columns = (*_LEADING, *metrics, *evaluation, *_TIMING)
    info = RunInfo(run_dir, columns, self._budget(), len(self.seeds))
    self.loggers = [make(info) for make in experiment.loggers]
    # Python integers: a device's int32 would overflow at 2**31 steps.
    self.environment_steps = [0] * len(self.seeds)
    self.updates = 0
    self.iterations = 0
    self._final_reports: Reports = {}
    self._warned: set[str] = set()
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
    for begin, end, learn in [(0, warm_up, False), (warm_up, total, True)]:
      for start in range(begin, end, chunk):
        yield min(chunk, end - start), learn

  def advance(self, iterations: int, learn: bool) -> None:
    """Runs one chunk, and what the host does after it."""
    executable = self._functions["run_chunk"]
    executable.wait()
    if learn and self._first_update is None:
      self._first_update = time.time() - self._started
    begun = time.perf_counter()
    self.state, output = executable(
      self.state, jnp.int32(iterations), jnp.bool_(learn)
    )
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
    _check(rows)
    self._evaluate_if_due(rows)
    _check(rows)
    warnings = self._support_warnings(rows)
    for logger in self.loggers:
      for message in warnings:
        logger.warn(message)
      logger.write(rows)

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
      "startup": self._startup,
      "seeds": list(self.seeds),
      **{name: _summary(x) for name, x in self._final_reports.items()},
    }

  def _support_warnings(self, rows: list[Row]) -> list[str]:
    """Says once of each term that its head cannot mean its targets."""
    messages = []
    for name in sorted({name for row in rows for name in row}):
      told = name in self._warned or name.startswith("imagined/")
      if told or not name.endswith("/beyond_support"):
        continue
      part = max(row[name] for row in rows)
      if part > _MUCH_BEYOND_SUPPORT:
        self._warned.add(name)
        term = name.removesuffix("/beyond_support")
        least = min(row[f"{term}/least_target"] for row in rows)
        greatest = max(row[f"{term}/greatest_target"] for row in rows)
        messages.append(
          f"warning: {part:.1%} of the targets of '{term}' are beyond the "
          f"support of its head's codec; they reach from about {least:.4g} to "
          f"about {greatest:.4g} after the transform: widen the codec's low "
          "and high"
        )
    return messages

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
    reports = jax.device_get(
      self._functions["evaluate"](
        self.state.learning.params["agent"],
        self._evaluation_keys,
        jnp.int32(self.iterations),
      )
    )
    for prefix, report in reports.items():
      for i, row in enumerate(rows):
        row[f"{prefix}/episode_return"] = report.episode_return[i].mean().item()
        row[f"{prefix}/episode_length"] = report.episode_length[i].mean().item()
        row[f"{prefix}/capped"] = report.capped[i].sum().item()
    self._final_reports = reports


def _summary(report: EpisodeReport) -> dict[str, Any]:
  return {
    "episode_return": statistics.summarise(report.episode_return),
    "episode_length": float(report.episode_length.mean()),
    "episodes": int(report.capped.size),
    "capped": int(report.capped.sum()),
  }


def _check(rows: list[Row]) -> None:
  for row in rows:
    where = f"seed {row['seed']}, {row['environment_steps']:,} steps"
    # Loss terms first: they say more than the norms that follow from them.
    for name, value in sorted(row.items(), key=lambda x: "norm" in x[0]):
      if name.endswith("episode_return") and not math.isfinite(value):
        raise TrainingError(
          f"{name} is {value} ({where}): the environment's rewards are not "
          "finite"
        )
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
