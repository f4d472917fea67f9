"""How every figure looks: paper widths, sizes of type, colours, files."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

COLUMN, PAGE = 3.3, 6.75  # inches: one column of a paper, and both
# Okabe and Ito (2008), told apart by the colour-blind; yellow is too light for
# a line. https://jfly.uni-koeln.de/color/
COLOURS = (
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#000000",
)
_DASHES = ("-", "--", ":", "-.")
_SETTINGS = {
  "font.size": 8.0,
  "axes.labelsize": 8.0,
  "axes.titlesize": 8.0,
  "xtick.labelsize": 7.0,
  "ytick.labelsize": 7.0,
  "legend.fontsize": 7.0,
  "legend.frameon": False,
  "axes.linewidth": 0.6,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.grid": True,
  "axes.axisbelow": True,
  "grid.color": "#dddddd",
  "grid.linewidth": 0.5,
  "lines.linewidth": 1.2,
  "xtick.major.width": 0.6,
  "ytick.major.width": 0.6,
  "svg.fonttype": "none",  # words stay words
  "svg.hashsalt": "neurorl",  # the same figure is the same file
}


def lines(labels: Iterable[str]) -> dict[str, dict[str, str]]:
  """Says how the line of each label is drawn: colours first, then dashes."""
  return {
    label: {
      "color": COLOURS[i % len(COLOURS)],
      "linestyle": _DASHES[i // len(COLOURS) % len(_DASHES)],
    }
    for i, label in enumerate(dict.fromkeys(labels))
  }


@contextlib.contextmanager
def styled() -> Iterator[None]:
  """Draws in the house's style for as long as it is open, and no longer."""
  import matplotlib as mpl

  with mpl.rc_context({**mpl.rcParamsDefault, **_SETTINGS}):
    yield


def figure(width: float, height: float) -> Any:
  """Makes an empty figure, without pyplot and so without a window.

  Args:
    width: in inches.
    height: likewise.

  Returns:
    A matplotlib figure.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  made = Figure(figsize=(width, height), layout="constrained")
  FigureCanvasAgg(made)
  return made


def save(figure: Any, stem: pathlib.Path) -> list[pathlib.Path]:
  """Writes a figure as PNG and as SVG.

  Args:
    figure: of matplotlib.
    stem: their path without an ending.

  Returns:
    Their paths.

  Raises:
    OSError: if they cannot be written.
  """
  stem.parent.mkdir(parents=True, exist_ok=True)
  paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
  figure.savefig(paths[0], dpi=300)
  figure.savefig(paths[1], metadata={"Date": None})
  return paths
