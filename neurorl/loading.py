"""A trained agent, read from its run directory."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import jax

from neurorl.gin_files import ConfigError
from neurorl.runs import keeping, state_files
from neurorl.training import executables
from neurorl.training import program as program_lib
from neurorl.training.chunks import read_counters
from neurorl.training.experiment import Experiment
from neurorl.types import Agent, Params


class Trained(NamedTuple):
  """A trained agent, and where it comes from.

  Attributes:
    agent: the network's pure functions.
    params: its parameters, those of one seed.
    experiment: what the run's configuration describes; `experiment.environment`
      is what it was trained in.
    seed: of these parameters.
    environment_steps: transitions that it was trained on.
  """

  agent: Agent
  params: Params
  experiment: Experiment
  seed: int
  environment_steps: int


def load(
  run_dir: str | pathlib.Path,
  seed: int | None = None,
  checkpoint: str = "newest",
  bindings: Sequence[str] = (),
) -> Trained:
  """Loads a trained agent for Python.

  Args:
    run_dir: of the run; its configuration and checkpoints are read.
    seed: one of the run's; None for its first.
    checkpoint: `'newest'`, `'best'` by evaluation, or the folder's name.
    bindings: gin text that overrides the run's: another environment, say.

  Returns:
    The agent.

  Raises:
    ValueError: if there is no such run, seed or checkpoint, or the checkpoint
      does not fit the configuration.
  """
  from neurorl import config  # gin only when a file is read

  run_dir = pathlib.Path(run_dir).expanduser()
  if not (run_dir / "config.gin").exists():
    raise ValueError(f"no run is in {run_dir}: it has no config.gin")
  try:
    experiment = config.load([str(run_dir / "config.gin")], bindings).call()
  except ConfigError as error:
    raise ValueError(str(error)) from error
  every = load_seeds(run_dir, experiment, checkpoint)
  seeds = [trained.seed for trained in every]
  if seed is None:
    return every[0]
  if seed not in seeds:
    raise ValueError(f"{run_dir} has seeds {seeds}, not {seed}")
  return every[seeds.index(seed)]


def load_seeds(
  run_dir: pathlib.Path, experiment: Experiment, checkpoint: str = "newest"
) -> list[Trained]:
  """Loads the agents of all seeds of a run.

  Args:
    run_dir: of the run.
    experiment: what its configuration describes.
    checkpoint: `'newest'`, `'best'` by evaluation, or the folder's name.

  Returns:
    An agent per seed.

  Raises:
    ValueError: as `load`.
  """
  program = program_lib.build(experiment)
  seeds = range(experiment.seed, experiment.seed + experiment.num_seeds)
  shapes = executables.state_shapes(program, len(seeds)).learning.params
  params, about = _read(run_dir / "checkpoints", checkpoint, shapes)
  counters = read_counters(about)
  return [
    Trained(
      program.agent,
      jax.tree.map(lambda x: x[i], params["agent"]),  # noqa: B023
      experiment,
      seed,
      counters.environment_steps[i],
    )
    for i, seed in enumerate(seeds)
  ]


def weights(
  checkpoints: pathlib.Path,
  experiment: Experiment,
  program: program_lib.Program,
) -> Params:
  """Reads the parameters that a run may begin with.

  Args:
    checkpoints: the folder where they lie.
    experiment: the run.
    program: what was built of it.

  Returns:
    Those of all its seeds.

  Raises:
    ValueError: if there are none, or not of these shapes.
  """
  shapes = executables.state_shapes(program, experiment.num_seeds)
  params, _ = _read(checkpoints, "newest", shapes.learning.params)
  _warn(f"begins with the weights in {checkpoints}")
  return params


def _read(folder: pathlib.Path, checkpoint: str, like: Params):
  """Reads parameters, of all seeds, and what is kept with them."""

  def read(path):
    return state_files.load(path, like, program_lib.PARAMS)

  try:
    if checkpoint == "newest":
      found = keeping.newest_by(folder, read, _warn)
      if found is None:
        raise ValueError(f"no checkpoint is in {folder}")
      return found
    pattern = f"{keeping.BEST}*" if checkpoint == "best" else checkpoint
    if checkpoint.isdigit():  # without the zeros by which names are sorted
      pattern = keeping.name_of(int(checkpoint))
    paths = sorted(folder.glob(pattern))
    if not paths:
      names = sorted(path.name for path in folder.glob("[!.]*"))
      raise ValueError(
        f"no checkpoint '{checkpoint}' is in {folder}; there are "
        f"{', '.join(names) or 'none'}"
      )
    return read(paths[-1])
  except state_files.DamagedError as error:
    raise ValueError(str(error)) from error


def _warn(message: str) -> None:
  print(message, file=sys.stderr, flush=True)
