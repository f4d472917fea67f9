"""Draws runs: learning curves, final scores, aggregates over environments.

python binaries/plot.py runs/a runs/b runs/c
python binaries/plot.py runs --x=seconds --out=plots/by_time
python binaries/plot.py runs/a runs/b --labels=LSTM,GRU

Runs that differ in nothing but their seeds are one curve: the interquartile
mean over seeds with its 95 % bootstrap interval. It makes, in PNG and SVG,
learning_curves and, of two environments or more, aggregates and profiles
(https://arxiv.org/abs/2108.13264); and as tables scores.csv, scores.md and
aggregates.csv. Runs may be unfinished.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from neurorl import programs
from neurorl.plots import groups, report, run_folders, scores

flags.adopt_module_key_flags(programs)

_OUT = flags.DEFINE_string(
  "out", "plots", "The folder for what is made; it need not exist."
)
_X = flags.DEFINE_enum(
  "x", "environment_steps", ["environment_steps", "seconds"], "The axis."
)
_METRIC = flags.DEFINE_string(
  "metric",
  None,
  "A column of metrics.csv; by default evaluation/episode_return, or "
  "training/episode_return where a run was evaluated but once.",
)
_GROUP_BY = flags.DEFINE_enum(
  "group_by",
  "configuration",
  ["configuration", "label", "run"],
  "Which runs are one curve: those of one configuration but for its seeds; "
  "those of the same gin files and environment, whatever else differs; or "
  "each alone.",
)
_LABELS = flags.DEFINE_list(
  "labels", [], "A name for each run; runs of one name are one curve."
)
_NORMALISE = flags.DEFINE_string(
  "normalise",
  None,
  "A CSV file with the columns environment, low, high: the scores that are 0 "
  "and 1 in the aggregates. By default the least and the greatest of the runs.",
)


def _warn(message: str) -> None:
  print(f"note: {message}", file=sys.stderr)


def _plot(arguments: Sequence[str]) -> None:
  if len(arguments) < 2:
    raise programs.CommandError(
      "name run directories: plot.py runs/a runs/b", 2
    )
  out = pathlib.Path(_OUT.value).expanduser()
  try:
    bounds = None
    if _NORMALISE.value is not None:
      bounds = scores.read_normalisation(_NORMALISE.value)
    runs = run_folders.read_all(arguments[1:], _warn)
    found = groups.group(runs, _GROUP_BY.value, _LABELS.value, _warn)
    made = report.write(found, out, _X.value, _METRIC.value, bounds, _warn)
  except ValueError as error:  # a RunError among them
    programs.show_traceback()
    raise programs.CommandError(str(error), 2) from error
  except OSError as error:
    raise programs.CommandError(
      f"cannot write to {out}: {error.strerror}; name another by --out", 2
    ) from None
  print(made.text)
  print("\n".join(str(path) for path in made.paths))


def main() -> None:
  """Runs the program; the console script `neurorl-plot`."""
  programs.run(_plot)


if __name__ == "__main__":
  main()
