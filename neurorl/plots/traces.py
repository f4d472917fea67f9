"""What an agent predicted along one sequence, and how wrong it was."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

# Colours that the colour-blind tell apart.
_BLUE, _ORANGE, _BLACK, _GREY = "#0077bb", "#ee7733", "#333333", "#999999"


class Trace(NamedTuple):
  """A sequence of steps, `[T]` all; it may hold several episodes.

  Attributes:
    title: what to call it.
    reward: for arriving at each step.
    chosen: what was predicted: the value of the action taken, or of the state.
    target: what it is held against, r' + gamma * discount' * V(s'); NaN at a
      last step.
    td_error: their difference.
    last: bool.
    of_actions: whether `chosen` is of actions.
  """

  title: str
  reward: np.ndarray
  chosen: np.ndarray
  target: np.ndarray
  td_error: np.ndarray
  last: np.ndarray
  of_actions: bool = True


def traces(path: pathlib.Path, trace: Trace) -> None:
  """Draws rewards, predictions with their targets, and TD errors by step.

  Args:
    path: of the PNG.
    trace: what to draw.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.4, 4.8), dpi=150, layout="constrained")
  rewards, values, errors = figure.subplots(
    3, 1, sharex=True, height_ratios=[1, 2, 1.4]
  )
  steps = np.arange(len(trace.reward))
  paid = np.flatnonzero(trace.reward)
  rewards.vlines(paid, 0.0, trace.reward[paid], color=_BLACK, linewidth=1.2)
  rewards.plot(paid, trace.reward[paid], ".", color=_BLACK, markersize=4)
  rewards.set_ylabel("reward")
  name = "Q of the action" if trace.of_actions else "value"
  values.plot(
    steps, np.where(trace.last, np.nan, trace.chosen), color=_BLUE, label=name
  )
  values.plot(
    steps, trace.target, color=_ORANGE, linestyle="--", label="target"
  )
  values.set_ylabel("value")
  figure.legend(loc="outside upper right", ncols=2, fontsize=8, frameon=False)
  errors.vlines(
    steps, 0.0, np.nan_to_num(trace.td_error), color=_BLUE, linewidth=1.2
  )
  errors.set_ylabel("TD error")
  errors.set_xlabel("step (grey: an episode ends)")
  for axis in (rewards, values, errors):
    axis.spines[["top", "right"]].set_visible(False)
    if axis is not values:
      axis.axhline(0.0, color=_GREY, linewidth=0.6)
    axis.tick_params(labelsize=8)
    for end in np.flatnonzero(trace.last):
      axis.axvline(end, color=_GREY, linewidth=0.8, zorder=0)
  figure.suptitle(trace.title, fontsize=9, x=0.01, ha="left")
  figure.align_ylabels()
  figure.savefig(path)
