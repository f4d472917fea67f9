"""Metrics as a table on disk."""

from __future__ import annotations

import csv
import pathlib

from neurorl.logging_types import Logger, LoggerRecipe, RunInfo
from neurorl.registry import component


@component
def metrics_file(name: str = "metrics.csv") -> LoggerRecipe:
  """Appends a row per chunk and seed to a CSV file in the run directory.

  Every number is written in full: two runs of one command give the same file
  but for its timing columns, `seconds` and `steps_per_second`.

  Args:
    name: of the file.

  Returns:
    The logger's recipe.

  Raises:
    ValueError: if the name has a folder in it.
  """
  if pathlib.PurePath(name).name != name:
    raise ValueError(f"metrics_file.name = '{name}': name a file, not a path")

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
