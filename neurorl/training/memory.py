"""Whether a run fits where it is to run, by its shapes alone."""

from __future__ import annotations

import os
import pathlib

import jax

from neurorl.ops import trees
from neurorl.types import Tree

_GROUPS = pathlib.Path("/sys/fs/cgroup")


def check(
  state: Tree, kept: Tree | None, num_seeds: int, num_devices: int = 1
) -> None:
  """Refuses a run that does not fit.

  Args:
    state: shapes of one seed's.
    kept: what of it a checkpoint is written from; None for nothing.
    num_seeds: how many there are.
    num_devices: that share them; of a CPU they have one memory.

  Raises:
    ValueError: if it needs more than the device has or, on a CPU, than this
      process may take.
  """
  needed = trees.size_in_bytes(state) * num_seeds
  copied = 0
  device = jax.devices()[0]
  if device.platform == "cpu":
    limit = host_limit()
    copied = trees.size_in_bytes(kept) * num_seeds if kept is not None else 0
  else:
    needed //= num_devices
    limit = (device.memory_stats() or {}).get("bytes_limit") or float("inf")
  if needed + copied <= limit:
    return
  more, remedy = "", ""
  if copied:
    more = f" and {copied / 1e9:,.1f} GB more while a checkpoint is written"
    remedy = ", or checkpoints.replay = False"
  raise ValueError(
    f"training keeps {needed / 1e9:,.1f} GB{more}, but {device.device_kind} "
    f"has {limit / 1e9:,.1f} GB; turn down the buffer's capacity, "
    f"train.num_seeds or train.num_envs, or bind the buffer's store_as{remedy}"
  )


def host_limit() -> int:
  """Returns the bytes this process may take: a queue's job has fewer."""
  limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
  for file in _limit_files():
    try:
      limits.append(int(file.read_text()))
    except (OSError, ValueError):  # there is none, or it is "max"
      continue
  return min(limits)


def _limit_files() -> list[pathlib.Path]:
  """Where Linux says what a control group and those around it may take."""
  try:
    lines = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
  except OSError:
    return []
  files = []
  for line in lines:
    _, controllers, path = line.split(":", 2)
    if controllers == "":
      folder, name = _GROUPS / path.lstrip("/"), "memory.max"
    elif "memory" in controllers.split(","):
      folder = _GROUPS / "memory" / path.lstrip("/")
      name = "memory.limit_in_bytes"
    else:
      continue
    inside = [folder, *folder.parents]
    files += [group / name for group in inside if group.is_relative_to(_GROUPS)]
  return files
