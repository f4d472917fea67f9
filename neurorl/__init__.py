"""neurorl: deep reinforcement learning in JAX, an algorithm a gin file.

Importing this package imports every room, so that every component is
registered. `neurorl.config` reads gin files; without it, every component is a
plain function to be called from Python.
"""

from neurorl import (
  actors,
  buffers,
  environments,
  losses,
  networks,
  ops,
  registry,
  runs,
  search,
  training,
  types,
)
from neurorl import loggers as loggers
from neurorl.ops import codecs as codecs
from neurorl.ops import schedules as schedules
from neurorl.ops import transforms as transforms
from neurorl.registry import component

__version__ = "0.1.0"


def load(run_dir, seed=None, checkpoint="newest", bindings=()):
  """Loads a trained agent from its run directory.

  Args:
    run_dir: of the run; its configuration and checkpoints are read.
    seed: one of the run's; None for its first.
    checkpoint: `'newest'`, `'best'` by evaluation, or the folder's name.
    bindings: gin text that overrides the run's: another environment, say.

  Returns:
    A `loading.Trained`: `agent`, `params`, `experiment`, `seed` and
    `environment_steps`.

  Raises:
    ValueError: if there is no such run, seed or checkpoint, or the checkpoint
      does not fit the configuration.
  """
  from neurorl import loading  # it reads gin files, which takes a while

  return loading.load(run_dir, seed, checkpoint, bindings)


__all__ = [
  "actors",
  "buffers",
  "component",
  "environments",
  "load",
  "loggers",
  "losses",
  "networks",
  "ops",
  "registry",
  "runs",
  "search",
  "training",
  "types",
]
