"""Which runs are one curve, and what it is called."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from neurorl.plots.run_folders import Run

Grouping = Literal["configuration", "label", "run"]
_SHOWN = 2  # settings in a name


@dataclasses.dataclass(frozen=True)
class Group:
  """Seeds that are one curve.

  Attributes:
    label: of the curve.
    environment: where they acted.
    runs: they are of.
    seeds: of each its name and its columns of metrics, `[rows]`.
  """

  label: str
  environment: str
  runs: tuple[Run, ...]
  seeds: Mapping[str, Mapping[str, np.ndarray]]


def group(
  runs: Sequence[Run],
  by: Grouping = "configuration",
  labels: Sequence[str] = (),
  warn: Callable[[str], None] = print,
) -> list[Group]:
  """Puts together runs that differ in nothing but their seeds.

  Args:
    runs: to group.
    by: 'configuration' puts together what differs in nothing but its seeds;
      'label' what has the same gin files, or label, and environment, whatever
      else differs; 'run' nothing.
    labels: one for each run; if given, runs are grouped by them.
    warn: takes a sentence about what is left out.

  Returns:
    The groups, in the order of their first runs. A seed that a configuration
    has twice is the same run done again, and is counted once.

  Raises:
    ValueError: if there are not as many labels as runs.
  """
  if labels and len(labels) != len(runs):
    raise ValueError(f"{len(labels)} labels for {len(runs)} runs")
  names = dict(zip((run.path for run in runs), labels, strict=bool(labels)))
  found: dict[object, list[Run]] = collections.defaultdict(list)
  for run in runs:
    label = names.get(run.path, run.algorithm)
    if by == "run":
      key: object = run.path
    elif labels or by == "label" or run.settings is None:
      key = (label, run.environment)
    else:
      key = (run.environment, *sorted(run.settings.items()))
    found[key].append(run)
  grouped = list(found.values())
  titles = [names.get(x[0].path, x[0].algorithm) for x in grouped]
  if not labels:
    titles = _told_apart(grouped, titles, by)
  return [
    Group(title, members[0].environment, tuple(members), _seeds(members, warn))
    for title, members in zip(titles, grouped, strict=True)
  ]


def _seeds(runs: Sequence[Run], warn: Callable[[str], None]):
  found, where = {}, {}
  for run in runs:
    settings = () if run.settings is None else sorted(run.settings.items())
    for seed, columns in run.seeds.items():
      key = (seed, *settings)
      if key in where:
        warn(
          f"seed {seed} of {run.path} is that of {where[key]} done again: it "
          "is counted once"
        )
        continue
      where[key] = run.path
      name = str(seed) if str(seed) not in found else f"{run.path.name} {seed}"
      found[name] = columns
  return found


def _told_apart(
  grouped: Sequence[Sequence[Run]], titles: Sequence[str], by: Grouping
) -> list[str]:
  """Adds to names that are the same what is not the same in their runs."""
  places = [
    (title, runs[0].environment)
    for title, runs in zip(titles, grouped, strict=True)
  ]
  told = []
  for title, place, runs in zip(titles, places, grouped, strict=True):
    same = [
      other[0]
      for other, its in zip(grouped, places, strict=True)
      if its == place
    ]
    if len(same) > 1 and by != "label":
      title += f" ({_difference(runs[0], same, by)})"
    told.append(title)
  return told


def _difference(run: Run, others: Sequence[Run], by: Grouping) -> str:
  settings = [x.settings for x in others]
  if by == "run" or run.settings is None or None in settings:
    return run.path.resolve().name
  different = [
    name
    for name in sorted({name for x in settings for name in x})
    if len({x.get(name) for x in settings}) > 1
  ]
  mine = [f"{n} = {run.settings[n]}" for n in different if n in run.settings]
  if not 0 < len(mine) <= _SHOWN:
    return run.path.resolve().name
  return ", ".join(mine)
