"""Records as files: columns that read well, and arrays beside them."""

from __future__ import annotations

import csv
import math
import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from neurorl.training.gathering import Rows
from neurorl.types import Tree

# Parts of observations with more numbers than this are in the arrays alone.
MOST_COLUMNS = 64

Columns = Mapping[str, np.ndarray]


def columns(rows: Rows) -> dict[str, np.ndarray]:
  """Makes the columns of a table, a row per step.

  Args:
    rows: whole episodes.

  Returns:
    `[R]` each, by name, in order; NaN where there is nothing to say.
  """
  timestep = rows.timestep
  table = _places(rows)
  for name, leaf in _leaves("observation", timestep.observation).items():
    if math.prod(leaf.shape[1:]) <= MOST_COLUMNS:
      table |= _spread(name.replace("/", "_"), leaf)
  # What was done at a last step was ignored.
  took = timestep.last.reshape(-1, *[1] * (rows.action.ndim - 1))
  table |= _spread("action", np.where(took, np.nan, rows.action))
  table["reward"] = timestep.reward
  table["discount"] = timestep.discount
  if rows.probabilities is not None:
    acted = np.where(timestep.last[:, None], np.nan, rows.probabilities)
    table |= _spread("probability", acted)
  if rows.value is not None:
    table["value"] = rows.value
    if rows.action_values is not None:
      table |= _spread("q", rows.action_values)
    table["td_error"] = rows.td_error
  return table


def arrays(rows: Rows) -> dict[str, np.ndarray]:
  """Names all arrays of a record; row i of each is line i of the table."""
  timestep = rows.timestep
  found = {
    **_places(rows),
    **_leaves("observation", timestep.observation),
    "action": rows.action,
    "reward": timestep.reward,
    "discount": timestep.discount,
    "probabilities": rows.probabilities,
    "value": rows.value,
    "chosen_value": rows.chosen,
    "action_values": rows.action_values,
    "td_error": rows.td_error,
    **_leaves("head", rows.heads),
    **_leaves("hidden", rows.hidden),
    **rows.recorded,
  }
  return {name: x for name, x in found.items() if x is not None}


def write(path: pathlib.Path, rows: Rows) -> pathlib.Path:
  """Writes a table, and the arrays beside it.

  Args:
    path: of the table, a CSV file.
    rows: whole episodes.

  Returns:
    The path of the arrays, an NPZ file.
  """
  table = columns(rows)
  texts = [_texts(column) for column in table.values()]
  with path.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(table)
    writer.writerows(zip(*texts, strict=True))
  beside = path.with_suffix(".npz")
  np.savez_compressed(beside, **arrays(rows))
  return beside


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a table that `write` wrote.

  Args:
    path: of the CSV file.

  Returns:
    `[R]` float64 each, by name: flags are 0 and 1, and what is empty is NaN.

  Raises:
    ValueError: if it is no such table.
  """
  numbers = {"": np.nan, "False": 0.0, "True": 1.0}
  with path.open(newline="") as file:
    names, *lines = list(csv.reader(file)) or [[]]
  missing = [name for name in ("subject", "last") if name not in names]
  if missing:
    raise ValueError(f"{path} is no record: it has no column '{missing[0]}'")
  try:
    values = [
      [numbers[x] if x in numbers else float(x) for x in column]
      for column in zip(*lines, strict=True)
    ]
  except ValueError as error:
    raise ValueError(f"{path} is no record: {error}") from None
  if not values:
    raise ValueError(f"{path} has no rows")
  return dict(zip(names, map(np.array, values), strict=True))


def _places(rows: Rows) -> dict[str, np.ndarray]:
  return {
    "subject": rows.subject,
    "environment": rows.environment,
    "episode": rows.episode,
    "step": rows.step,
    "first": rows.timestep.first,
    "last": rows.timestep.last,
  }


def _leaves(name: str, tree: Tree) -> dict[str, np.ndarray]:
  """Names a tree's arrays by their paths, such as 'observation/reward'."""
  return {
    "/".join(
      [name, *(jax.tree_util.keystr((k,), simple=True) for k in path)]
    ): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _spread(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
  """Makes columns of `[R, ...]`, numbered in row-major order."""
  if values.ndim == 1:
    return {name: values}
  flat = values.reshape(len(values), -1)
  return {f"{name}_{i}": flat[:, i] for i in range(flat.shape[1])}


def _texts(column: np.ndarray) -> list[str]:
  """Writes numbers as short as tells them apart; nothing for NaN."""
  if column.dtype.kind == "f":
    whole = column == np.round(column)
    return [
      "" if np.isnan(x) else str(int(x)) if w and np.isfinite(x) else str(x)
      for x, w in zip(column, whole, strict=True)
    ]
  return [str(x) for x in column]
