"""Trains the agent that a gin file describes.

python binaries/train.py --gin_file=qlearning.gin
python binaries/train.py --gin_file=ppo.gin --gin_file=env_cartpole.gin
python binaries/train.py --gin_file=ppo.gin --gin.NUM_SEEDS=5 --run_dir=runs/me
python binaries/train.py --gin_file=qlearning.gin --gin.lstm.hidden_size=64
python binaries/train.py --list_components
"""

import time

_LOADED = time.time()

import dataclasses  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
from collections.abc import Callable  # noqa: E402

import jax  # noqa: E402
from absl import flags  # noqa: E402

from neurorl import command_line, compilation, fingerprint, loading  # noqa: E402
from neurorl.runs import description, directory, signals, state_files  # noqa: E402
from neurorl.training import (  # noqa: E402
  debugging,
  devices,
  host,
  origins,
  overview,
  processes,
  program,
  rows,
  telling,
)

# `--help` shows what all programs share as well.
flags.adopt_module_key_flags(command_line)

_RUN_DIR = flags.DEFINE_string(
  "run_dir", None, "Where the run is kept; by default a fresh folder in runs/."
)
_RESUME = flags.DEFINE_enum(
  "resume",
  "auto",
  ["auto", "never", "params_only"],
  "What to do with an unfinished run found in --run_dir: go on with it if its "
  "configuration is this one; refuse; or begin anew with its weights.",
)
_OVERWRITE = flags.DEFINE_bool(
  "overwrite", False, "Begins anew in --run_dir, whatever run is there."
)
_MAX_SECONDS = flags.DEFINE_float(
  "max_seconds",
  None,
  "Ends before a chunk that would take longer than this since the start, as a "
  "signal would: the same command then goes on from there.",
  lower_bound=0.0,
)
_DEBUG = flags.DEFINE_bool(
  "debug",
  False,
  "A short run that learns without compilation, stops at the first NaN and "
  "names the operation; with the --run_dir of a run that went wrong, its last "
  "chunk.",
)


_DISTRIBUTED = flags.DEFINE_bool(
  "distributed",
  None,
  "Trains as one of several processes, each with its own devices, that are one "
  "run; by default if SLURM has started several, or one of the flags below is "
  "given. Process 0 logs and writes, to a folder that all can read.",
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator",
  None,
  "HOST:PORT at which process 0 is to be found; found out under SLURM.",
)
_NUM_PROCESSES = flags.DEFINE_integer(
  "num_processes", None, "How many; found out under SLURM.", lower_bound=1
)
_PROCESS_ID = flags.DEFINE_integer(
  "process_id",
  None,
  "This one's number, from 0; found out under SLURM.",
  lower_bound=0,
)


def _train(command: command_line.Command) -> None:
  config = command.config
  devices.offer_cores(1 if _distributes() else _num_devices(command))
  if _distributes():
    command_line.build(_join, config)
  experiment = command_line.build(config.call, config)
  settings = fingerprint.settings(config)
  crash = pathlib.Path(_RUN_DIR.value or "", "crash").expanduser()
  replays = bool(_DEBUG.value and _RUN_DIR.value and crash.exists())
  if _DEBUG.value and not replays:
    settings["--debug"] = "True"  # a short run is no other's beginning
  identity = directory.Identity(settings, experiment.total_steps)
  where = (_RUN_DIR.value, identity, _RESUME.value, _overwrites())
  command_line.build(lambda: directory.inspect(*where), config)
  stop = signals.StopRequest(_MAX_SECONDS.value, _started())
  with compilation.settings(debug=_DEBUG.value), stop:
    built = command_line.build(lambda: _build(experiment), config)
    if replays:
      _guarded(lambda: debugging.replay(experiment, built, crash))
    if _DEBUG.value:
      experiment = _shorten(experiment, built)
      built = program.build(experiment)
    told = command_line.build(
      lambda: overview.describe(experiment, built), config
    )
    _say(told)
    # Locked for as long as it is held here.
    folder, weights = command_line.build(
      lambda: _begin(command, where, experiment, built), config
    )
    _say("compiling: a minute or so the first time, then cached")
    resumes = folder.beginning == "resume"
    start = origins.Start(resumes, weights, stop, _started(), config.table())
    _guarded(lambda: host.run(experiment, built, folder.path, start))


def _num_devices(command: command_line.Command) -> int:
  """Reads how many are bound, before anything is built and looks for them."""
  bound = command.config.table().get("train.num_devices")
  return bound if isinstance(bound, int) else 1


def _distributes() -> bool:
  if _DISTRIBUTED.value is not None:
    return _DISTRIBUTED.value
  told = (_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
  return told != (None,) * 3 or processes.in_slurm_step_of_several()


def _join() -> None:
  where = (_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
  processes.begin(*where)


def _say(text: str) -> None:
  if processes.leads():
    telling.say(text)


def _build(experiment):
  sizes = (experiment.num_devices, experiment.num_seeds, experiment.num_envs)
  layout = devices.Layout() if _DEBUG.value else devices.layout(*sizes)
  return program.build(experiment, layout)


def _overwrites() -> bool:
  """Not when a queue repeats the command: it would remove its own work."""
  requeued = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
  return _OVERWRITE.value and not requeued


def _begin(command, where, experiment, built):
  """Takes the folder, having read from it what the run begins with."""
  path, *rest = where
  weights = None
  if directory.inspect(*where) == "params_only":
    weights = loading.weights(directory.weights_of(path), experiment, built)
  found = processes.first_does(lambda: _open(command, path, rest))
  run_dir = processes.first_tells(str(found.path) if found else "")
  beginning = processes.first_tells(found.beginning if found else "")
  lock = found.lock if found else None
  run_dir = pathlib.Path(run_dir)
  return directory.RunDirectory(run_dir, beginning, lock), weights


def _open(command, path, rest) -> directory.RunDirectory:
  name = command_line.run_name(command.gin_files)
  found = directory.open_(path, name, *rest)
  header = "The whole configuration; run it again by --gin_file."
  config = command.config
  description.write(
    found.path, config.text(header), command.argv, config.local_modules
  )
  return found


def _guarded(function: Callable[[], object]) -> None:
  """Runs what trains; its errors are told in a line."""
  try:
    function()
  except signals.StoppedError as error:
    without = ", without --overwrite" if _overwrites() else ""
    raise command_line.CommandError(str(error) + without, error.code) from error
  except (state_files.MismatchError, state_files.DamagedError) as error:
    raise command_line.CommandError(str(error), 2) from error
  except (rows.TrainingError, FloatingPointError) as error:
    command_line.show_traceback()
    first = str(error).strip().splitlines()[0]
    where = debugging.place(error)
    raise command_line.CommandError(first + where, 3) from error
  except (OSError, jax.errors.JaxRuntimeError) as error:
    lines = f"{type(error).__name__}: {error}".strip().splitlines()
    # What an environment's own Python raised comes last.
    told = lines[-1] if "callback" in lines[0] else lines[0]
    raise command_line.CommandError(told, 3) from error


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
    checkpoints=None,
    evaluator=dataclasses.replace(
      experiment.evaluator, episodes=2, max_steps=20
    ),
  )


def main() -> None:
  """Runs the program; the console script `neurorl-train`."""
  command_line.run(_train)


if __name__ == "__main__":
  main()
