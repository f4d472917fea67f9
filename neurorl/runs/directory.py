"""The run directory: what was run, and whether a command may go on in it."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Literal, NamedTuple

from neurorl.runs import locks
from neurorl.runs.files import PARTIAL, write_whole

_RUN, _SUMMARY = "run.json", "summary.json"
_CHECKPOINTS, _BEFORE = "checkpoints", "before-"

Resume = Literal["auto", "never", "params_only"]
# How a run begins: with nothing, where another left off, or with its weights.
Beginning = Literal["anew", "resume", "params_only"]


class Identity(NamedTuple):
  """What makes two commands the same run.

  Attributes:
    settings: everything that bears on its numbers, names to values, as text.
    total_steps: how far it goes; not among the settings where nothing else
      depends on it, so that a run may be made longer.
  """

  settings: Mapping[str, str]
  total_steps: int


class RunDirectory(NamedTuple):
  """A folder that is this process's own.

  Attributes:
    path: of the folder.
    beginning: how the run begins.
    lock: held for as long as it is open.
  """

  path: pathlib.Path
  beginning: Beginning
  lock: IO[str]


def inspect(
  path: str | None, identity: Identity, resume: Resume, overwrite: bool
) -> Beginning:
  """Says how a run would begin in a folder; changes no run.

  Args:
    path: where the user wants it; None for a fresh folder.
    identity: the run's.
    resume: what the user wants of an unfinished run found there.
    overwrite: whether what is found there may go.

  Returns:
    How it begins.

  Raises:
    ValueError: if it may not begin there.
  """
  if path is not None and not path.strip():
    raise ValueError(
      "--run_dir is empty; name a folder, or leave the flag out for a fresh "
      "one under runs/"
    )
  if resume == "params_only" and overwrite:
    raise ValueError(
      "--resume=params_only begins with what --overwrite removes; give one"
    )
  if path is None:
    found = []
  else:
    run_dir = pathlib.Path(path).expanduser()
    with _told(path):
      found = _visible(run_dir)
  if not found:
    if resume == "params_only":
      raise ValueError(
        f"--resume=params_only: no run is in --run_dir={path or ''}"
      )
    return "anew"
  if not _is_run(run_dir):
    raise ValueError(
      f"--run_dir={path} is in use (it holds '{found[0].name}', and no run); "
      "name another folder, or leave the flag out for a fresh one under runs/"
    )
  with _told(path):
    locks.take(run_dir).close()
  if overwrite:
    return "anew"
  began, before = _read(path, run_dir)
  again = began == "params_only" and before == identity
  if again and resume != "never":
    # A queue repeats the command that began it. Killed before it kept anything,
    # it has its weights where they were set aside.
    resume = "auto" if _has_state(run_dir) else "params_only"
  if resume == "params_only":
    return "params_only"
  if resume == "never":
    raise ValueError(
      f"--run_dir={path} is in use (it holds a run) and --resume=never; name "
      "another folder, or --overwrite what is there"
    )
  _check_same_run(path, run_dir, identity)
  return "resume"


def open_(
  path: str | None,
  name: str,
  identity: Identity,
  resume: Resume = "auto",
  overwrite: bool = False,
) -> RunDirectory:
  """Takes a folder for a run, and locks it.

  Args:
    path: where the user wants it; None for a fresh name under `runs/`.
    name: begins a fresh name.
    identity: of the run, for whoever goes on in it.
    resume: what is wanted of an unfinished run found there.
    overwrite: whether what is found there may go.

  Returns:
    The folder; `description.write` says what it is.

  Raises:
    ValueError: if it cannot be made, is another process's, or holds what may
      not be gone on from.
  """
  beginning = inspect(path, identity, resume, overwrite)
  with _told(path):
    run_dir = _fresh(name) if path is None else pathlib.Path(path).expanduser()
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = locks.take(run_dir)
    if overwrite:
      _remove(_visible(run_dir))
    elif beginning == "params_only":
      _set_aside(run_dir)
    elif beginning == "resume":
      (run_dir / _SUMMARY).unlink(missing_ok=True)
    _write(run_dir, beginning, identity)
  return RunDirectory(run_dir, beginning, lock)


@contextlib.contextmanager
def _told(path: str | None) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise ValueError(
      f"cannot write to --run_dir={path or 'runs/'}: {error.strerror}; name a "
      "folder that you may write to"
    ) from None


def difference(before: Identity, now: Identity) -> list[str]:
  """Returns the lines that differ, `-` of before and `+` of now."""
  before, now = map(_flat, (before, now))
  lines = []
  for name in sorted({**before, **now}):
    if before.get(name) != now.get(name):
      lines += [f"- {name} = {before[name]}"] if name in before else []
      lines += [f"+ {name} = {now[name]}"] if name in now else []
  return lines


def _flat(identity: Identity) -> dict[str, str]:
  total = {"train.total_steps": f"{identity.total_steps:_}"}
  return {**total, **identity.settings}


def _check_same_run(
  path: str, run_dir: pathlib.Path, identity: Identity
) -> None:
  _, before = _read(path, run_dir)
  if before.total_steps < identity.total_steps:  # made longer
    before = before._replace(total_steps=identity.total_steps)
  elif before == identity and (run_dir / _SUMMARY).exists():
    raise ValueError(
      f"--run_dir={path} holds this very run, finished; name another folder, "
      "or --overwrite it"
    )
  lines = difference(before, identity)
  if lines:
    shown = [*lines[:20], *(["..."] if len(lines) > 20 else [])]
    raise ValueError(
      f"--run_dir={path} holds a run of another configuration:\n  "
      + "\n  ".join(shown)
      + "\nname another folder; or --resume=params_only begins anew with its "
      "weights, --overwrite without" + _why_not_longer(lines, identity)
    )


def _why_not_longer(lines: Sequence[str], identity: Identity) -> str:
  length = "train.total_steps"
  only = all(line[2:].startswith(f"{length} ") for line in lines)
  if not only or length not in identity.settings:
    return ""
  return (
    "\na run can be made longer where no schedule, and no component of your "
    f"own, depends on {length}; one does"
  )


def weights_of(path: str) -> pathlib.Path:
  """Finds where the weights of a run are: its own, or those it began with."""
  run_dir = pathlib.Path(path).expanduser()
  before = [p for p in _visible(run_dir) if p.name.startswith(_BEFORE)]
  for folder in [run_dir, *sorted(before, key=_number, reverse=True)]:
    if _has_state(folder):
      return folder / _CHECKPOINTS
  return run_dir / _CHECKPOINTS


def _has_state(folder: pathlib.Path) -> bool:
  """Says whether a checkpoint has its name: its folder alone is none."""
  return any((folder / _CHECKPOINTS).glob("[0-9]*"))


def _number(path: pathlib.Path) -> int:
  return int(path.name.removeprefix(_BEFORE))


def _is_run(run_dir: pathlib.Path) -> bool:
  if not (run_dir / _RUN).exists():
    return False
  # A run that was killed as it began has no config.gin yet; another program's
  # file of this name is not ours to read.
  with contextlib.suppress(ValueError):
    _read(str(run_dir), run_dir)
    return True
  return (run_dir / "config.gin").exists()


def _read(path: str, run_dir: pathlib.Path) -> tuple[Beginning, Identity]:
  """How the run that is there began, and what it is."""
  try:
    kept = json.loads((run_dir / _RUN).read_text())
    identity = Identity(kept["settings"], kept["total_steps"])
    return kept["began"], identity
  except (ValueError, TypeError, KeyError):
    raise ValueError(
      f"--run_dir={path} holds a run whose {_RUN} cannot be read; --overwrite "
      "begins anew"
    ) from None


def _write(
  run_dir: pathlib.Path, beginning: Beginning, identity: Identity
) -> None:
  began = beginning
  if beginning == "resume":
    began, _ = _read(str(run_dir), run_dir)
  kept = {
    "began": began,
    "settings": dict(identity.settings),
    "total_steps": identity.total_steps,
  }
  write_whole(run_dir / _RUN, json.dumps(kept, indent=1))


def _visible(run_dir: pathlib.Path) -> list[pathlib.Path]:
  if not run_dir.is_dir():
    return []
  return sorted(
    p
    for p in run_dir.iterdir()
    if p.name != locks.NAME and not p.name.endswith(PARTIAL)
  )


def _remove(paths: Sequence[pathlib.Path]) -> None:
  # What says that it is a run goes last: a kill must not leave other files.
  for path in sorted(paths, key=lambda path: path.name == _RUN):
    if path.is_dir() and not path.is_symlink():
      shutil.rmtree(path)
    else:
      path.unlink()


def _set_aside(run_dir: pathlib.Path) -> None:
  """Moves a run into a folder within its own."""
  names = _visible(run_dir)
  number = sum(path.name.startswith(_BEFORE) for path in names)
  aside = run_dir / f"{_BEFORE}{number}"
  aside.mkdir()
  for path in names:
    if path.name == _RUN:  # stays until the new one replaces it
      shutil.copy2(path, aside / path.name)
    elif not path.name.startswith(_BEFORE):
      path.rename(aside / path.name)


def _fresh(name: str) -> pathlib.Path:
  stamp = time.strftime("%Y%m%d-%H%M%S")
  for i in range(1000):
    suffix = f"-{i}" if i else ""
    run_dir = pathlib.Path("runs") / f"{name}-{stamp}{suffix}"
    try:
      run_dir.mkdir(parents=True)
    except FileExistsError:
      continue
    return run_dir
  raise ValueError(f"no free name like runs/{name}-{stamp}")
