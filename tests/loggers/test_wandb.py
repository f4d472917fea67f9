"""Weights & Biases by its real client, against a stand-in for its server."""

import csv
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from neurorl import loggers
from neurorl.logging_types import RunInfo
from tests import processes, small
from tests.wandb_server import Server

WANDB = str(pathlib.Path(sys.executable).parent / "wandb")
KEY = "a" * 40
# A run of four chunks, three of which learn.
SMALL = (
  "--gin_file=qlearning.gin",
  f"--gin_bindings={small.sizes('qlearning.gin')}",
  # Those that are shipped; other tests' small runs have fewer.
  "--gin_bindings=train.loggers = "
  "[@terminal(), @metrics_file(), @learning_curve(), @wandb()]",
  "--run_dir=run",
)


@pytest.fixture
def server():
  found = Server()
  yield found
  if not found.gone:
    found.stop()


def _env(folder, server=None, key=KEY):
  """Where the client finds its server and its key, and no other's."""
  url = server.url if server else "http://127.0.0.1:9"
  env = {"HOME": str(folder), "WANDB_BASE_URL": url}
  return {**env, "WANDB_API_KEY": key} if key else env


def _rows(folder):
  with (folder / "run" / "metrics.csv").open(newline="") as file:
    return list(csv.DictReader(file))


def _equal(history, rows):
  """Whether what was logged is what the table on disk says."""
  assert len(history) == len(rows) > 2
  for logged, row in zip(history, rows, strict=True):
    told = {name: float(x) for name, x in row.items() if x and name != "seed"}
    assert {n: logged.get(n) for n in told} == pytest.approx(told)


def test_an_offline_run_is_on_disk_and_can_be_uploaded(tmp_path, server):
  done = processes.train(
    *SMALL, "--gin.wandb.mode=offline", cwd=tmp_path, env=_env(tmp_path)
  )
  assert done.returncode == 0, done.stderr
  (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
  assert f"wandb sync {kept}" in done.stdout
  subprocess.run(
    [WANDB, "sync", str(kept)],
    env={**os.environ, **_env(tmp_path, server)},
    check=True,
    capture_output=True,
  )
  (run_id,) = server.runs
  assert json.loads((tmp_path / "run" / "wandb.json").read_text()) == {
    "": run_id
  }
  *history, pictures = server.runs[run_id]["history"]
  _equal(history, _rows(tmp_path))
  assert pictures["plots/learning_curve"]["format"] == "png"
  config = json.loads(server.runs[run_id]["config"])
  assert config["train.num_envs"]["value"] == 8
  assert config["agent.core"]["value"] == "@lstm()"
  assert config["NUM_ENVS"]["value"] == 8


class Session:
  """The logger alone, with rows of its own."""

  def __init__(self, folder, resumed_at=0, **settings):
    columns = ("seed", "environment_steps", "x")
    info = RunInfo(folder, columns, 10, (0, 1), resumed_at=resumed_at)
    self.logger = loggers.wandb(**settings)(info)

  def write(self, steps):
    self.logger.write(
      [
        {"seed": seed, "environment_steps": steps, "x": steps + seed}
        for seed in (0, 1)
      ]
    )


@pytest.fixture
def client(tmp_path, server, monkeypatch):
  """The real client, which forgets afterwards what it was told of a server."""
  for name, value in _env(tmp_path, server).items():
    monkeypatch.setenv(name, value)
  yield
  import wandb

  wandb.teardown()


def _histories(server):
  return [
    [{k: v for k, v in row.items() if k[0] != "_"} for row in run["history"]]
    for run in server.runs.values()
  ]


def test_seeds_are_of_one_run_or_each_its_own(tmp_path, client, server):
  together = Session(tmp_path, mode="auto")
  together.write(3)
  together.logger.finish({})
  (history,) = _histories(server)
  assert history == [
    {
      "environment_steps": 3,
      "x": 3.5,
      "seed_0/environment_steps": 3,
      "seed_0/x": 3,
      "seed_1/environment_steps": 3,
      "seed_1/x": 4,
    }
  ]
  server.runs.clear()
  apart = Session(tmp_path, mode="online", run_per_seed=True, tags=["t"])
  apart.write(3)
  apart.logger.finish({})
  assert sorted(h[0]["x"] for h in _histories(server)) == [3, 4]
  for run in server.runs.values():
    assert run["groupName"] == tmp_path.name and run["tags"] == ["t"]


def test_a_run_that_goes_on_is_one_run(tmp_path, client, server):
  for steps, ends_early in [(0, True), (3, False)]:
    session = Session(tmp_path, resumed_at=steps, mode="online")
    session.write(steps + 3)
    if ends_early:
      session.logger.interrupt()
    else:
      session.logger.finish({"score": [1.0]})
  (history,) = _histories(server)
  assert [row["environment_steps"] for row in history] == [3, 6]
  session = Session(tmp_path, mode="online")  # begun anew
  session.logger.finish({})
  assert len(server.runs) == 2


@pytest.mark.parametrize("gone", ["before", "during", "after"])
def test_a_server_that_is_gone_ends_nothing(
  tmp_path, client, server, capsys, gone
):
  begun = time.monotonic()
  if gone == "before":
    server.stop()
  session = Session(tmp_path, mode="online", timeout=2.0)
  session.write(1)
  if gone == "during":
    server.stop()
  session.write(2)
  if gone == "after":
    server.stop()
  session.logger.finish({})
  assert time.monotonic() - begun < 20
  assert "wandb sync" in "".join(capsys.readouterr())
  assert list((tmp_path / "wandb").glob("*run-*"))


def test_without_a_key_nobody_is_asked(tmp_path, client, monkeypatch, capsys):
  monkeypatch.delenv("WANDB_API_KEY")
  for mode, warns in [("auto", False), ("online", True)]:
    session = Session(tmp_path, mode=mode)
    session.write(1)
    session.logger.finish({})
    told = capsys.readouterr()
    assert "offline; upload by" in told.out
    assert ("no key was found" in told.err) == warns


def test_a_client_that_fails_is_told_once(tmp_path, monkeypatch, capsys):
  import wandb

  def fail(*arguments, **settings):
    raise RuntimeError("the service died")

  monkeypatch.setattr(wandb, "init", fail)
  session = Session(tmp_path, mode="offline")
  session.write(1)
  session.write(2)
  session.logger.finish({})
  assert capsys.readouterr().err.count("the service died") == 1


def test_off_imports_nothing(tmp_path):
  code = (
    "import sys; from neurorl import loggers; "
    "from neurorl.logging_types import RunInfo; import pathlib; "
    "l = loggers.wandb()(RunInfo(pathlib.Path('.'), (), 1, (0,))); "
    "l.write([]); l.finish({}); assert 'wandb' not in sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_a_timeout_of_nothing_is_refused():
  with pytest.raises(ValueError, match=r"wandb\.timeout must be positive"):
    loggers.wandb(timeout=0)
