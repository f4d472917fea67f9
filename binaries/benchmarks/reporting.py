"""Rows of figures as a table, as Markdown and as JSON.

A figure that was measured several times is its median and, in the tables, half
of its interquartile range in per cent of that.
"""

import datetime
import json
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

# An array is one figure that was measured several times.
Row = dict[str, str | float | int | np.ndarray | None]


def table(rows: Sequence[Row]) -> str:
  """Lays rows out for a terminal; one line each if they are wide.

  Args:
    rows: a column for every key of any of them.

  Returns:
    Lines of Markdown, aligned.
  """
  columns = list(dict.fromkeys(name for row in rows for name in row))
  cells = [[_shown(row.get(name)) for name in columns] for row in rows]
  widths = [max(map(len, cell)) for cell in zip(columns, *cells, strict=True)]
  rule = ["-" * width for width in widths]
  return "\n".join(_line(row, widths) for row in [columns, rule, *cells])


def write(
  path: pathlib.Path, workload: str, rows: Sequence[Row], notes: str
) -> None:
  """Writes what was measured as JSON, and as Markdown beside it.

  Args:
    path: of the JSON file.
    workload: its name.
    rows: what it measured.
    notes: what they mean.
  """
  told = about()
  content = {"workload": workload, "about": told, "rows": _plain(rows)}
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
  lines = [f"# {workload}, {told['date'][:10]}", "", notes.strip(), ""]
  lines += [table(rows), "", f"`{told['command']}`", ""]
  lines += [
    f"{told['processor']}, {told['cores']} cores; device "
    f"{', '.join(told['devices'])}; jax {told['jax']}, neurorl "
    f"{told['git_revision'] or told['neurorl']}; {told['date']}."
  ]
  path.with_suffix(".md").write_text("\n".join(lines) + "\n")


def about() -> dict[str, Any]:
  """Says where and when: versions, revision, devices, processor."""
  # JAX takes memory, which workloads do not want to see: not before they end.
  from neurorl.runs import description
  from neurorl.training import devices

  with tempfile.TemporaryDirectory() as folder:
    description.write(pathlib.Path(folder), "", [], [])
    versions = json.loads((pathlib.Path(folder) / "versions.json").read_text())
  now = datetime.datetime.now().astimezone()
  return {
    **versions,
    "command": " ".join(["python", *sys.argv]),
    "date": now.isoformat(timespec="seconds"),
    "processor": _processor(),
    "cores": devices.cores(),
    "load_average": os.getloadavg()[0],
  }


def _processor() -> str:
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(x.split(":")[1].strip() for x in lines if "model name" in x)
  except (OSError, StopIteration):
    return platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
  """Returns what JSON can hold; of measurements, quartiles and all of them."""
  if isinstance(value, np.ndarray):
    low, median, high = (float(x) for x in _quartiles(value))
    values = [float(x) for x in value]
    return {"median": median, "q1": low, "q3": high, "values": values}
  if isinstance(value, dict):
    return {name: _plain(x) for name, x in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(x) for x in value]
  return value


def _shown(value: Any) -> str:
  if value is None:
    return "-"
  if isinstance(value, np.ndarray):
    low, median, high = _quartiles(value)
    return f"{_number(median)} ±{50 * (high - low) / abs(median):.0f}%"
  return value if isinstance(value, str) else _number(value)


def _quartiles(values: np.ndarray) -> np.ndarray:
  return np.percentile(values, [25, 50, 75])


def _number(x: float) -> str:
  """Four digits that mean something."""
  if isinstance(x, int) or abs(x) >= 1000:
    return f"{x:,.0f}"
  return f"{x:.4g}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
  padded = [
    cell.rjust(width) if i else cell.ljust(width)
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
  ]
  return f"| {' | '.join(padded)} |"
