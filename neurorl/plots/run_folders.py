"""Runs as they lie on disk, read for plots; unfinished ones too."""

from __future__ import annotations

import ast
import csv
import dataclasses
import io
import json
import math
import pathlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

import numpy as np

METRICS = "metrics.csv"
_NEEDED = ("seed", "budget_steps", "environment_steps")
# They tell runs of one configuration apart.
_SEEDS = ("train.seed", "train.num_seeds")


class RunError(ValueError):
  """A folder from which nothing can be plotted; says why."""


class EmptyRunError(RunError):
  """A run that has only begun."""


@dataclasses.dataclass(frozen=True)
class Run:
  """What a run left.

  Attributes:
    path: of its folder.
    algorithm: the names of its gin files but for the environment's.
    environment: its name, and arguments if it has any; '' if not known.
    settings: its configuration without seeds, as text; None if not known.
    finished: whether it came to its end.
    columns: of its table of metrics.
    seeds: of each seed, the columns `[rows]`; NaN where a cell is empty.
  """

  path: pathlib.Path
  algorithm: str
  environment: str
  settings: Mapping[str, str] | None
  finished: bool
  columns: tuple[str, ...]
  seeds: Mapping[int, Mapping[str, np.ndarray]]


def find(paths: Sequence[str]) -> list[pathlib.Path]:
  """Finds the run directories that a command line names.

  Args:
    paths: run directories, or folders of them.

  Returns:
    Run directories, each once, in order.

  Raises:
    RunError: if there is none in one of the paths.
  """
  found: dict[pathlib.Path, pathlib.Path] = {}
  for name in paths:
    path = pathlib.Path(name).expanduser()
    if not path.is_dir():
      what = "is a file" if path.exists() else "does not exist"
      raise RunError(f"{name} {what}; name run directories")
    inside = sorted(child.parent for child in path.glob(f"*/{METRICS}"))
    if (path / METRICS).exists():
      inside = [path]
    if not inside:
      raise RunError(f"no run is in {name}: it has no {METRICS}")
    found |= {folder.resolve(): folder for folder in inside}
  return list(found.values())


def read_all(paths: Sequence[str], warn: Callable[[str], None]) -> list[Run]:
  """Reads the runs that a command line names.

  Args:
    paths: run directories, or folders of them.
    warn: is told of a run in such a folder that has no rows yet.

  Returns:
    The runs.

  Raises:
    RunError: if one cannot be read, or none has rows.
  """
  named = {pathlib.Path(name).expanduser() for name in paths}
  runs = []
  for path in find(paths):
    try:
      runs.append(read(path))
    except EmptyRunError as error:
      if path in named:
        raise
      warn(f"{error}: left out")
  if not runs:
    raise RunError(f"no run in {', '.join(paths)} has rows yet")
  return runs


def read(path: pathlib.Path) -> Run:
  """Reads a run.

  Args:
    path: of its folder.

  Returns:
    The run; the row that a kill has cut short is left out.

  Raises:
    RunError: if its metrics are missing or are none; an `EmptyRunError` if
      there are none yet.
  """
  columns, seeds = _read_metrics(path / METRICS)
  settings = _settings(path)
  return Run(
    path,
    _algorithm(path),
    _environment(settings or {}),
    None
    if settings is None
    else {k: v for k, v in settings.items() if k not in _SEEDS},
    (path / "summary.json").exists(),
    columns,
    seeds,
  )


def _read_metrics(path: pathlib.Path):
  try:
    text = path.read_text(errors="replace")
  except OSError as error:
    raise RunError(f"{path} cannot be read: {error.strerror}") from None
  whole = text[: text.rfind("\n") + 1]  # a kill may cut the last line
  rows = csv.reader(io.StringIO(whole, newline=""))
  columns = tuple(next(rows, ()))
  missing = [name for name in _NEEDED if name not in columns]
  if missing:
    raise RunError(f"{path} is no table of metrics: no column '{missing[0]}'")
  values: dict[int, list[list[float]]] = {}
  for row in rows:
    if len(row) != len(columns):
      raise RunError(
        f"{path}:{rows.line_num} has {len(row)} cells, not {len(columns)}"
      )
    numbers = [
      _number(cell, f"{path}:{rows.line_num}: {name}")
      for name, cell in zip(columns, row, strict=True)
    ]
    seed = numbers[columns.index("seed")]
    if not math.isfinite(seed):
      raise RunError(f"{path}:{rows.line_num} has no seed")
    values.setdefault(int(seed), []).append(numbers)
  if not values:
    raise EmptyRunError(f"{path} has no rows yet")
  return columns, {
    seed: dict(zip(columns, np.array(found).T, strict=True))
    for seed, found in sorted(values.items())
  }


def _number(cell: str, where: str) -> float:
  try:
    value = float(cell) if cell else math.nan
  except ValueError:
    raise RunError(f"{where} = '{cell}' is no number") from None
  return value if math.isfinite(value) else math.nan


def _settings(path: pathlib.Path) -> dict[str, str] | None:
  """The configuration as `runs.directory` keeps it; None if it is not there."""
  try:
    return dict(json.loads((path / "run.json").read_text())["settings"])
  except (OSError, ValueError, KeyError, TypeError):
    return None


def _algorithm(path: pathlib.Path) -> str:
  """The gin files of the command; else the folder's name."""
  try:
    (command, *_) = (path / "command.txt").read_text().splitlines()
    words = shlex.split(command)
  except (OSError, ValueError):
    return path.resolve().name
  words = [
    f"{word}={after}" if word in ("--gin_file", "-gin_file") else word
    for word, after in zip(words, [*words[1:], ""], strict=True)
  ]
  names = [
    pathlib.Path(word.split("=", 1)[1]).stem
    for word in words
    if re.match(r"--?gin_file=", word)
  ]
  names = [name for name in names if not name.startswith("env_")]
  if not names or names == ["config"]:  # a run of another run's configuration
    return path.resolve().name
  return " + ".join(names)


def _environment(settings: Mapping[str, str]) -> str:
  """Names the environment by its innermost component."""
  name = settings.get("train.environment", "")
  component = name.strip("@()")
  while f"{component}.environment" in settings:  # a wrapper
    component = settings[f"{component}.environment"].strip("@()")
  named = settings.get(f"{component}.name", settings.get(f"{component}.path"))
  words = [component if named is None else str(_literal(named))]
  for argument in ("arguments", "parameters"):
    given = _literal(settings.get(f"{component}.{argument}", "None"))
    if isinstance(given, Mapping):
      words += [f"{key} = {value}" for key, value in given.items()]
  return ", ".join(words)


def _literal(text: str):
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text
