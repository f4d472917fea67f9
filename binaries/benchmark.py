"""Measures speed, start-up and memory, and what each is held against.

python binaries/benchmark.py --workload=loop
python binaries/benchmark.py --workload=search
python binaries/benchmark.py --workload=peers
python binaries/benchmark.py --workload=cores
python binaries/benchmark.py --workload=startup
python binaries/benchmark.py --workload=replay_memory

Each workload is a module of `benchmarks/`, which says what it measures. What is
compared is measured in turn in one process.
"""

import importlib
import resource

from absl import app, flags

_WORKLOAD = flags.DEFINE_enum(
  "workload",
  "loop",
  ["loop", "search", "peers", "cores", "startup", "replay_memory"],
  "What to measure.",
)
_ENVIRONMENT = flags.DEFINE_string(
  "environment",
  "Catch-bsuite",
  "A name of gymnax, where the workload does not name its own.",
)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Measurements; medians are told.")


def _workload(name: str):
  """Imports what lies beside this file: in a checkout, or in a package."""
  if __package__:
    return importlib.import_module(f".benchmarks.{name}", __package__)
  return importlib.import_module(f"benchmarks.{name}")


def _main(_) -> None:
  """Runs a workload and prints its figures."""
  workload = _workload(_WORKLOAD.value)
  figures = workload.measure(_ENVIRONMENT.value, _REPEATS.value)
  for name, value in figures.items():
    shown = value if isinstance(value, str) else f"{value:,.3f}"
    print(f"{name:<65} {shown:>14}")
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  print(f"{'peak memory of this process (MB)':<65} {peak / 1e3:>14,.0f}")


def main() -> None:
  """Runs the program; the console script `neurorl-benchmark`."""
  app.run(_main)


if __name__ == "__main__":
  main()
