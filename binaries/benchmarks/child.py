"""Times one run in a process of its own: `-m benchmarks.child STAGE NAME`.

Stages: `start` tells the time to first update and the peak memory of a process
that learns and does nothing else; `measure` the speed of the loop and, in turn
with it, of what it is held against; `speed` its alone.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_SECONDS = 0.4  # of a measurement of the loop


def call(arguments: Sequence[str], variables: Mapping[str, str]) -> Any:
  """Runs this module in a process of its own.

  Args:
    arguments: the stage, the name of a run, and the stage's own.
    variables: of its environment, over those of here.

  Returns:
    What the stage found.

  Raises:
    RuntimeError: if it failed; with the end of what it said.
  """
  root = pathlib.Path(__file__).resolve().parents[len(__package__.split("."))]
  paths = [str(root), os.environ.get("PYTHONPATH", "")]
  path = os.pathsep.join(path for path in paths if path)
  module = f"{__package__}.child"
  command = [sys.executable, "-m", module, *arguments]
  return answer(command, {"PYTHONPATH": path, **variables})


def answer(command: Sequence[str], variables: Mapping[str, str]) -> Any:
  """Runs a command that prints JSON last.

  Args:
    command: what is run.
    variables: of its environment, over those of here.

  Returns:
    What it printed.

  Raises:
    RuntimeError: if it failed; with the end of what it said.
  """
  done = subprocess.run(
    command,
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, **variables},
  )
  if done.returncode:
    said = done.stderr.strip().splitlines()[-1:] or ["nothing said"]
    raise RuntimeError(f"{' '.join(command)} failed: {said[0]}")
  return json.loads(done.stdout.splitlines()[-1])


def seconds_since_start() -> float:
  """Returns how old this process is."""
  ticks = int(pathlib.Path("/proc/self/stat").read_text().split()[21])
  up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
  return up - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory() -> float:
  """Returns the most memory that this process has had, in megabytes."""
  # getrusage would tell of the process that started this one, too.
  for line in pathlib.Path("/proc/self/status").read_text().splitlines():
    if line.startswith("VmHWM"):
      return int(line.split()[1]) * 1024 / 1e6
  raise OSError("/proc/self/status has no VmHWM")


def measure(name: str, repeats: int) -> dict[str, Any]:
  """Times a loop and, in turn with it, what it is held against.

  Args:
    name: of the run.
    repeats: measurements of each.

  Returns:
    Lists of `repeats` figures, by name: seconds of an iteration of the loop, of
    its parts where there are any, and of its arithmetic; milliseconds of the
    reference's parts. And the steps, updates and operations of an iteration.
  """
  from . import arithmetic, looping, straightforward, timing, workloads

  timed = workloads.find(name)
  loop = looping.start([timed.gin_file], timed.bindings)
  count = loop.iterations_in(_SECONDS)
  groups = {"reference": straightforward.reference()}
  if timed.work:
    groups["parts"] = straightforward.functions(
      loop.experiment.environment, timed.work, count
    )
  products, operations = arithmetic.matrix_products()
  functions = {"loop": lambda: loop.run(count), "products": products}
  for group, parts in groups.items():
    functions |= {f"{group}: {part}": run for part, run in parts.items()}
  seconds = timing.samples(functions, repeats)
  sums = {
    group: sum(seconds[f"{group}: {part}"] for part in parts)
    for group, parts in groups.items()
  }
  rate, work = operations / seconds["products"], loop.operations()
  found = {
    "loop": seconds["loop"] / count,
    "arithmetic": work / rate,
    "gflops": rate / 1e9,
    "reference_ms": 1e3 * sums["reference"] / straightforward.ITERATIONS,
  }
  if timed.work:
    found["parts"] = sums["parts"] / count
  return {
    **{name: values.tolist() for name, values in found.items()},
    "steps": loop.steps,
    "updates": loop.updates * loop.experiment.num_seeds,
    "operations": work,
  }


def start(name: str) -> dict[str, float]:
  """Learns, and returns the time to first update and the peak memory."""
  from . import looping, workloads

  timed = workloads.find(name)
  loop = looping.start([timed.gin_file], timed.bindings)
  seconds = seconds_since_start()
  loop.run(loop.iterations_in(_SECONDS))
  return {"seconds": seconds, "megabytes": peak_memory()}


def speed(name: str, chunks: int) -> list[float]:
  """Returns the environment steps per second of some chunks."""
  from . import looping, timing, workloads

  timed = workloads.find(name)
  loop = looping.start([timed.gin_file], timed.bindings)
  count = loop.iterations_in(_SECONDS)
  seconds = timing.samples({"loop": lambda: loop.run(count)}, chunks)["loop"]
  return (loop.steps * count / seconds).tolist()


def _main() -> None:
  from neurorl import compilation

  stages = {"start": start, "measure": measure, "speed": speed}
  stage, name, *rest = sys.argv[1:]
  with compilation.settings(debug=False):
    found = stages[stage](name, *map(int, rest))
  print(json.dumps(found), flush=True)


if __name__ == "__main__":
  _main()
