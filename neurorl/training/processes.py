"""Several processes that train as one, on one host or many.

All run the same program on the same numbers, each on its own devices. What the
clock, a signal or a file decides is decided by one and told to all, or they
would wait for each other for ever; process 0 alone logs and writes.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

_T = TypeVar("_T")
# Seconds: a process that died is missed within the first, and one that ends
# waits for the others no longer than the second.
_HEARTBEAT, _SHUTDOWN = 30, 30


def begin(
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins the processes; before JAX looks for devices.

  Args:
    coordinator: host and port of process 0; None to be found out, under SLURM
      or Open MPI.
    num_processes: how many there are; None likewise.
    process_id: this one's number; None likewise.

  Raises:
    ValueError: if they cannot be found out, or do not find each other.
  """
  _check(coordinator, num_processes, process_id)
  # JAX ends this process when another has died, and says so; where Python was
  # then is nobody's question.
  faulthandler.disable()
  try:
    jax.distributed.initialize(
      coordinator,
      num_processes,
      process_id,
      heartbeat_timeout_seconds=_HEARTBEAT,
      shutdown_timeout_seconds=_SHUTDOWN,
    )
  except (ValueError, TypeError, RuntimeError) as error:
    first = str(error).strip().splitlines()[0]
    raise ValueError(
      f"--distributed: the processes did not find each other ({first}); give "
      "--coordinator=HOST:PORT, --num_processes and --process_id"
    ) from error


def _check(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
  """Refuses what JAX would die of."""
  if coordinator is not None:
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
      raise ValueError(
        f"--coordinator = '{coordinator}' must be a host and a port of process "
        "0, such as node1:23456"
      )
  if None not in (num_processes, process_id) and process_id >= num_processes:
    raise ValueError(
      f"--process_id = {process_id} must be below --num_processes = "
      f"{num_processes}"
    )


def in_slurm_step_of_several() -> bool:
  """Says whether SLURM started this process as one of several."""
  several = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1
  return several and "SLURM_PROCID" in os.environ


def alone() -> bool:
  """Says whether there is one process only."""
  return jax.process_count() == 1


def leads() -> bool:
  """Says whether this is the process that logs and writes."""
  return jax.process_index() == 0


def first_says(value: int) -> int:
  """Returns what process 0 says; every process must ask."""
  if alone():
    return int(value)
  return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def greatest(value: int) -> int:
  """Returns the greatest that any process says; every process must ask."""
  if alone():
    return int(value)
  return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def first_tells(text: str) -> str:
  """Returns the text of process 0; every process must ask."""
  if alone():
    return text
  told = text.encode() if leads() else b""
  size = first_says(len(told))
  padded = np.frombuffer(told.ljust(size), np.uint8)[:size]
  return bytes(multihost_utils.broadcast_one_to_all(padded)).decode()


def first_does(function: Callable[[], _T]) -> _T | None:
  """Has process 0 do something before the others go on; all must ask.

  Args:
    function: what it does.

  Returns:
    What the function returned; None in the others.

  Raises:
    ValueError: in all of them, if the function raised it.
  """
  if alone():
    return function()
  first_says(0)  # whatever the others had to do before is done
  result, problem = None, ""
  if leads():
    try:
      result = function()
    except ValueError as error:
      problem = str(error)
  problem = first_tells(problem)
  if problem:
    raise ValueError(problem)
  return result
