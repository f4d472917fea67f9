"""Runs a sweep, as a YAML file of Weights & Biases has it, without them.

python binaries/sweep.py gin_configs/sweeps/catch.yaml
python binaries/sweep.py gin_configs/sweeps/catch.yaml --jobs=2
python binaries/sweep.py my.yaml --method=random --count=20
python binaries/sweep.py my.yaml --slurm --sbatch='--time=04:00:00 --gres=gpu:1'

The same command goes on where it was ended, by a kill too. It ends with two
tables: runs.csv, a row per run, and configurations.csv, a row for all seeds of
what else is the same, best first.
"""

import dataclasses
import os
import pathlib
import signal
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from neurorl import programs
from neurorl.sweeps import (
  checks,
  folder,
  optuna_search,
  outcomes,
  points,
  running,
  slurm,
  sweep_file,
)

flags.adopt_module_key_flags(programs)

_OUT = flags.DEFINE_string(
  "out", None, "The sweep's folder; by default runs/sweep-NAME, by the file."
)
_JOBS = flags.DEFINE_integer(
  "jobs",
  None,
  "Runs at once, by default one: in turn over the GPUs that "
  "CUDA_VISIBLE_DEVICES names, else over the cores. With --slurm the limit of "
  "the array, by default none.",
  lower_bound=1,
)
_METHOD = flags.DEFINE_enum(
  "method",
  None,
  ["grid", "random", "bayes"],
  "How points are drawn, in place of the file's; bayes is Optuna's.",
)
_COUNT = flags.DEFINE_integer(
  "count",
  None,
  "Runs in all, in place of the file's run_cap; a greater one adds to a sweep "
  "that is done.",
  lower_bound=1,
)
_SEED = flags.DEFINE_integer(
  "seed", 0, "Of the points that are drawn.", lower_bound=0
)
_BATCH_SEEDS = flags.DEFINE_enum(
  "batch_seeds",
  "auto",
  ["auto", "always", "never"],
  "Whether a grid's consecutive values of gin.SEED are one run, by "
  "gin.NUM_SEEDS: by default where CUDA_VISIBLE_DEVICES names a GPU, which "
  "many small runs would share badly.",
)
_TABLE = flags.DEFINE_bool(
  "table", False, "Runs nothing; makes the tables of what is there."
)
_SLURM = flags.DEFINE_bool(
  "slurm", False, "Runs nothing; writes an array job for sbatch."
)
_SBATCH = flags.DEFINE_string(
  "sbatch", "", "Options of sbatch for that job, such as '--gres=gpu:1'."
)


class _Sweeping:
  """One sweep, from its file to its tables."""

  def __init__(self, path: str):
    sweep, notes = sweep_file.read(path)
    for note in notes:
      print(f"note: {note}", file=sys.stderr)
    if _METHOD.value:
      sweep = dataclasses.replace(sweep, method=_METHOD.value)
    self._count = _COUNT.value or sweep.run_cap
    self.sweep = sweep
    self._grid = points.grid(sweep) if sweep.method == "grid" else []
    if self._grid and _batches_seeds():
      self._grid = points.with_seeds_batched(self._grid)
    if sweep.method != "grid" and self._count is None:
      raise ValueError(
        f"{path}: method {sweep.method} needs an end: --count=N, or run_cap "
        "in the file"
      )
    out = _OUT.value or f"runs/sweep-{pathlib.Path(path).stem}"
    where = pathlib.Path(out).expanduser()
    if not folder.holds_sweep(where):
      if _TABLE.value:
        raise ValueError(f"--table: no sweep is in {out}")
      self._check(path)
    self.folder = folder.Folder(where, sweep, _SEED.value)
    self._search: optuna_search.Search | None = None
    self._failed: set[int] = set()
    self._warned = False

  def _check(self, path: str) -> None:
    """Refuses what no run could do, before there is a folder of it."""
    drawn = self._grid or points.random(self.sweep, _SEED.value)
    words = self._command(next(iter(drawn)))
    try:
      checks.check(words, pathlib.Path(__file__).with_name("train.py"))
    except ValueError as error:
      raise ValueError(f"{path}: {error}") from None

  @property
  def _total(self) -> int:
    if self._grid:
      return min(len(self._grid), self._count or len(self._grid))
    return self._count

  def run(self) -> None:
    """Runs every point that is not done."""
    self._prepare_search()
    print(
      f"{self._total} runs in {self.folder.path}; the same command goes on "
      "after a kill",
      flush=True,
    )
    slots = running.environments(_JOBS.value or 1)
    running.run(self._tasks(), slots, self._ended)

  def write_slurm(self) -> None:
    """Writes the array job."""
    if self.sweep.method == "bayes":
      raise ValueError("--slurm: what is drawn by bayes is not known before")
    commands = [self._words(index, point) for index, point in self._points()]
    script = slurm.write(self.folder.path, commands, _JOBS.value, _SBATCH.value)
    print(f"sbatch {script}")

  def write_tables(self) -> int:
    """Prints and keeps the tables; returns how many runs have failed."""
    found = [
      outcomes.read(
        self.sweep, point, self.folder.run_dir(i), i in self._failed
      )
      for i, point in enumerate(self.folder.points[: self._total])
    ]
    for name, table in [
      ("runs", outcomes.runs_table(self.sweep, found)),
      ("configurations", outcomes.configurations_table(self.sweep, found)),
    ]:
      path = self.folder.path / f"{name}.csv"
      path.write_text(table)
      print(f"\n{outcomes.as_text(table)}\n  {path}", flush=True)
    done = [outcome for outcome in found if outcome.state == "done"]
    if done and not any(outcome.scores for outcome in done):
      self._warn_of_metric()
    return sum(outcome.state == "failed" for outcome in found)

  def _prepare_search(self) -> None:
    if self.sweep.method == "bayes":
      self._search = optuna_search.Search(
        self.sweep, _SEED.value, self.folder.points
      )

  def _points(self) -> Iterator[tuple[int, points.Point]]:
    """The points in turn: those that are known, then new ones."""
    drawn = iter(self._grid)
    if self.sweep.method == "random":
      drawn = points.random(self.sweep, _SEED.value)
    for index in range(self._total):
      point = self._search.ask() if self._search else next(drawn)
      if index == len(self.folder.points):
        self.folder.add(point)
      yield index, point

  def _tasks(self) -> Iterator[running.Task]:
    for index, point in self._points():
      if self._is_done(index):
        self._learn(index)
        continue
      yield running.Task(
        index,
        self._words(index, point),
        self.folder.run_dir(index),
        self.folder.log(index),
      )

  def _words(self, index: int, point: points.Point) -> list[str]:
    run_dir = self.folder.run_dir(index).resolve()
    return [*self._command(point), f"--run_dir={run_dir}"]

  def _command(self, point: points.Point) -> list[str]:
    words = self.sweep.words(point)
    # What the file says of Weights & Biases is for their agents.
    return [word for word in words if not word.startswith("--gin.wandb.")]

  def _is_done(self, index: int) -> bool:
    return (self.folder.run_dir(index) / "summary.json").exists()

  def _ended(self, index: int, code: int) -> None:
    if code:
      self._failed.add(index)
    outcome = self._learn(index)
    shown = " ".join(f"{k}={v}" for k, v in outcome.point.items())
    told = f"{self.sweep.metric} {outcome.score}"
    if code:
      told = f"failed with {code}: {_last_line(self.folder.log(index))}"
    print(f"[{index + 1}/{self._total}] {shown}: {told}", flush=True)
    if outcome.state == "done" and not outcome.scores and not self._warned:
      self._warned = True
      self._warn_of_metric()

  def _warn_of_metric(self) -> None:
    print(
      f"warning: metric.name: no run has a value of '{self.sweep.metric}' in "
      "its metrics.csv, and so none has a score",
      file=sys.stderr,
      flush=True,
    )

  def _learn(self, index: int) -> outcomes.Outcome:
    outcome = outcomes.read(
      self.sweep,
      self.folder.points[index],
      self.folder.run_dir(index),
      index in self._failed,
    )
    if self._search is not None:
      self._search.tell(index, outcome.score)
    return outcome


def _batches_seeds() -> bool:
  if _BATCH_SEEDS.value == "auto":
    return bool(os.environ.get("CUDA_VISIBLE_DEVICES"))
  return _BATCH_SEEDS.value == "always"


def _last_line(log: pathlib.Path) -> str:
  lines = log.read_text(errors="replace").strip().splitlines()
  errors = [line for line in lines if line.startswith("error: ")]
  return (errors or lines or [""])[-1]


def _sweep(arguments: Sequence[str]) -> None:
  if len(arguments) != 2:
    raise programs.CommandError(
      "name one sweep file: sweep.py gin_configs/sweeps/catch.yaml", 2
    )
  try:
    sweeping = _Sweeping(arguments[1])
    if _SLURM.value:
      return sweeping.write_slurm()
    if not _TABLE.value:
      sweeping.run()
    failed = sweeping.write_tables()
  except running.InterruptedByError as error:
    code = 130 if error.number == signal.SIGINT else 143
    raise programs.CommandError(
      f"ended by {error}; the same command goes on", code
    ) from None
  except ValueError as error:
    programs.show_traceback()
    raise programs.CommandError(str(error), 2) from error
  except OSError as error:
    raise programs.CommandError(f"{error}", 2) from None
  if failed:
    raise programs.CommandError(f"{failed} runs failed; their logs say why", 3)
  return None


def main() -> None:
  """Runs the program; the console script `neurorl-sweep`."""
  programs.run(_sweep)


if __name__ == "__main__":
  main()
