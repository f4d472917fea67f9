"""Loggers that fail end no run, and what they could not write comes later."""

import pytest

from neurorl import loggers
from neurorl.logging_types import Logger, RunInfo
from neurorl.training.telling import Told

COLUMNS = ("seed", "budget_steps", "loss")


def _row(steps):
  return {"seed": 0, "budget_steps": steps, "loss": 0.5}


class Failing:
  """A logger that cannot write while it is told so."""

  def __init__(self):
    self.failing, self.rows, self.summaries = False, [], []

  def __call__(self, info):
    def write(rows):
      if self.failing:
        raise OSError(28, "No space left on device")
      self.rows += rows

    return Logger(write, self.summaries.append)


def test_what_could_not_be_written_is_written_later(tmp_path, capsys):
  failing, steady = Failing(), Failing()
  told = Told([failing, steady], RunInfo(tmp_path, COLUMNS, 10, (0,)))
  for steps, fails in [(1, False), (2, True), (3, True), (4, False), (5, True)]:
    failing.failing = fails
    told.write([_row(steps)])
  failing.failing = False
  told.finish({"done": True})
  for logger in (failing, steady):
    assert [row["budget_steps"] for row in logger.rows] == [1, 2, 3, 4, 5]
    assert logger.summaries == [{"done": True}]
  warned = capsys.readouterr().err
  assert warned.count("No space left") == 1 and "training goes on" in warned


def test_other_errors_are_raised(tmp_path):
  def build(info):
    def write(rows):
      raise KeyError("a fault of the logger itself")

    return Logger(write, lambda summary: None)

  told = Told([build], RunInfo(tmp_path, COLUMNS, 10, (0,)))
  with pytest.raises(KeyError):
    told.write([_row(1)])


def _table(folder):
  return (folder / "metrics.csv").read_text().splitlines()


def _metrics(folder, resumed_at=0):
  info = RunInfo(folder, COLUMNS, 10, (0,), resumed_at=resumed_at)
  return loggers.metrics_file()(info)


def test_rows_that_will_be_made_again_are_dropped(tmp_path):
  _metrics(tmp_path).write([_row(steps) for steps in (1, 2, 3)])
  with (tmp_path / "metrics.csv").open("a") as file:
    file.write("0,1")  # cut by a kill
  _metrics(tmp_path, resumed_at=2).write([_row(3)])
  assert _table(tmp_path) == [
    "seed,budget_steps,loss",
    "0,1,0.5",
    "0,2,0.5",
    "0,3,0.5",
  ]


def test_a_table_that_is_gone_is_made_again(tmp_path):
  folder = tmp_path / "run"
  folder.mkdir()
  logger = _metrics(folder)
  logger.write([_row(1)])
  (folder / "metrics.csv").unlink()
  folder.rmdir()
  logger.write([_row(2)])
  assert _table(folder) == ["seed,budget_steps,loss", "0,2,0.5"]
