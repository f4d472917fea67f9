"""Which states of a run are kept, and when they are written."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neurorl.registry import component
from neurorl.runs import state_files
from neurorl.types import Tree

# Begins the names of those that were evaluated best.
BEST = "best-"


@dataclasses.dataclass(frozen=True)
class Checkpoints:
  """When states are kept, and which; see `checkpoints` for the fields."""

  every_minutes: float | None
  every_steps: int | None
  keep: int
  keep_best: bool
  replay: bool


@component
def checkpoints(
  every_minutes: float | None = 10.0,
  every_steps: int | None = None,
  keep: int = 2,
  keep_best: bool = False,
  replay: bool = True,
) -> Checkpoints:
  """Keeps whole states of a run, from which it goes on as if never ended.

  One is written after the last chunk, too, and when a signal ends a run.

  Args:
    every_minutes: between two of them, rounded up to whole chunks; None for
      never by the clock. When one is written changes no number of a run.
    every_steps: environment steps between two, rounded up to whole chunks; None
      for never by steps.
    keep: the newest so many are kept; at least 1.
    keep_best: whether the state with the best evaluation is kept as well.
    replay: whether the buffer is kept. Without it files are small, and a
      resumed run begins by filling its buffer: it is another run from there on.

  Returns:
    The settings.

  Raises:
    ValueError: if a number is out of range.
  """
  for name, value in [
    ("every_minutes", every_minutes),
    ("every_steps", every_steps),
    ("keep", keep),
  ]:
    if value is not None and value <= 0:
      raise ValueError(f"checkpoints.{name} must be above 0, got {value}")
  return Checkpoints(every_minutes, every_steps, keep, keep_best, replay)


class Keeper:
  """Writes states in the background, and removes old ones."""

  def __init__(
    self,
    settings: Checkpoints,
    folder: pathlib.Path,
    without_replay: Callable[[Tree], Tree],
    warn: Callable[[str], None],
    writes: bool = True,
    agreed: Callable[[bool], bool] = bool,
  ):
    """Makes it.

    Args:
      settings: when and which.
      folder: where they lie; it need not exist.
      without_replay: leaves the buffer out of a state.
      warn: takes a sentence that somebody should read.
      writes: whether this process does; others only hand over their part.
      agreed: what the process that writes decides, in all of them.
    """
    self._settings = settings
    self._folder = folder
    self._without_replay = without_replay
    self._warn = warn
    self._writes = writes
    self._agreed = agreed
    self._pool = concurrent.futures.ThreadPoolExecutor(1)
    self._pending: concurrent.futures.Future | None = None
    self._saved_at = time.monotonic()
    self._saved_steps: int | None = None  # or tried to
    self._whole: str | None = None  # the newest that is known to be
    self._best = -float("inf")
    self.seconds = 0.0  # that training waited for

  def prepare(self) -> None:
    """Loads in the background what the first writing will need."""
    self._pool.submit(state_files.prepare)

  def due(self, steps: int) -> bool:
    """Says whether the state after so many environment steps is to be kept."""
    return self._agreed(self._due(steps))

  def _due(self, steps: int) -> bool:
    if steps == self._saved_steps:
      return False
    settings = self._settings
    if settings.every_minutes is not None:
      waited = time.monotonic() - self._saved_at
      if waited >= 60 * settings.every_minutes:
        return True
    if settings.every_steps is None:
      return False
    return steps // settings.every_steps > (
      (self._saved_steps or 0) // settings.every_steps
    )

  def resumed(self, steps: int, about: Mapping[str, Any]) -> None:
    """Takes note of the state that a run goes on from."""
    self._saved_steps, self._whole = steps, name_of(steps)
    for path in self._folder.glob(f"{BEST}*"):
      if path.name > f"{BEST}{name_of(steps)}":  # of a future that is lost
        shutil.rmtree(path, ignore_errors=True)
    if any(self._folder.glob(f"{BEST}*")):
      self._best = about.get("best", self._best)

  def save(self, state: Tree, steps: int, about: Mapping[str, Any]) -> None:
    """Copies a state, and writes it while training goes on; not twice.

    Args:
      state: a tree.
      steps: environment steps of one seed, which names it.
      about: JSON, kept with it.
    """
    begun = time.monotonic()
    self.wait()
    if not self.kept(steps):
      self._saved_at, self._saved_steps = begun, steps
      self._write(state, name_of(steps), {**about, "best": self._best})
    self.seconds += time.monotonic() - begun

  def kept(self, steps: int) -> bool:
    """Says whether the state after so many environment steps is written."""
    return self._agreed(self._whole == name_of(steps))

  def evaluated(
    self, state: Tree, steps: int, about: Mapping[str, Any], score: float
  ) -> None:
    """Keeps a state, without its buffer, if none was evaluated better."""
    if not self._settings.keep_best:
      return
    self.wait()  # the best so far is known when it is written
    if self._agreed(score > self._best):
      about = {**about, "best": score}
      self._write(state, f"{BEST}{name_of(steps)}", about)

  def wait(self) -> None:
    """Returns when everything is written, or was warned of."""
    if self._pending is not None:
      pending, self._pending = self._pending, None
      pending.result()

  def _write(self, state: Tree, name: str, about: Mapping[str, Any]) -> None:
    self.wait()
    replay = self._settings.replay and not name.startswith(BEST)
    about = {**about, "replay": replay}
    state = state if replay else self._without_replay(state)
    leaves = state_files.fetch(state)
    if not self._writes:
      return
    self._pending = self._pool.submit(self._write_now, name, leaves, about)

  def _write_now(
    self,
    name: str,
    leaves: Sequence[state_files.Leaf],
    about: Mapping[str, Any],
  ) -> None:
    try:
      state_files.save(self._folder / name, list(leaves), about)
    except OSError as error:
      self._warn(
        f"warning: no checkpoint could be written ({error}); training goes on, "
        "and the last good one is kept"
      )
      return
    if name.startswith(BEST):
      self._best = about["best"]
    else:
      self._whole = name
    self._prune(name.removeprefix(BEST))

  def _prune(self, now: str) -> None:
    """Removes what is old, and what a kill left behind.

    What is newer than now is damaged, or of a run that was begun anew.
    """
    best = sorted(self._folder.glob(f"{BEST}*"))
    named = sorted(_named(self._folder))
    past = [path for path in named if path.name <= now]
    old = [path for path in named if path.name > now]
    old += past[: -self._settings.keep]
    old += [path for path in best if path.name > f"{BEST}{now}"]
    old += [path for path in best if path.name <= f"{BEST}{now}"][:-1]
    old += list(self._folder.glob(".*.partial"))
    for folder in old:
      shutil.rmtree(folder, ignore_errors=True)


def newest(
  folder: pathlib.Path,
  like: Tree,
  without_replay: Callable[[Tree], Tree],
  warn: Callable[[str], None],
) -> tuple[Tree, dict[str, Any]] | None:
  """Reads the newest state that is whole; names those that are not.

  Args:
    folder: where they lie; it need not exist.
    like: shapes of the state.
    without_replay: leaves the buffer out of a state.
    warn: takes a sentence that somebody should read.

  Returns:
    The state, without its buffer where replay was not kept, and what was kept
    with it; None if there is none.

  Raises:
    DamagedError: if there are some, and none is whole.
    MismatchError: if it is another program's.
  """
  return newest_by(folder, lambda path: read(path, like, without_replay), warn)


def newest_by(
  folder: pathlib.Path,
  reading: Callable[[pathlib.Path], Any],
  warn: Callable[[str], None],
) -> Any:
  """Reads something of the newest state that is whole, as `newest` does."""
  paths = sorted(_named(folder), reverse=True)
  for path in paths:
    try:
      return reading(path)
    except state_files.DamagedError as error:
      warn(f"warning: skipped a damaged checkpoint: {error}")
  if paths:
    raise state_files.DamagedError(f"no checkpoint in {folder} is whole")
  return None


def read(
  path: pathlib.Path, like: Tree, without_replay: Callable[[Tree], Tree]
) -> tuple[Tree, dict[str, Any]]:
  """Reads one state.

  Args:
    path: of its folder.
    like: shapes of the state.
    without_replay: leaves the buffer out of a state.

  Returns:
    As `newest`.

  Raises:
    DamagedError: if it is not whole.
    MismatchError: if it is another program's.
  """
  kept = state_files.read_manifest(path)["about"].get("replay", True)
  return state_files.load(path, like if kept else without_replay(like))


def name_of(steps: int) -> str:
  """Names the state after so many environment steps, so that they sort."""
  return f"{steps:014d}"


def _named(folder: pathlib.Path) -> list[pathlib.Path]:
  return [path for path in folder.glob("[0-9]*") if path.is_dir()]
