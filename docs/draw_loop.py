"""Draws docs/loop.svg: the one loop, its parts, and the gin slot of each.

python docs/draw_loop.py
"""

import pathlib

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from neurorl.plots import style

_OUT = pathlib.Path(__file__).resolve().parent / "loop"
_BLUE, _ORANGE, _GREEN, *_ = style.COLOURS
# Each part: left, bottom, width, height, name, its slot, what may be in it.
PARTS = (
  (4, 45, 18, 11, "environment", "train.environment", "@gymnax()"),
  (4, 27, 18, 11, "actor", "train.actor", "@epsilon_greedy()"),
  (32, 46.5, 18, 8, "torso", "agent.torso", "@mlp()"),
  (32, 35.5, 18, 8, "core", "agent.core", "@lstm()"),
  (32, 24.5, 18, 8, "heads", "agent.heads", "{'q': @q_head()}"),
  (59, 45, 18, 11, "buffer", "train.buffer", "@prioritized_replay()"),
  (81, 45, 16, 11, "loss", "train.loss", "@losses()"),
  (59, 27, 18, 11, "target params", "train.target_params", "@polyak()"),
  (81, 27, 16, 11, "optimizer", "train.optimizer", "@optimizer()"),
)
_HOST = (
  (4, 3, 21, 9, "evaluator", "train.evaluator", "@evaluator()"),
  (28, 3, 25, 9, "loggers", "train.loggers", "[@terminal(), ...]"),
  (56, 3, 20, 9, "checkpoints", "train.checkpoints", "@checkpoints()"),
)


def _frame(axis, left, bottom, width, height, colour, **how) -> None:
  shape = FancyBboxPatch(
    (left, bottom),
    width,
    height,
    boxstyle="round,pad=0,rounding_size=1.2",
    edgecolor=colour,
    linewidth=0.9,
    **how,
  )
  axis.add_patch(shape)


def _part(axis, part, colour) -> None:
  left, bottom, width, height, name, slot, filled = part
  _frame(axis, left, bottom, width, height, colour, facecolor="white")
  middle, step = left + width / 2, height / 3.4
  top = bottom + height - 0.62 * step
  axis.text(middle, top, name, ha="center", va="center", weight="bold")
  for i, text in enumerate((slot, filled), start=1):
    axis.text(
      middle,
      top - i * step,
      text,
      ha="center",
      va="center",
      family="monospace",
      size=5.8,
      color="#333333" if i == 1 else colour,
    )


def _arrow(axis, start, end, label="", at=None, bend=0.0, **how) -> None:
  arrow = FancyArrowPatch(
    start,
    end,
    arrowstyle="-|>",
    mutation_scale=7,
    linewidth=0.9,
    color="#333333",
    connectionstyle=f"arc3,rad={bend}",
    shrinkA=0,
    shrinkB=0,
  )
  axis.add_patch(arrow)
  if label:
    how = {"ha": "center", "va": "center", "size": 6.2, **how}
    axis.text(*at, label, **how)


def _lines(axis, points, label="", at=None, **how) -> None:
  """An arrow around corners."""
  *before, last = points
  axis.plot(
    *zip(*before, strict=True),
    color="#333333",
    linewidth=0.9,
    solid_joinstyle="miter",
  )
  _arrow(axis, before[-1], last, label, at, **how)


def _compiled(axis) -> None:
  _frame(axis, 1, 18.5, 98, 44.5, _BLUE, facecolor="#eef5fa")
  axis.text(
    3,
    60.6,
    "compiled: one lax.scan over iterations, one vmap over seeds",
    color=_BLUE,
    va="center",
  )
  axis.text(
    97, 60.6, "filled as in qlearning.gin", size=6.2, ha="right", va="center"
  )
  _frame(axis, 30, 22.5, 22, 35.5, _BLUE, facecolor="#dcebf5")
  axis.text(32, 56.3, "agent", va="center", weight="bold")
  mono = {"family": "monospace", "size": 5.8, "va": "center", "ha": "right"}
  axis.text(50, 56.3, "train.agent", color="#333333", **mono)
  for part in PARTS:
    _part(axis, part, _BLUE)
  _arrow(axis, (22, 50.5), (32, 50.5), "time\nstep", (26.4, 53.2))
  _arrow(axis, (41, 46.5), (41, 43.5))
  _arrow(axis, (41, 35.5), (41, 32.5))
  # The core's memory.
  _arrow(axis, (50, 41.5), (50, 37.5), bend=-0.9)
  axis.text(53, 41.5, "memory, anew\nin each episode", size=5.8, va="center")
  _arrow(axis, (32, 28.5), (22, 32.5), "predic-\ntions", (26.4, 34.4))
  _arrow(axis, (13, 38), (13, 45), "action", (16.6, 41.5))
  _lines(
    axis,
    [(8, 56), (8, 58.9), (68, 58.9), (68, 56)],
    "steps, with what the actor recorded",
    (69, 58.2),
    ha="left",
  )
  _arrow(axis, (77, 50.5), (81, 50.5), "batch", (79, 52.6), size=5.8)
  _arrow(axis, (89, 45), (89, 38), "gradients", (90, 41.5), ha="left")
  _arrow(axis, (74, 38), (82.5, 45), "targets", (76.2, 42.5), ha="right")
  _arrow(axis, (81, 32.5), (77, 32.5))
  _lines(
    axis,
    [(89, 27), (89, 20.8), (41, 20.8), (41, 22.5)],
    "parameters",
    (66, 22.4),
  )
  axis.text(
    68,
    24.7,
    "K updates an iteration: the buffer says how many",
    size=5.8,
    ha="center",
    va="center",
    style="italic",
    color=_BLUE,
  )


def _host(axis) -> None:
  _frame(axis, 1, 1, 98, 15, _ORANGE, facecolor="#fdf3ec")
  axis.text(
    3,
    13.9,
    "host: plain Python between chunks of iterations",
    color=_ORANGE,
    va="center",
  )
  for part in _HOST:
    _part(axis, part, _ORANGE)
  axis.text(
    97,
    13.9,
    "evaluation is a compiled program of its own",
    size=6.2,
    ha="right",
    va="center",
  )
  crossing = {14.5: "parameters", 40.5: "metrics", 66: "the whole state"}
  for x, label in crossing.items():
    _arrow(axis, (x, 18.5), (x, 16), label, (x + 1, 17.2), ha="left")
  axis.text(79, 9.6, "runs/NAME/", family="monospace", size=6.2, va="center")
  axis.text(
    79,
    6.0,
    "config.gin, metrics.csv,\nsummary.json, plots/,\ncheckpoints/",
    size=5.8,
    va="center",
  )


def main() -> None:
  """Writes the picture."""
  import matplotlib as mpl

  with style.styled(), mpl.rc_context({"svg.fonttype": "path"}):
    figure = style.figure(style.PAGE, style.PAGE * 0.64)
    axis = figure.subplots()
    axis.set(xlim=(0, 100), ylim=(0, 64))
    axis.axis("off")
    _compiled(axis)
    _host(axis)
    style.save(figure, _OUT)


if __name__ == "__main__":
  main()
