"""Runs on Weights & Biases: off unless asked for, and never in the way."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from neurorl.logging_types import Logger, LoggerRecipe, Row, RunInfo
from neurorl.registry import component

WandbMode = Literal["off", "offline", "online", "auto"]

_STEPS = "environment_steps"
_IDS = "wandb.json"


class _Settings(NamedTuple):
  """The arguments of `wandb`, as its docstring has them."""

  mode: WandbMode
  project: str
  entity: str | None
  group: str | None
  tags: Sequence[str]
  name: str | None
  run_per_seed: bool
  timeout: float


@component
def wandb(
  mode: WandbMode = "off",
  project: str = "neurorl",
  entity: str | None = None,
  group: str | None = None,
  tags: Sequence[str] = (),
  name: str | None = None,
  run_per_seed: bool = False,
  timeout: float = 8.0,
) -> LoggerRecipe:
  """Logs metrics, the configuration and plots to Weights & Biases.

  Nothing is asked and nothing is waited for: without a key, or where the server
  does not answer, the run is kept offline in the run directory, for `wandb
  sync`. A run that goes on from a checkpoint goes on there too.

  https://docs.wandb.ai

  Args:
    mode: 'off'; 'offline', on disk for `wandb sync`; 'online'; or 'auto', which
      is online where a key is found.
    project: that the run belongs to.
    entity: user or team; None for the key's own.
    group: of runs; None for none, or for the run directory's name where there
      is a run per seed.
    tags: of the run.
    name: of the run; None for the run directory's.
    run_per_seed: whether each seed is a run; else there is one run with means
      over seeds, and each seed's metrics under `seed_N/`.
    timeout: seconds to wait for the server at the start, and again at the end.

  Returns:
    The logger's recipe.

  Raises:
    ValueError: if the timeout is not positive.
  """
  if timeout <= 0:
    raise ValueError(f"wandb.timeout must be positive, got {timeout}")
  settings = _Settings(
    mode, project, entity, group, tuple(tags), name, run_per_seed, timeout
  )

  def build(info: RunInfo) -> Logger:
    if mode == "off":
      return Logger(lambda rows: None, lambda summary: None)
    session = _Session(settings, info)
    return Logger(session.write, session.finish, interrupt=session.interrupt)

  return build


class _Session:
  """The runs of one training there; whatever fails there is told once."""

  def __init__(self, settings: _Settings, info: RunInfo):
    self._settings = settings
    self._info = info
    self._runs: dict[str, Any] = {}
    self._broken = False
    self._guarded(self._begin)

  def write(self, rows: Sequence[Row]) -> None:
    """Logs the rows of a chunk, each metric where it has a value."""
    for name, row in _by_run(rows, self._settings.run_per_seed).items():
      self._guarded(lambda: self._runs[name].log(row))  # noqa: B023

  def finish(self, summary: Mapping[str, Any]) -> None:
    """Uploads the summary and the plots, and ends the runs."""
    self._guarded(lambda: self._summarise(summary))
    self._end(exit_code=0)

  def interrupt(self) -> None:
    """Ends the runs early; the same command goes on with them."""
    self._end(exit_code=1)

  def _begin(self) -> None:
    import wandb as client

    client.setup(client.Settings(silent=True))
    mode = _possible_mode(client, self._settings.mode, self._settings.timeout)
    ids = self._known_ids()
    names = [""]
    if self._settings.run_per_seed:
      names = [f"seed_{seed}" for seed in self._info.seeds]
    for name in names:
      run = self._start(client, mode, name, ids.get(name))
      run.define_metric(_STEPS)
      run.define_metric("*", step_metric=_STEPS)
      self._runs[name] = run
    kept = {name: run.id for name, run in self._runs.items()}
    (self._info.run_dir / _IDS).write_text(json.dumps(kept) + "\n")
    for run in self._runs.values():
      print(f"Weights & Biases: {_where(run)}", flush=True)

  def _known_ids(self) -> dict[str, str]:
    """The runs that a checkpoint's rows were logged to; none at a beginning."""
    path = self._info.run_dir / _IDS
    if not self._info.resumed_at or not path.exists():
      return {}
    return json.loads(path.read_text())

  def _start(self, client, mode: str, name: str, run_id: str | None):
    settings = self._settings
    run_dir = self._info.run_dir.resolve()
    title = settings.name or run_dir.name
    group = settings.group or (run_dir.name if name else None)
    arguments = {
      "project": settings.project,
      "entity": settings.entity,
      "group": group,
      "tags": settings.tags,
      "name": f"{title}-{name}" if name else title,
      "id": run_id,
      "resume": "allow" if run_id else None,
      "dir": str(run_dir),
      "config": dict(self._info.settings),
      "reinit": "create_new",
      "settings": client.Settings(
        silent=True,
        console="off",
        init_timeout=settings.timeout,
        finish_timeout=settings.timeout,
        finish_timeout_raises=True,
        x_graphql_timeout_seconds=settings.timeout,
      ),
    }
    try:
      return client.init(mode=mode, **arguments)
    except client.errors.Error as error:
      if mode == "offline":
        raise
      _say(f"the server was not reached ({_line(error)}); the run is offline")
      return client.init(mode="offline", **arguments)

  def _summarise(self, summary: Mapping[str, Any]) -> None:
    import wandb as client

    plots = sorted((self._info.run_dir / "plots").glob("*.png"))
    for run in self._runs.values():
      if plots:
        run.log({f"plots/{p.stem}": client.Image(str(p)) for p in plots})
      run.summary.update({"run": _plain(summary)})

  def _end(self, exit_code: int) -> None:
    for run in self._runs.values():
      self._guarded(lambda: _finish(run, exit_code))  # noqa: B023
    self._runs = {}

  def _guarded(self, function) -> None:
    """Calls the client; an error of any kind ends logging, not training."""
    if self._broken:
      return
    try:
      function()
    except Exception as error:
      self._broken = True
      _say(f"{type(error).__name__}: {_line(error)}; training goes on without")


def _possible_mode(client, mode: str, timeout: float) -> str:
  """What of 'offline' and 'online' it comes to: nobody is asked for a key."""
  if mode == "offline":
    return mode
  found = client.login(prompt=False, verify=False, timeout=int(timeout) or 1)
  if not found and mode == "online":
    _say("no key was found (`wandb login` keeps one); the run is offline")
  return "online" if found else "offline"


def _by_run(
  rows: Sequence[Row], run_per_seed: bool
) -> dict[str, dict[str, float]]:
  """What each run logs of a chunk, by its name."""
  if run_per_seed:
    return {f"seed_{row['seed']:.0f}": dict(row) for row in rows}
  names = dict.fromkeys(name for row in rows for name in row if name != "seed")
  merged = {}
  for name in names:
    values = [row[name] for row in rows if name in row]
    merged[name] = sum(values) / len(values)
  if len(rows) > 1:
    for row in rows:
      prefix = f"seed_{row['seed']:.0f}/"
      merged |= {prefix + name: x for name, x in row.items() if name != "seed"}
  return {"": merged}


def _finish(run, exit_code: int) -> None:
  folder = pathlib.Path(run.dir).parent
  try:
    run.finish(exit_code=exit_code)
  except TimeoutError:
    _say(f"not all was uploaded in time; `wandb sync {folder}` does it")


def _where(run) -> str:
  """Where a run can be seen."""
  if run.offline:
    folder = pathlib.Path(run.dir).parent
    return f"offline; upload by `wandb sync {folder}`"
  return run.url or run.id


def _plain(value: Any) -> Any:
  """Lists as dicts: a summary there holds no lists of numbers."""
  if isinstance(value, Mapping):
    return {name: _plain(x) for name, x in value.items()}
  if isinstance(value, (list, tuple)):
    return {str(i): _plain(x) for i, x in enumerate(value)}
  return value


def _say(message: str) -> None:
  print(f"warning: Weights & Biases: {message}", file=sys.stderr, flush=True)


def _line(error: Exception) -> str:
  return (str(error).strip().splitlines() or ["no reason given"])[0]
