"""Whole loops, each in a process of its own, and what they are held against.

Columns: environment steps (slots, of all seeds) and updates a second; seconds
from the start of the process to the end of the first iteration that learns,
the buffer being filled before it, with an empty cache of compiled programs and
with one that has them; the most memory that process had. Then, 1.0 being as
fast as the bound and more being faster: the straightforward parts' time by the
loop's, and by the loop's the time that its matrix products and convolutions
alone take at the rate of large ones. Last, the peer's steps a second scaled to
this machine by the straightforward parts of Q-learning on Catch, 8.0 ms where
the peer was measured; and ours by those.

All of a row is measured in turn in one process, the loop by chunks of
`train.py`'s length, shorter ones if they take longer than about a second.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import child, workloads
from .timed import Timed

_THEIR_PARTS = 8.0  # milliseconds


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times the loops.

  Args:
    environment: ignored; every row has its own.
    repeats: measurements of each.
    only: names of rows, or beginnings of them; all if empty.

  Returns:
    A row for each; of one whose process failed, what it said.

  Raises:
    ValueError: if there is no such row.
  """
  del environment
  for name in only:
    if not any(timed.name.startswith(name) for timed in workloads.TIMED):
      names = ", ".join(repr(timed.name) for timed in workloads.TIMED)
      raise ValueError(f"no row begins with {name!r}; rows are {names}")
  return [
    _row_or_failure(timed, repeats)
    for timed in workloads.TIMED
    if not only or timed.name.startswith(tuple(only))
  ]


def _row_or_failure(timed: Timed, repeats: int) -> dict[str, Any]:
  try:
    row = _row(timed, repeats)
  except RuntimeError as error:
    print(f"{timed.name}: {error}", flush=True)
    return {"row": timed.name, "failed": str(error)}
  speed = np.median(row["steps/s"])
  print(f"{timed.name}: {speed:,.0f} steps/s", flush=True)
  return row


def _row(timed: Timed, repeats: int) -> dict[str, Any]:
  with tempfile.TemporaryDirectory() as folder:
    variables = {"JAX_COMPILATION_CACHE_DIR": folder}
    arguments = ["start", timed.name]
    cold = child.call(arguments, variables)
    warm = [child.call(arguments, variables)["seconds"] for _ in range(2)]
    arguments = ["measure", timed.name, str(repeats)]
    found = child.call(arguments, variables)
  loop = np.array(found["loop"])
  row = {
    "row": timed.name,
    "steps/s": found["steps"] / loop,
    "updates/s": found["updates"] / loop,
    "cold s": cold["seconds"],
    "warm s": np.array(warm),
    "MB": cold["megabytes"],
    "parts / loop": None,
    "arithmetic / loop": np.array(found["arithmetic"]) / loop,
    "ms": 1e3 * loop,
    "GFLOP": found["operations"] / 1e9,
    "GFLOP/s": np.array(found["gflops"]),
    "reference ms": np.array(found["reference_ms"]),
  }
  if "parts" in found:
    row["parts / loop"] = np.array(found["parts"]) / loop
  if timed.peer_steps:
    scaled = timed.peer_steps * _THEIR_PARTS / row["reference ms"]
    row |= {"against": timed.peer, "its, scaled": scaled}
    row["ours / its"] = row["steps/s"] / scaled
  return row
