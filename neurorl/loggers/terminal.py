"""Progress for a person: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from neurorl.logging_types import Logger, LoggerRecipe, Row, RunInfo
from neurorl.registry import component

_BAR = 20


@component
def terminal(lines: int = 20) -> LoggerRecipe:
  """Shows steps, speed, time left, returns and loss, and a final table.

  On a terminal one line is redrawn; elsewhere (a log file, a queue) lines are
  printed.

  Args:
    lines: how many lines at most where they are not redrawn; evaluations are
      always printed.

  Returns:
    The logger's recipe.

  Raises:
    ValueError: if `lines` is negative.
  """
  if lines < 0:
    raise ValueError(f"terminal.lines must be >= 0, got {lines}")

  def build(info: RunInfo) -> Logger:
    display = _Display(info, lines, sys.stdout)
    return Logger(display.write, display.finish, display.warn)

  return build


class _Display:
  """What has been shown, and when."""

  def __init__(self, info: RunInfo, lines: int, stream: TextIO):
    self._info = info
    self._stream = stream
    self._live = stream.isatty()
    self._every = info.total_steps / lines if lines else float("inf")
    self._next = 0.0
    self._first: tuple[float, float] | None = None
    self._held: dict[str, float] = {}

  def write(self, rows: Sequence[Row]) -> None:
    mean = _mean(rows)
    self._held |= mean
    if self._first is None and "loss/total" in mean:
      self._first = (time.monotonic(), mean["budget_steps"])
    line = self._line(self._held)
    evaluated = "evaluation/episode_return" in mean
    if self._live:
      # A line that wraps cannot be redrawn.
      shown = line[: shutil.get_terminal_size().columns - 1]
      self._stream.write(f"\r\x1b[K{shown}" + ("\n" if evaluated else ""))
    elif evaluated or mean["budget_steps"] >= self._next:
      self._next = mean["budget_steps"] + self._every
      self._stream.write(line + "\n")
    self._stream.flush()

  def warn(self, message: str) -> None:
    self._stream.write(("\r\x1b[K" if self._live else "") + f"{message}\n")
    self._stream.flush()

  def finish(self, summary: Mapping[str, Any]) -> None:
    if self._live:
      self._stream.write("\r\x1b[K")
    score = summary["evaluation"]["episode_return"]
    seeds = " ".join(f"{x:.3f}" for x in score["per_seed"])
    rows = [
      ("environment steps", f"{summary['environment_steps']:,}"),
      ("learner updates", f"{summary['learner_updates']:,}"),
      ("seconds", f"{summary['seconds']:.1f}"),
      ("seconds to first update", _seconds(summary)),
      ("steps per second", f"{summary['steps_per_second']:,.0f}"),
      (
        "evaluation return (IQM)",
        _interval(score),
      ),
      ("evaluation return (mean)", f"{score['mean']:.3f}"),
      ("evaluation return per seed", seeds),
      *_beside(summary),
      *_warnings(summary["evaluation"]),
      ("run directory", str(self._info.run_dir)),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
      self._stream.write(f"  {name:<{width}}  {value}\n")
    self._stream.flush()

  def _line(self, row: Row) -> str:
    part = min(row["budget_steps"] / self._info.total_steps, 1.0)
    filled = round(part * _BAR)
    words = [
      f"[{'#' * filled}{'.' * (_BAR - filled)}] {part:4.0%}",
      f"{row['budget_steps']:>11,.0f} steps",
      f"{row.get('steps_per_second', 0):>8,.0f}/s",
      self._time_left(row["budget_steps"]),
    ]
    for label, name in [
      ("return", "training/episode_return"),
      ("loss", "loss/total"),
      ("eval", "evaluation/episode_return"),
    ]:
      if name in row:
        words.append(f"{label} {row[name]:.3g}")
    return "  ".join(words)

  def _time_left(self, steps: float) -> str:
    """Estimates it by what came after the first row that learned.

    Compiling came before, and collecting alone, which is faster.
    """
    begun, before = self._first or (0.0, steps)
    if steps == before:
      return " " * 10
    to_do = max(self._info.total_steps - steps, 0.0)
    left = (time.monotonic() - begun) * to_do / (steps - before)
    return f"{left:>4.0f}s left"


def _seconds(summary: Mapping[str, Any]) -> str:
  seconds = summary["seconds_to_first_update"]
  return "-" if seconds is None else f"{seconds:.1f}"


def _beside(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
  return [
    (f"{name} return (IQM)", _interval(report["episode_return"]))
    for name, report in summary.items()
    if name.startswith("evaluation/")
  ]


def _interval(score: Mapping[str, Any]) -> str:
  low, high = score["ci95"]
  return f"{score['iqm']:.3f}  95% interval [{low:.3f}, {high:.3f}]"


def _warnings(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
  if not evaluation["capped"]:
    return []
  count = f"{evaluation['capped']:,}"
  return [("episodes cut by evaluator.max_steps", count)]


def _mean(rows: Sequence[Row]) -> dict[str, float]:
  """Averages each name over the seeds that have it."""
  names = dict.fromkeys(name for row in rows for name in row)
  return {
    name: sum(values) / len(values)
    for name in names
    if (values := [row[name] for row in rows if name in row])
  }
