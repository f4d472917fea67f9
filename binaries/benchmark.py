"""Measures speed, start-up and memory, and what each is held against.

python binaries/benchmark.py --workload=loops --out=benchmarks/loops.json
python binaries/benchmark.py --workload=loops --only='qlearning catch'
python binaries/benchmark.py --workload=scaling --out=benchmarks/scaling.json
python binaries/benchmark.py --workload=rejax
python binaries/benchmark.py --workload=search
python binaries/benchmark.py --workload=cores
python binaries/benchmark.py --workload=startup
python binaries/benchmark.py --workload=replay_memory

Each workload is a module of `benchmarks/`, which says what it measures. What is
compared is measured in turn. Of several measurements a table shows the median
and, after ±, half of the interquartile range in per cent of it; the JSON file
of `--out` holds them all, and Markdown is written beside it.
"""

import importlib
import pathlib

from absl import flags

from neurorl import programs

flags.adopt_module_key_flags(programs)

_WORKLOAD = flags.DEFINE_enum(
  "workload",
  "loops",
  [
    "loops",
    "scaling",
    "rejax",
    "search",
    "cores",
    "startup",
    "replay_memory",
  ],
  "What to measure.",
)
_ENVIRONMENT = flags.DEFINE_string(
  "environment",
  "Catch-bsuite",
  "A name of gymnax, where the workload does not name its own.",
)
_REPEATS = flags.DEFINE_integer(
  "repeats", 7, "Measurements of each figure.", lower_bound=1
)
_ONLY = flags.DEFINE_multi_string(
  "only",
  [],
  "Beginnings of the names of the rows (of loops), series (of scaling) or "
  "algorithms (of rejax) to measure; by default all.",
)
_OUT = flags.DEFINE_string(
  "out",
  None,
  "A JSON file for the figures; Markdown and pictures go beside it.",
)


def _workload(name: str):
  """Imports what lies beside this file: in a checkout, or in a package."""
  if __package__:
    return importlib.import_module(f".benchmarks.{name}", __package__)
  return importlib.import_module(f"benchmarks.{name}")


def _main(arguments) -> None:
  """Runs a workload, prints its table and keeps its figures."""
  if len(arguments) > 1:
    raise programs.CommandError(f"unexpected argument '{arguments[1]}'", 2)
  out = pathlib.Path(_OUT.value).expanduser() if _OUT.value else None
  if out and out.suffix != ".json":
    raise programs.CommandError(f"--out={out} must end in .json", 2)
  workload, reporting = _workload(_WORKLOAD.value), _workload("reporting")
  try:
    rows = workload.measure(_ENVIRONMENT.value, _REPEATS.value, _ONLY.value)
  except ValueError as error:
    programs.show_traceback()
    raise programs.CommandError(str(error), 2) from error
  except RuntimeError as error:
    programs.show_traceback()
    raise programs.CommandError(str(error), 3) from error
  print(reporting.table(rows))
  if out:
    _keep(workload, reporting, out, rows)
  failed = [row["row"] for row in rows if "failed" in row]
  if failed:
    raise programs.CommandError(f"failed: {', '.join(failed)}", 3)


def _keep(workload, reporting, out: pathlib.Path, rows) -> None:
  try:
    reporting.write(out, _WORKLOAD.value, rows, workload.__doc__)
    if hasattr(workload, "draw"):
      workload.draw(rows, out.with_suffix(""))
  except OSError as error:
    raise programs.CommandError(
      f"cannot write {error.filename or out}: {error.strerror}", 3
    ) from error


def main() -> None:
  """Runs the program; the console script `neurorl-benchmark`."""
  programs.run(_main)


if __name__ == "__main__":
  main()
