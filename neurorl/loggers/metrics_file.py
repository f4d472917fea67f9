"""Metrics as a table on disk."""

from __future__ import annotations

import csv
from collections.abc import Callable

from neurorl.registry import component
from neurorl.types import Logger, RunInfo


@component
def metrics_file(name: str = "metrics.csv") -> Callable[[RunInfo], Logger]:
  """Appends a row per chunk and seed to a CSV file in the run directory.

  Every number is written in full: two runs of one command give the same file
  but for its timing columns, `seconds` and `steps_per_second`.

  Args:
    name: of the file.

  Returns:
    The logger's recipe.
  """

  def build(info: RunInfo) -> Logger:
    path = info.run_dir / name
    with path.open("w", newline="") as file:
      csv.writer(file).writerow(info.columns)

    def write(rows):
      with path.open("a", newline="") as file:
        writer = csv.writer(file)
        for row in rows:
          writer.writerow([row.get(column, "") for column in info.columns])

    return Logger(write, finish=lambda summary: None)

  return build
