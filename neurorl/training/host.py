"""The host: starts chunks, reads scalars, logs, evaluates, saves. Plain Python.

Nothing of it runs inside compiled code, and compiled code never calls back.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from neurorl.logging_types import RunInfo
from neurorl.runs import description, keeping
from neurorl.runs.files import write_whole
from neurorl.runs.signals import StoppedError
from neurorl.training import (
  chunks,
  crashes,
  origins,
  processes,
  rows,
  summaries,
)
from neurorl.training import program as program_lib
from neurorl.training.evaluation import Reports
from neurorl.training.experiment import Experiment
from neurorl.training.origins import Start
from neurorl.training.rows import TrainingError
from neurorl.training.telling import Told


def run(
  experiment: Experiment,
  program: program_lib.Program,
  run_dir: pathlib.Path,
  start: Start | None = None,
) -> dict[str, Any]:
  """Trains, evaluates, logs and saves to the end.

  Args:
    experiment: what the gin file describes.
    program: what `program.build` made of it.
    run_dir: an existing folder, for loggers, checkpoints and `summary.json`.
    start: how it begins; None for anew.

  Returns:
    The summary, as written to `summary.json`.

  Raises:
    TrainingError: if a loss or gradient is not finite, or stored observations
      are not what was seen; the state of before the chunk is kept in `crash/`.
      Also if the last state cannot be written.
    StoppedError: if it was asked to end early; its state is kept.
    MismatchError: if the checkpoint is of another program.
    DamagedError: if no checkpoint is whole.
  """
  host = _Host(experiment, program, run_dir, start or Start())
  host.begin()
  try:
    for iterations, learn in host.chunks.plan():
      host.stop_if_asked()
      try:
        host.advance(iterations, learn)
      except TrainingError as error:
        raise TrainingError(f"{error}; {host.save_crash()}") from error
  except BaseException:
    host.interrupt()
    raise
  return host.finish()


class _Host:
  """What is done around the chunks of one run."""

  def __init__(self, experiment, program, run_dir, start: Start):
    self._experiment = experiment
    self._run_dir = run_dir
    self._start = start
    self._begun = start.started or time.time()
    self._laps = {"import, configure and build": time.time() - self._begun}
    self.chunks = self._timed(
      "trace", lambda: chunks.Chunks(experiment, program)
    )
    self._folder = run_dir / "checkpoints"
    self._origin = origins.Origin(
      self.chunks, self._folder, start, program.warm_up_iterations, self._warn
    )
    self._keeper: keeping.Keeper | None = None
    if experiment.checkpoints is not None:
      self._keeper = keeping.Keeper(
        experiment.checkpoints,
        self._folder,
        program_lib.without_buffer,
        self._warn,
        processes.leads(),
        lambda says: bool(processes.first_says(says)),
      )
    self._loggers: Told | None = None
    self._final_reports: Reports = {}
    self._longest = 0.0

  def _timed(self, name: str, function: Callable[[], Any]) -> Any:
    begun = time.time()
    result = function()
    self._laps[name] = time.time() - begun
    return result

  def _warn(self, message: str) -> None:
    if not processes.leads():
      return
    if self._loggers is None:
      print(message, file=sys.stderr, flush=True)
    else:
      self._loggers.warn(message)

  def begin(self) -> None:
    """Makes the first state, or reads the one to go on from."""
    about = self._timed("the first state", self._origin.begin)
    if about is not None:
      self._begun -= self.chunks.counters.seconds
      if self._keeper is not None:
        self._keeper.resumed(self.chunks.steps, about)
    evaluation = [
      f"{prefix}/{name}"
      for prefix in self._experiment.evaluator.names
      for name in rows.EVALUATION
    ]
    columns = (*rows.LEADING, *self.chunks.metrics, *evaluation, *rows.TIMING)
    info = RunInfo(
      self._run_dir,
      columns,
      self.chunks.budget,
      tuple(self.chunks.seeds),
      self._start.settings,
      self.chunks.steps,
    )
    recipes = self._experiment.loggers if processes.leads() else ()
    self._loggers = Told(recipes, info)
    if self._start.weights is not None and self._keeper is not None:
      self._save()  # what a kill would lose is nowhere else

  def stop_if_asked(self) -> None:
    """Saves and raises `StoppedError` if the next chunk should not begin."""
    stop = self._start.stop
    asked = stop and stop.check(self._longest)
    why, mine = asked or ("a signal to another process", 0)
    code = processes.greatest(mine)
    if not code:
      return
    kept = ""
    if self._keeper is not None:
      kept = "; the same command with that --run_dir goes on"
      if not self._save_last():
        kept += " from the last state that could be written"
    raise StoppedError(
      f"ended by {why} at {self.chunks.steps:,} of "
      f"{self.chunks.budget:,} steps in {self._run_dir}{kept}",
      code,
    )

  def interrupt(self) -> None:
    """Tells the loggers that nothing more will come."""
    self._loggers.interrupt()

  def advance(self, iterations: int, learn: bool) -> None:
    """Runs one chunk, and what the host does after it."""
    while not self.chunks.compiled("run_chunk", 0.2):
      if processes.alone():
        self.stop_if_asked()
    begun = time.perf_counter()
    steps, counters = self.chunks.steps, self.chunks.counters
    if learn and counters.first_update is None:
      counters.first_update = time.time() - self._begun
    output, seconds = self.chunks.run(iterations, learn)
    if self._keeper is not None and not self._longest:
      self._keeper.prepare()  # beside the chunks to come
    found = rows.make(
      output,
      self.chunks.seeds,
      self.chunks.steps,
      counters.environment_steps,
      counters.updates,
      learn,
    )
    for row in found:
      row["seconds"] = time.time() - self._begun
      row["steps_per_second"] = float(output.tally.transitions.sum()) / seconds
    rows.check(found)
    evaluated = self._evaluate_if_due(found, steps)
    self._log(found, seconds, evaluated)
    if self._keeper is not None and self._keeper.due(self.chunks.steps):
      self._save()
    self._longest = max(self._longest, time.perf_counter() - begun)

  def _log(self, found, seconds: float, evaluated: float) -> None:
    warned = set(self.chunks.counters.warned)
    messages = rows.support_warnings(found, warned)
    messages += rows.length_warnings(
      seconds, self._experiment.steps_per_chunk, evaluated, warned
    )
    self.chunks.counters.warned = sorted(warned)
    for message in messages:
      self._warn(message)
    self._loggers.write(found)

  def _evaluate_if_due(
    self, found: list[dict[str, float]], before: int
  ) -> float:
    """Evaluates after the steps since before; returns the seconds it took."""
    every = self._experiment.evaluator.every_steps
    steps = self.chunks.steps
    due = every and steps // every > before // every
    if steps < self.chunks.budget and not due:
      return 0.0
    while not self.chunks.compiled("evaluate", 60.0):
      pass
    begun = time.perf_counter()
    self._final_reports = self.chunks.evaluate()
    rows.add_reports(found, self._final_reports)
    rows.check(found)
    if self._keeper is not None:
      report = self._final_reports["evaluation"]
      score = float(report.episode_return.mean())
      self._keeper.evaluated(self.chunks.state, steps, self._about(), score)
    return time.perf_counter() - begun

  def _about(self) -> dict[str, Any]:
    seconds = time.time() - self._begun
    counters = dataclasses.replace(self.chunks.counters, seconds=seconds)
    return {
      "counters": dataclasses.asdict(counters),
      "versions": description.library_versions(),
      "devices": self.chunks.num_devices,
    }

  def _save(self) -> None:
    self._keeper.save(self.chunks.state, self.chunks.steps, self._about())

  def _save_last(self) -> bool:
    """Returns when the state of now is written; False if it cannot be."""
    for _ in range(2):
      self._save()
      self._keeper.wait()
      if self._keeper.kept(self.chunks.steps):
        return True
    return False

  def save_crash(self) -> str:
    """Keeps the state of before the chunk that went wrong; says where."""
    if not processes.alone():
      return "the state of before is not kept where processes train as one"
    replay = self._keeper and self._experiment.checkpoints.replay
    if self._start.resumes and not replay:
      return "the state of before is unknown, since replay is not kept"
    self._warn("working out the state of before that chunk")
    stop = self._start.stop
    return crashes.keep(
      self.chunks,
      lambda: self._origin.begin_again(self._keeper if replay else None),
      self._run_dir,
      self._about,
      lambda: stop is not None and stop.check() is not None,
    )

  def finish(self) -> dict[str, Any]:
    """Evaluates if nothing has, keeps the last state, says how it went."""
    if not self._final_reports:
      self._final_reports = self.chunks.evaluate()
    kept = self._keeper is None or self._save_last()
    summary = summaries.make(
      self.chunks,
      self._final_reports,
      seconds=time.time() - self._begun,
      seconds_saving=self._keeper.seconds if self._keeper else 0.0,
      startup=self._laps,
    )
    text = json.dumps(summary, indent=2, allow_nan=False)
    if kept and processes.leads():
      # Without its last state a run is not finished.
      try:
        write_whole(self._run_dir / "summary.json", text + "\n")
      except OSError as error:
        self._warn(f"warning: summary.json cannot be written ({error})")
    self._loggers.finish(summary)
    if not kept:
      raise TrainingError(
        f"what was learned could not be written to {self._folder}; make room "
        "there, and the same command goes on from the last state that could be"
      )
    return summary
