"""Everything that is made of some runs: figures and tables in a folder."""

from __future__ import annotations

import csv
import io
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from neurorl.ops import aggregates
from neurorl.plots import curves, figures, scores, style
from neurorl.plots.groups import Group

Row = Mapping[str, object]


class Report(NamedTuple):
  """What was made.

  Attributes:
    paths: of the files.
    text: the tables, in markdown.
  """

  paths: tuple[pathlib.Path, ...]
  text: str


def write(
  groups: Sequence[Group],
  out: pathlib.Path,
  x: str,
  metric: str | None,
  bounds: Mapping[str, tuple[float, float]] | None,
  warn: Callable[[str], None],
) -> Report:
  """Draws and tabulates groups of seeds.

  Args:
    groups: one for each curve.
    out: the folder for the files.
    x: the column of steps or time.
    metric: the column of values; None for the return of evaluations, or of
      training where a run has none (or a curve has but one).
    bounds: the scores that are 0 and 1 in the aggregates; None for the least
      and the greatest of these runs.
    warn: takes a sentence about what is left out.

  Returns:
    What was made. Aggregates and profiles are of two environments or more.

  Raises:
    RunError: if no seed of a group has a value.
    OSError: if a file cannot be written.
  """
  drawn = metric or curves.default_metric(groups, least=2)
  panels = _panels(groups, x, drawn, warn)
  judged = metric or curves.default_metric(groups, least=1)
  found = [scores.final_score(group, judged, warn) for group in groups]
  rows = [scores.row(score) for score in found]
  caption = f"Last `{judged}` of each seed: interquartile mean over seeds, "
  text = caption + f"95 % bootstrap interval.\n\n{markdown(rows)}"
  out.mkdir(parents=True, exist_ok=True)
  paths = [_write_csv(out / "scores.csv", rows)]
  with style.styled():
    figure = figures.learning_curves(panels, x, drawn)
    paths += style.save(figure, out / "learning_curves")
    whole = scores.over_environments(found, bounds, warn)
    if whole:
      unit = (
        "0 to 1 = least to greatest of these runs"
        if bounds is None
        else "normalised"
      )
      text += f"\nOver environments; score {unit}.\n\n"
      rows = [row for aggregate in whole for row in _rows(aggregate)]
      text += markdown(rows)
      paths += [_write_csv(out / "aggregates.csv", rows)]
      labels = [group.label for group in groups]  # for the same colours
      figure = figures.aggregate_scores(whole, unit, labels)
      paths += style.save(figure, out / "aggregates")
      figure = figures.profiles(whole, unit, labels)
      paths += style.save(figure, out / "profiles")
  (out / "scores.md").write_text(text)
  return Report((out / "scores.md", *paths), text)


def _panels(groups, x, metric, warn):
  panels: dict[str, dict[str, curves.Curve]] = {}
  for group in groups:
    curve = curves.curve(group, x, metric)
    most, last = max(curve.seeds), curve.seeds[-1]
    if last < most:
      at = curve.x[curve.seeds == most][-1]
      warn(
        f"{group.label} in {group.environment}: {most - last} of {most} seeds "
        f"have nothing beyond {at:,.0f} {x.replace('_', ' ')}"
      )
    panels.setdefault(group.environment, {})[group.label] = curve
  return panels


def _rows(aggregate: scores.Aggregate) -> list[Row]:
  return [
    {
      "algorithm": aggregate.label,
      "aggregate": name,
      "value": aggregate.values[i],
      "ci95_low": _number(aggregate.low[i]),
      "ci95_high": _number(aggregate.high[i]),
    }
    for i, name in enumerate(aggregates.AGGREGATES)
  ]


def _number(value: float) -> float | str:
  return "" if math.isnan(value) else float(value)


def markdown(rows: Sequence[Row]) -> str:
  """Writes rows as a table that reads well as text too.

  Args:
    rows: at least one; all of the same names.

  Returns:
    The table.
  """
  names = list(rows[0])
  cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = [
    "| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells
  ]
  lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
  return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
  if isinstance(value, float):
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
  return f"{value:,}" if isinstance(value, int) else str(value)


def _write_csv(path: pathlib.Path, rows: Sequence[Row]) -> pathlib.Path:
  text = io.StringIO()
  writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  path.write_text(text.getvalue())
  return path
