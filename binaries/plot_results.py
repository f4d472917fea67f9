"""Draws the tables of binaries/verify.py, kept in docs/results.

python binaries/plot_results.py docs/results/families-2026-11-29.csv
python binaries/plot_results.py docs/results/simulations-2026-11-23.csv

A table of claims becomes a panel for each threshold (dashed): of every row the
seeds' means (dots), which may not be below the dotted line, and the
interquartile mean with its 95 % bootstrap interval. A table of numbers of
simulations becomes curves over them. The pictures lie beside the table.
"""

import csv
import pathlib
import re
from collections.abc import Sequence

from absl import flags
from matplotlib import ticker
from matplotlib.figure import Figure

from neurorl import programs
from neurorl.plots import style

flags.adopt_module_key_flags(programs)

_BESIDE = re.compile(r"([^:;]+): (\S+) \[(\S+), (\S+)\]")
_ROW = 0.16  # inches

Rows = Sequence[dict[str, str]]


def _read(path: pathlib.Path) -> Rows:
  try:
    with path.open(newline="") as file:
      rows = list(csv.DictReader(file))
  except OSError as error:
    raise programs.CommandError(
      f"{path} cannot be read: {error.strerror}", 2
    ) from None
  needed = {"row", "claim", "iqm", "ci95_low", "ci95_high", "per_seed"}
  if not rows or not needed <= rows[0].keys():
    raise programs.CommandError(
      f"{path} is no table of binaries/verify.py: it needs rows, with "
      f"{', '.join(sorted(needed))}",
      2,
    )
  return [row for row in rows if row["iqm"]]


def _panels(rows: Rows) -> dict[str, list[dict[str, str]]]:
  """Puts together rows of one claim: their returns are of one size."""
  found: dict[str, list[dict[str, str]]] = {}
  for row in rows:
    found.setdefault(row["claim"], []).append(row)
  return found


def _claims(rows: Rows) -> Figure:
  panels = _panels(rows)
  columns = min(len(panels), 2)
  halves: list[list[str]] = [[] for _ in range(columns)]
  sizes = [0.0] * columns
  for claim, its in panels.items():
    shorter = sizes.index(min(sizes))
    halves[shorter].append(claim)
    sizes[shorter] += _ROW * len(its) + 0.5
  width = style.PAGE if columns == 2 else style.COLUMN
  figure = style.figure(width, max(sizes))
  sides = figure.subfigures(1, columns, squeeze=False)
  for side, claims in zip(sides.ravel(), halves, strict=True):
    heights = [len(panels[claim]) * _ROW + 0.3 for claim in claims]
    axes = side.subplots(len(claims), 1, height_ratios=heights, squeeze=False)
    for axis, claim in zip(axes.ravel(), claims, strict=True):
      _claim(axis, claim, panels[claim])
  return figure


def _claim(axis, claim: str, rows: Rows) -> None:
  for y, row in enumerate(reversed(rows)):
    middle, low, high = (
      float(row[name]) for name in ("iqm", "ci95_low", "ci95_high")
    )
    seeds = [float(x) for x in row["per_seed"].split()]
    axis.plot([low, high], [y, y], color=style.COLOURS[0], lw=2.5, alpha=0.5)
    axis.plot(seeds, [y] * len(seeds), "o", ms=2, mew=0, color="black")
    axis.plot(middle, y, "|", ms=7, mew=1.5, color=style.COLOURS[0])
  lines = {"--": claim.split()[-1], ":": rows[0]["floor"]}
  for dashes, value in lines.items():
    if value:
      axis.axvline(float(value), color=style.COLOURS[1], ls=dashes, lw=1)
  axis.set_yticks(range(len(rows)), [row["row"] for row in reversed(rows)])
  axis.set_ylim(-0.6, len(rows) - 0.4)
  axis.grid(visible=False, axis="y")
  axis.tick_params(axis="y", length=0)
  axis.locator_params(axis="x", nbins=5)
  axis.margins(x=0.05)
  axis.set_xlabel(f"return, claimed to be {claim.replace('>=', '≥')}")


def _simulations(rows: Rows) -> Figure:
  """Draws what each number of simulations is worth to the same parameters."""
  figure = style.figure(style.COLUMN, 2.6)
  axis = figure.subplots()
  looks = style.lines(row["row"] for row in rows)
  for row in rows:
    how = looks[row["row"]]
    found = {name.strip(): v for name, *v in _BESIDE.findall(row["beside"])}
    numbers = sorted(int(name) for name in found if name.isdigit())
    middle, low, high = zip(
      *(map(float, found[str(n)]) for n in numbers), strict=True
    )
    axis.plot(numbers, middle, "o-", ms=3, label=row["row"], color=how["color"])
    axis.fill_between(
      numbers, low, high, color=how["color"], alpha=0.15, linewidth=0
    )
    if "policy_head" in found:
      level = float(found["policy_head"][0])
      axis.axhline(level, ls=":", lw=1, color=how["color"])
  axis.set_xscale("log", base=2)
  axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
  axis.set_ylim(0)
  axis.set_xlabel("simulations per action (dotted: policy head alone)")
  axis.set_ylabel("return")
  figure.legend(loc="outside lower center", ncols=3)
  return figure


def _plot(arguments: Sequence[str]) -> None:
  if len(arguments) < 2:
    raise programs.CommandError("name tables: plot_results.py TABLE.csv", 2)
  for name in arguments[1:]:
    path = pathlib.Path(name)
    rows = _read(path)
    draw = _claims if any(row["claim"] for row in rows) else _simulations
    with style.styled():
      for made in style.save(draw(rows), path.with_suffix("")):
        print(made)


if __name__ == "__main__":
  programs.run(_plot)
