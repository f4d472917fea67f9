"""Our loops beside rejax's, at the settings that rejax ships for CartPole.

The sides alternate, a process each, one at a time, evaluation off, both on the
CPU with one version of JAX; a process is compiled and has learned before three
chunks of it are timed, and its median counts. Two things are not equal: rejax
clips every number of a gradient and we its norm, and rejax's PPO clips its
value's loss as well.

rejax is installed into an environment of its own in the cache folder.
"""

import json
import pathlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neurorl import compilation

from . import child, timed_replay, timed_rollouts
from .timed import Timed

_VERSION = "0.1.3"
_CHILD = pathlib.Path(__file__).with_name("rejax_child.py")
_CHUNKS = 3
_VARIABLES = {"JAX_PLATFORMS": "cpu"}
# Ours; and rejax's settings, of which a chunk takes about half a second.
_PAIRS: Mapping[str, tuple[Timed, dict[str, Any]]] = {
  "ppo": (
    timed_rollouts.REJAX_PPO,
    {
      "agent_kwargs": {"activation": "tanh"},
      "num_envs": 5,
      "num_steps": 100,
      "num_epochs": 5,
      "num_minibatches": 5,
      "learning_rate": 0.00075,
      "max_grad_norm": 0.5,
      "total_timesteps": 80_000,
    },
  ),
  "dqn": (
    timed_replay.REJAX_DQN,
    {
      "agent": "DuelingQNetwork",
      "agent_kwargs": {"activation": "swish"},
      "num_envs": 10,
      "buffer_size": 50_000,
      "fill_buffer": 5_000,
      "batch_size": 100,
      "max_grad_norm": 10.0,
      "learning_rate": 0.001,
      "num_epochs": 5,
      "polyak": 0.98,
      "exploration_fraction": 0.5,
      "total_timesteps": 6_000,
    },
  ),
  "pqn": (
    timed_rollouts.REJAX_PQN,
    {
      "num_envs": 16,
      "num_steps": 128,
      "num_epochs": 5,
      "num_minibatches": 16,
      "max_grad_norm": 10.0,
      "exploration_fraction": 0.5,
      "total_timesteps": 65_536,
    },
  ),
  "iqn": (
    timed_replay.REJAX_IQN,
    {
      "agent_kwargs": {"activation": "swish"},
      "num_envs": 1,
      "buffer_size": 100_000,
      "fill_buffer": 1_000,
      "batch_size": 1,
      "exploration_fraction": 0.5,
      "total_timesteps": 2_000,
    },
  ),
}


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times both sides.

  Args:
    environment: ignored; it is CartPole.
    repeats: processes of each side.
    only: algorithms; all if empty.

  Returns:
    A row for each algorithm.

  Raises:
    ValueError: if there is no such algorithm.
    RuntimeError: if rejax cannot be installed, or a process fails.
  """
  del environment
  for name in only:
    if name not in _PAIRS:
      raise ValueError(
        f"no algorithm is {name!r}; there are {', '.join(_PAIRS)}"
      )
  python = install(compilation.cache_folder().parent / f"rejax-{_VERSION}")
  return [_row(python, name, repeats) for name in only or _PAIRS]


def _row(python: pathlib.Path, name: str, repeats: int) -> dict[str, Any]:
  timed, settings = _PAIRS[name]
  settings = {
    "algorithm": name,
    "chunks": _CHUNKS,
    "env": "CartPole-v1",
  } | settings
  ours, theirs = [], []
  for _ in range(repeats):
    ours.append(child.call(["speed", timed.name, str(_CHUNKS)], _VARIABLES))
    command = [str(python), "-P", str(_CHILD), json.dumps(settings)]
    theirs.append(child.answer(command, _VARIABLES))
  ours, theirs = (
    np.array([statistics.median(speeds) for speeds in side])
    for side in (ours, theirs)
  )
  row = {
    "algorithm": name,
    "ours, steps/s": ours,
    "rejax's, steps/s": theirs,
    "ours / rejax's": ours / theirs,
  }
  print(f"{name}: {np.median(ours / theirs):.2f}", flush=True)
  return row


def install(folder: pathlib.Path) -> pathlib.Path:
  """Makes an environment with rejax, unless it is there.

  Args:
    folder: of it.

  Returns:
    Its Python.

  Raises:
    RuntimeError: if it cannot be made; nothing is left of it then.
  """
  python, done = folder / "bin" / "python", folder / "installed"
  if done.exists():
    return python
  shutil.rmtree(folder, ignore_errors=True)
  print(f"installing rejax {_VERSION} into {folder}", flush=True)
  # Its wrappers are of the gymnax before 1.
  packages = [f"rejax=={_VERSION}", "gymnax<1", f"jax=={jax.__version__}"]
  for command in (
    [sys.executable, "-m", "venv", str(folder)],
    [str(python), "-m", "pip", "install", "--quiet", *packages],
    [str(python), "-W", "ignore", "-c", "import rejax"],
  ):
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
      shutil.rmtree(folder, ignore_errors=True)
      said = made.stderr.strip().splitlines()[-1:] or ["nothing said"]
      raise RuntimeError(f"rejax {_VERSION} cannot be installed: {said[0]}")
  done.write_text(" ".join(packages) + "\n")
  return python
