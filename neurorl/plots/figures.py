"""The figures: learning curves, aggregates, performance profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurorl.ops import aggregates
from neurorl.plots import style
from neurorl.plots.curves import Curve
from neurorl.plots.scores import Aggregate

_NAMES = {
  "evaluation/episode_return": "return (evaluation)",
  "training/episode_return": "return (training)",
}
_TITLES = {
  "iqm": "IQM",
  "median": "median",
  "mean": "mean",
  "optimality_gap": "optimality gap",
}
_HOURS = 2 * 3600
_CHARACTERS = 15  # of a legend, to an inch


def learning_curves(
  panels: Mapping[str, Mapping[str, Curve]], x: str, metric: str
) -> Any:
  """Draws a panel for each environment, a line for each algorithm.

  Args:
    panels: environments to algorithms to curves.
    x: the column of steps or time.
    metric: the column of values.

  Returns:
    A matplotlib figure, one column wide or two.
  """
  columns = min(len(panels), 3)
  rows = -(-len(panels) // columns)
  width = style.COLUMN if columns == 1 else style.PAGE
  labels = list(
    dict.fromkeys(name for panel in panels.values() for name in panel)
  )
  height = 2.3 if columns < 3 else 2.0
  lines = style.lines(labels)
  legend = _legend_rows(labels, width)
  figure = style.figure(width, rows * height + 0.17 * legend)
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[len(panels) :]:
    axis.remove()
  for axis, (title, panel) in zip(axes, panels.items(), strict=False):
    scale, unit = _unit(x, panel)
    for label, curve in panel.items():
      _draw(axis, curve, scale, lines[label])
    axis.set_title(title)
    axis.set_xlabel(unit)
    _tidy(axis)
  for axis in axes[: len(panels) : columns]:
    axis.set_ylabel(_NAMES.get(metric, metric))
  _legend(figure, lines, width)
  return figure


def _draw(axis: Any, curve: Curve, scale: float, how: dict[str, str]) -> None:
  at = curve.x / scale
  marker = "o" if curve.x.size < 3 else ""
  axis.plot(at, curve.middle, marker=marker, markersize=3, **how)
  axis.fill_between(
    at, curve.low, curve.high, color=how["color"], alpha=0.2, linewidth=0
  )


def _unit(x: str, panel: Mapping[str, Curve]) -> tuple[float, str]:
  """What a unit of the axis is, and its name."""
  if x != "seconds":
    return 1.0, x.replace("_", " ")
  longest = max(curve.x[-1] for curve in panel.values())
  return (
    (3600.0, "wall time (h)") if longest > _HOURS else (1.0, "wall time (s)")
  )


def _tidy(axis: Any) -> None:
  from matplotlib import ticker

  round_numbers = [1, 2, 2.5, 5, 10]
  axis.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=round_numbers))
  axis.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=round_numbers))
  axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
  axis.set_xlim(0)


def _legend_columns(labels: Sequence[str], width: float) -> int:
  longest = max(map(len, labels)) + 5
  return max(1, min(len(labels), int(width * _CHARACTERS / longest)))


def _legend_rows(labels: Sequence[str], width: float) -> int:
  return math.ceil(len(labels) / _legend_columns(labels, width))


def _legend(
  figure: Any, lines: Mapping[str, Mapping[str, str]], width: float
) -> None:
  from matplotlib.lines import Line2D

  handles = [Line2D([], [], label=label, **how) for label, how in lines.items()]
  columns = _legend_columns(list(lines), width)
  figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def aggregate_scores(
  found: Sequence[Aggregate], unit: str, labels: Sequence[str]
) -> Any:
  """Draws the four aggregates with their intervals, a row an algorithm.

  Args:
    found: of the algorithms.
    unit: how scores were normalised.
    labels: of all the curves, in the order of their colours.

  Returns:
    A matplotlib figure, two columns wide.
  """
  figure = style.figure(style.PAGE, 0.75 + 0.22 * len(found))
  axes = figure.subplots(1, len(aggregates.AGGREGATES), sharey=True)
  rows = np.arange(len(found))[::-1]
  lines = style.lines(labels)
  for i, (axis, name) in enumerate(
    zip(axes, aggregates.AGGREGATES, strict=True)
  ):
    for row, aggregate in zip(rows, found, strict=True):
      colour = lines[aggregate.label]["color"]
      low, high = aggregate.low[i], aggregate.high[i]
      if np.isfinite(low):
        axis.barh(row, high - low, 0.6, low, color=colour, alpha=0.3)
      axis.plot([aggregate.values[i]] * 2, [row - 0.3, row + 0.3], color=colour)
    axis.set_title(_TITLES[name])
    axis.set_yticks(rows, [aggregate.label for aggregate in found])
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=4)
    axis.use_sticky_edges = False
    axis.margins(x=0.1)
  figure.supxlabel(f"score, {unit}", fontsize=8)
  return figure


def profiles(
  found: Sequence[Aggregate], unit: str, labels: Sequence[str]
) -> Any:
  """Draws what part of the runs scores above each threshold.

  Args:
    found: of the algorithms.
    unit: how scores were normalised.
    labels: of all the curves, in the order of their colours.

  Returns:
    A matplotlib figure, one column wide.
  """
  lines = style.lines(labels)
  lines = {aggregate.label: lines[aggregate.label] for aggregate in found}
  legend = _legend_rows(list(lines), style.COLUMN)
  figure = style.figure(style.COLUMN, 2.3 + 0.17 * legend)
  axis = figure.subplots()
  for aggregate in found:
    how, at = lines[aggregate.label], aggregate.thresholds
    axis.plot(at, aggregate.profile, drawstyle="steps-post", **how)
    axis.fill_between(
      at,
      aggregate.profile_low,
      aggregate.profile_high,
      step="post",
      color=how["color"],
      alpha=0.2,
      linewidth=0,
    )
  axis.set_ylim(-0.02, 1.02)
  axis.set_xlabel(f"score τ, {unit}")
  axis.set_ylabel("part of the runs above τ")
  _legend(figure, lines, style.COLUMN)
  return figure
