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
  plots,
  registry,
  runs,
  search,
  training,
  types,
)
from neurorl import loggers as loggers
from neurorl.loading import load
from neurorl.ops import codecs as codecs
from neurorl.ops import schedules as schedules
from neurorl.ops import transforms as transforms
from neurorl.registry import component

__version__ = "0.1.0"

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
  "plots",
  "registry",
  "runs",
  "search",
  "training",
  "types",
]
