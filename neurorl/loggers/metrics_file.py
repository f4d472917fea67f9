"""Metrics as a table on disk."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence

from neurorl.logging_types import Logger, LoggerRecipe, RunInfo
from neurorl.registry import component


@component
def metrics_file(name: str = "metrics.csv") -> LoggerRecipe:
  """Appends a row per chunk and seed to a CSV file in the run directory.

  Every number is written in full: two runs of one command give the same file
  but for its timing columns, `seconds` and `steps_per_second`. A run that goes
  on from a checkpoint first drops the rows of what it will do again.

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
    begin(path, info.columns, info.resumed_at)

    def write(rows):
      append(path, info.columns, rows)

    return Logger(write, finish=lambda summary: None)

  return build


def begin(path: pathlib.Path, columns: Sequence[str], resumed_at: int) -> None:
  """Makes a table with the rows that a run goes on from.

  Args:
    path: of the file; it need not exist.
    columns: of the table.
    resumed_at: budget steps of the last row to keep; 0 for none.
  """
  kept = []
  if resumed_at and not path.exists():
    print(f"warning: {path} is gone; it begins again", file=sys.stderr)
  if resumed_at and path.exists():
    with path.open(newline="", errors="replace") as file:
      kept = [row for row in csv.DictReader(file) if _steps(row) <= resumed_at]
  partial = path.with_name(f".{path.name}.partial")
  header = {column: column for column in columns}
  partial.write_text(_lines(columns, [header, *kept]), newline="")
  partial.replace(path)


def _steps(row: Mapping[str, str | None]) -> float:
  """Budget steps of a row; infinity if a kill has cut it short."""
  if None in row.values() or not (row.get("budget_steps") or "").isdigit():
    return float("inf")
  return int(row["budget_steps"])


def append(
  path: pathlib.Path, columns: Sequence[str], rows: Iterable[Mapping]
) -> None:
  """Adds rows, all or none; makes the table anew if it is gone.

  Args:
    path: of the file.
    columns: of the table.
    rows: to add.

  Raises:
    OSError: if they cannot be written.
  """
  text = _lines(columns, rows)
  if not path.exists():
    path.parent.mkdir(parents=True, exist_ok=True)
    begin(path, columns, 0)
  size = path.stat().st_size
  try:
    with path.open("a", newline="") as file:
      file.write(text)
  except OSError:
    os.truncate(path, size)
    raise


def _lines(columns: Sequence[str], rows: Iterable[Mapping]) -> str:
  text = io.StringIO()
  writer = csv.writer(text)
  for row in rows:
    writer.writerow([row.get(column, "") for column in columns])
  return text.getvalue()
