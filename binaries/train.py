"""Trains the agent that a gin file describes.

python binaries/train.py --gin_file=qlearning.gin
"""

import time

_LOADED = time.time()

import dataclasses  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402

import jax  # noqa: E402
from absl import flags  # noqa: E402

from neurorl import command_line, compilation  # noqa: E402
from neurorl.training import host, program, run_directory  # noqa: E402

# `--help` shows what all programs share as well.
flags.adopt_module_key_flags(command_line)

_RUN_DIR = flags.DEFINE_string(
  "run_dir", None, "Where the run is kept; by default a fresh folder in runs/."
)
_DEBUG = flags.DEFINE_bool(
  "debug",
  False,
  "A short run that learns without compilation, stops at the first NaN and "
  "names the operation.",
)


def _train(command: command_line.Command) -> None:
  config = command.config
  experiment = command_line.build(config.call, config)
  with compilation.settings(debug=_DEBUG.value):
    built = command_line.build(lambda: program.build(experiment), config)
    if _DEBUG.value:
      experiment = _shorten(experiment, built)
      built = program.build(experiment)
    overview = command_line.build(
      lambda: program.overview(experiment, built), config
    )
    print(overview)
    name = command_line.run_name(command.gin_files)
    run_dir = command_line.build(
      lambda: run_directory.create(_RUN_DIR.value, name), config
    )
    header = "The whole configuration; run it again by --gin_file."
    run_directory.describe(
      run_dir, config.text(header), command.argv, config.local_modules
    )
    print("compiling: a minute or so the first time, then cached", flush=True)
    try:
      host.run(experiment, built, run_dir, _started())
    except (host.TrainingError, FloatingPointError) as error:
      first = str(error).strip().splitlines()[0]
      raise command_line.CommandError(first, 3) from error
    except (OSError, jax.errors.JaxRuntimeError) as error:
      first = f"{type(error).__name__}: {error}".splitlines()[0]
      raise command_line.CommandError(first, 3) from error


def _started() -> float:
  """When the process began: before Python, and what it has imported."""
  try:
    ticks = int(pathlib.Path("/proc/self/stat").read_text().split()[21])
    up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
  except (OSError, ValueError, IndexError):
    return _LOADED
  return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def _shorten(experiment, built):
  """Keeps the warm-up and two iterations that learn."""
  iterations = built.warm_up_iterations + 2
  steps = iterations * experiment.steps_per_iteration
  return dataclasses.replace(
    experiment,
    total_steps=min(experiment.total_steps, steps),
    evaluator=dataclasses.replace(
      experiment.evaluator, episodes=2, max_steps=20
    ),
  )


def main() -> None:
  """Runs the program; the console script `neurorl-train`."""
  command_line.run(_train)


if __name__ == "__main__":
  main()
