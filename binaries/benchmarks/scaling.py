"""Cost per step against environments, sequence length, capacity and seeds.

Microseconds: of an environment step, of all environments and seeds; along the
lengths, of a step of a sequence that is learned from (32 sequences an update),
an iteration that learns less one that only collects. The points of a series are
measured in turn, by chunks of `train.py`'s length, shorter ones if they take
longer than about a second.

Environments: PPO with 4 epochs of 4 minibatches however large they are, so that
the work per step is the same; and Q-learning that only acts and stores.
Capacities: DQN, uniform and prioritized, batches of 32. Seeds: of all at once,
split over devices as `train.py` does.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurorl import compilation

from . import looping, timing

_SECONDS = 0.15  # of a measurement
_ENVIRONMENTS = (1, 4, 16, 64, 256, 1024, 4096)
_LENGTHS = (8, 32, 128, 512, 1024)
_CAPACITIES = (1_000, 10_000, 100_000, 1_000_000)
_SEEDS = (1, 2, 4, 8, 16, 32, 64)

_REPLAY = """
prioritized_replay.batch_size = 32
prioritized_replay.updates_per_add = 1
"""


@dataclasses.dataclass(frozen=True)
class Series:
  """What is measured along an axis.

  Attributes:
    axis: what changes.
    name: of the series.
    gin_file: ours.
    values: of what changes.
    bindings: over the file; `{}` is the value.
    learned: whether the steps are those that are learned from.
    acts: whether it only acts.
  """

  axis: str
  name: str
  gin_file: str
  values: tuple[int, ...]
  bindings: str
  learned: bool = False
  acts: bool = False


def _core(name: str, bindings: str) -> Series:
  bindings = f"""{bindings}{_REPLAY}
prioritized_replay.capacity = 100_000
prioritized_replay.sequence_length = {{}}
"""
  return Series(
    "sequence length", name, "qlearning.gin", _LENGTHS, bindings, learned=True
  )


def _replay(name: str, gin_file: str, buffer: str) -> Series:
  bindings = f"""
{buffer}.capacity = {{}}
{buffer}.min_size = 500
{buffer}.batch_size = 32
"""
  return Series("buffer capacity", name, gin_file, _CAPACITIES, bindings)


SERIES = (
  Series(
    "environments",
    "ppo",
    "ppo.gin",
    _ENVIRONMENTS,
    "NUM_ENVS = {}\ntrain.unroll_length = 32",
  ),
  Series(
    "environments",
    "qlearning, acting",
    "qlearning.gin",
    _ENVIRONMENTS,
    f"NUM_ENVS = {{}}{_REPLAY}prioritized_replay.capacity = 200_000",
    acts=True,
  ),
  _core("lstm", ""),
  _core("gru", "agent.core = @gru()\ngru.hidden_size = 128"),
  _core("s5", "agent.core = @s5()"),
  _replay("uniform", "dqn.gin", "uniform_replay"),
  _replay("prioritized", "prioritized_dqn.gin", "prioritized_replay"),
  Series(
    "seeds",
    "qlearning",
    "qlearning.gin",
    _SEEDS,
    f"NUM_SEEDS = {{}}{_REPLAY}prioritized_replay.capacity = 10_000",
  ),
  Series("seeds", "ppo", "ppo.gin", _SEEDS, "NUM_SEEDS = {}"),
)


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times all series, one after the other.

  Args:
    environment: a name of gymnax.
    repeats: measurements of each point.
    only: beginnings of axes; all if empty.

  Returns:
    A row for each point.

  Raises:
    ValueError: if there is no such axis.
  """
  axes = list(dict.fromkeys(series.axis for series in SERIES))
  for name in only:
    if not any(axis.startswith(name) for axis in axes):
      raise ValueError(f"no axis begins with {name!r}; axes are {axes}")
  rows = []
  with compilation.settings(debug=False):
    for series in SERIES:
      if not only or series.axis.startswith(tuple(only)):
        rows += _rows(series, environment, repeats)
        print(f"{series.axis}, {series.name}", flush=True)
  return rows


def _rows(
  series: Series, environment: str, repeats: int
) -> list[dict[str, Any]]:
  functions, sizes = {}, {}
  for value in series.values:
    bindings = series.bindings.format(value)
    loop = looping.start(
      [series.gin_file], [bindings, f"ENVIRONMENT = {environment!r}"]
    )
    for learn in _kinds(series):
      count = loop.iterations_in(_SECONDS, learn)
      sizes[value, learn] = loop.steps, count
      functions[value, learn] = _call(loop, count, learn)
  seconds = timing.samples(functions, repeats)
  costs = {
    value: _microseconds(series, value, seconds, sizes)
    for value in series.values
  }
  return [
    {
      "axis": series.axis,
      "series": series.name,
      "at": value,
      "us/step": cost,
      "steps/s": 1e6 / cost,
      "by the first": cost / costs[series.values[0]],
    }
    for value, cost in costs.items()
  ]


def _kinds(series: Series) -> tuple[bool, ...]:
  """Whether that learns which is measured."""
  if series.learned:
    return True, False
  return (not series.acts,)


def _call(loop: looping.Loop, count: int, learn: bool):
  return lambda: loop.run(count, learn)


def _microseconds(series: Series, value: int, seconds, sizes) -> np.ndarray:
  iteration = {
    learn: seconds[value, learn] / sizes[value, learn][1]
    for learn in _kinds(series)
  }
  if series.learned:
    return 1e6 * (iteration[True] - iteration[False]) / (32 * value)
  (learn,) = iteration
  return 1e6 * iteration[learn] / sizes[value, learn][0]


def draw(rows: Sequence[dict[str, Any]], stem: pathlib.Path) -> None:
  """Draws a panel for each axis.

  Args:
    rows: that were measured.
    stem: of the pictures, without an ending.
  """
  from neurorl.plots import style

  axes = list(dict.fromkeys(row["axis"] for row in rows))
  with style.styled():
    figure = style.figure(style.PAGE, 1.9 * -(-len(axes) // 2))
    panels = figure.subplots(-(-len(axes) // 2), 2, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
      _panel(panel, axis, [row for row in rows if row["axis"] == axis], style)
    for panel in panels[len(axes) :]:
      panel.remove()
    style.save(figure, stem)


def _panel(panel, axis: str, rows: Sequence[dict[str, Any]], style) -> None:
  from matplotlib import ticker

  looks = style.lines(row["series"] for row in rows)
  for name, look in looks.items():
    mine = [row for row in rows if row["series"] == name]
    at = [row["at"] for row in mine]
    low, median, high = np.percentile(
      [row["us/step"] for row in mine], [25, 50, 75], axis=1
    )
    panel.plot(at, median, marker="o", markersize=2.5, label=name, **look)
    panel.fill_between(at, low, high, color=look["color"], alpha=0.2, lw=0)
  panel.set(xscale="log", yscale="log", xlabel=axis)
  panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  panel.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
  panel.yaxis.set_minor_formatter(ticker.NullFormatter())
  panel.set_ylabel("µs per learned step" if "length" in axis else "µs per step")
  panel.legend()
