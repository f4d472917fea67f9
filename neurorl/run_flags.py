"""What binaries share that look at a trained agent: flags, and its loading."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TypeVar

import jax
from absl import flags

from neurorl import command_line, loading
from neurorl.training import Experiment
from neurorl.types import ActorRecipe, Task

_T = TypeVar("_T")

flags.adopt_module_key_flags(command_line)

_RUN_DIR = flags.DEFINE_string("run_dir", None, "Of the run; needed.")
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "newest", "Or 'best', or the name of a folder of checkpoints."
)
_POLICY = flags.DEFINE_enum(
  "policy",
  "evaluating",
  ["evaluating", "acting"],
  "Who acts: evaluator.actor, which is mostly greedy, or train.actor, which "
  "explores as it did at the end of training.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the episodes.", lower_bound=0)


def first_files() -> list[str]:
  """Returns the configuration of the run, for `command_line.run`."""
  if not _RUN_DIR.value:
    raise command_line.CommandError("name a run: --run_dir=FOLDER", 2)
  path = run_dir() / "config.gin"
  if not path.exists():
    raise command_line.CommandError(
      f"no run is in --run_dir={_RUN_DIR.value}: it has no config.gin", 2
    )
  return [str(path)]


def run_dir() -> pathlib.Path:
  """Returns the folder of the run."""
  return pathlib.Path(_RUN_DIR.value).expanduser()


def seed() -> int:
  """Returns the seed of the episodes that are played."""
  return _SEED.value


def policy() -> str:
  """Returns who acts, 'evaluating' or 'acting'."""
  return _POLICY.value


def actor(experiment: Experiment) -> ActorRecipe:
  """Returns the recipe of who acts."""
  if policy() == "acting":
    return experiment.actor
  return experiment.evaluator.actor


def task(experiment: Experiment) -> Task:
  """Returns what the agent is judged by: what it was trained on, mostly."""
  return Task(
    experiment.evaluator.environment or experiment.environment,
    experiment.discount,
  )


def load(
  experiment: Experiment, command: command_line.Command
) -> list[loading.Trained]:
  """Loads the agents of all seeds.

  Args:
    experiment: the run's.
    command: for the places of what messages name.

  Returns:
    An agent per seed.

  Raises:
    CommandError: if there is no such checkpoint, or it does not fit.
  """
  return command_line.build(
    lambda: loading.load_seeds(run_dir(), experiment, _CHECKPOINT.value),
    command.config,
  )


def play(function: Callable[[], _T], command: command_line.Command) -> _T:
  """Plays episodes; what is wrong is told in a line.

  Args:
    function: plays them.
    command: for the places of what messages name.

  Returns:
    What the function returns.

  Raises:
    CommandError: in place of what a user or a device did wrong.
  """
  try:
    return function()
  except ValueError as error:
    command_line.show_traceback()
    message = command.config.locate(str(error))
    raise command_line.CommandError(message, 2) from error
  except jax.errors.JaxRuntimeError as error:
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    raise command_line.CommandError(first, 3) from error


def fresh(stem: str, suffix: str) -> pathlib.Path:
  """Names a file in the run directory as none is named yet."""
  taken = len(list(run_dir().glob(f"{stem}*{suffix}")))
  return run_dir() / f"{stem}{f'-{taken}' if taken else ''}{suffix}"
