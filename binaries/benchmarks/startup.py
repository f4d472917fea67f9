"""Command to first update of `train.py`, with an empty and with a full cache.

The first update is where the summary says it: when the first chunk that learns
begins. Each repeat has a cache of its own: a cold start, then a warm one.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

_TRAIN = str(pathlib.Path(__file__).resolve().parents[1] / "train.py")


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times command to first update with an empty and with a warm cache.

  Args:
    environment: a name of gymnax.
    repeats: starts of either kind.
    only: ignored.

  Returns:
    A row for either kind: the first update, the whole command, and its stages.
  """
  del only
  starts = {"cold": [], "warm": []}
  for _ in range(repeats):
    with tempfile.TemporaryDirectory() as folder:
      for kind, found in starts.items():
        found.append(_start(environment, pathlib.Path(folder), kind))
  return [
    {
      "start": kind,
      **{name: np.array([one[name] for one in found]) for name in found[0]},
    }
    for kind, found in starts.items()
  ]


def _start(
  environment: str, folder: pathlib.Path, kind: str
) -> dict[str, float]:
  variables = {**os.environ, "XDG_CACHE_HOME": str(folder)}
  variables.pop("JAX_COMPILATION_CACHE_DIR", None)
  begun = time.time()
  subprocess.run(
    [
      sys.executable,
      _TRAIN,
      "--gin_file=qlearning.gin",
      f"--gin.ENVIRONMENT={environment}",
      "--gin.TOTAL_STEPS=10_000",
      f"--run_dir={folder / kind}",
    ],
    check=True,
    capture_output=True,
    env=variables,
  )
  whole = time.time() - begun
  summary = json.loads((folder / kind / "summary.json").read_text())
  return {
    "first update s": summary["seconds_to_first_update"],
    "whole command s": whole,
    **{f"{stage} s": took for stage, took in summary["startup"].items()},
  }
