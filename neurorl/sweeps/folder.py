"""The folder of a sweep: which points it has, and where each is run."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from neurorl.runs import locks
from neurorl.runs.files import write_whole
from neurorl.sweeps.points import Point
from neurorl.sweeps.sweep_file import Sweep

_KEPT = "sweep.json"


class Folder:
  """Points by their numbers, kept so that a sweep can go on.

  Attributes:
    path: of the folder.
    points: known so far.
  """

  def __init__(self, path: pathlib.Path, sweep: Sweep, seed: int):
    """Takes a folder, with what an earlier process has left there.

    Args:
      path: of the folder.
      sweep: that it is for.
      seed: of what is drawn.

    Raises:
      ValueError: if it holds another sweep, or is another process's.
      OSError: if it cannot be made.
    """
    self.path = path
    self.points: list[Point] = []
    self._identity = _identity(sweep, seed)
    path.mkdir(parents=True, exist_ok=True)
    try:
      self._lock = locks.take(path)  # for as long as it is held here
    except ValueError:
      raise ValueError(
        f"--out={path} is being run by another process; wait for it, or name "
        "another folder"
      ) from None
    if (path / _KEPT).exists():
      self._read()
    elif any(p.name != locks.NAME for p in path.iterdir()):
      raise ValueError(
        f"--out={path} holds files that are no sweep's; name another folder"
      )
    else:
      self._write()

  def _read(self) -> None:
    try:
      kept = json.loads((self.path / _KEPT).read_text())
      identity, points = kept["sweep"], kept["points"]
    except (ValueError, KeyError, TypeError):
      raise ValueError(
        f"{self.path / _KEPT} cannot be read; name another folder by --out"
      ) from None
    if identity != self._identity:
      changed = [
        name
        for name in self._identity
        if identity.get(name) != self._identity[name]
      ]
      raise ValueError(
        f"--out={self.path} holds another sweep: it differs by "
        f"{', '.join(changed)}; name another folder"
      )
    self.points = points

  def _write(self) -> None:
    kept = {"sweep": self._identity, "points": self.points}
    write_whole(self.path / _KEPT, json.dumps(kept, indent=1) + "\n")

  def add(self, point: Point) -> int:
    """Keeps one more point; returns its number."""
    self.points.append(point)
    self._write()
    return len(self.points) - 1

  def run_dir(self, index: int) -> pathlib.Path:
    """Returns where a point is run."""
    return self.path / f"{index:03d}"

  def log(self, index: int) -> pathlib.Path:
    """Returns where what its process prints is kept."""
    return self.path / f"{index:03d}.log"


def holds_sweep(path: pathlib.Path) -> bool:
  """Says whether a sweep has been begun in a folder."""
  return (path / _KEPT).exists()


def _identity(sweep: Sweep, seed: int) -> Mapping[str, Any]:
  """What may not change when a sweep goes on, as JSON gives it back."""
  kept = dataclasses.asdict(sweep)
  del kept["run_cap"]  # more runs may follow
  if sweep.method != "grid":
    kept["seed"] = seed
  return json.loads(json.dumps(kept))
