"""What may befall a run: how it ends, what it says; and nothing is lost."""

import contextlib
import fcntl
import json
import pathlib
import re
import shutil
import signal
import time

import pytest

from tests import processes

SMALL = (
  "--gin_file=dqn.gin",
  "--gin.TOTAL_STEPS=800",
  "--gin.mlp.hidden_sizes=(8,)",
  "--gin.uniform_replay.min_size=200",
  "--gin.uniform_replay.capacity=800",
  "--gin.uniform_replay.updates_per_add=1",
  "--gin.uniform_replay.batch_size=8",
  "--gin.train.steps_per_chunk=100",
  "--gin.checkpoints.every_steps=200",
  "--gin.evaluator.episodes=2",
  "--run_dir=run",
)
FAULTS = """from neurorl import component
from neurorl.logging_types import Logger
from neurorl import environments
import jax, jax.numpy as jnp, numpy as np, shutil

@component
def removes_the_folder():
  \"\"\"Deletes the run directory after the third chunk.\"\"\"
  def build(info):
    seen = []
    def write(rows):
      seen.append(rows)
      if len(seen) == 3:
        shutil.rmtree(info.run_dir)
    return Logger(write, lambda summary: None)
  return build

@component
def paying(value: float):
  \"\"\"Catch, whose later rewards are of this value.\"\"\"
  catch = environments.gymnax("Catch-bsuite")
  def step(key, state, action):
    state, timestep = catch.step(key, state, action)
    return state, timestep._replace(reward=jnp.float32(value))
  return catch._replace(step=step)

@component
def raises(late: bool = True):
  \"\"\"Catch that breaks, in its first step or when it is built.\"\"\"
  if not late:
    raise RuntimeError("the simulator is not installed")
  catch = environments.gymnax("Catch-bsuite")
  def fail(x):
    raise RuntimeError("the simulator has crashed")
  def step(key, state, action):
    state, timestep = catch.step(key, state, action)
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    reward = jax.pure_callback(
      fail, shape, timestep.reward, vmap_method="sequential"
    )
    return state, timestep._replace(reward=reward)
  return catch._replace(step=step)
"""


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory):
  """A run that is finished."""
  folder = tmp_path_factory.mktemp("whole")
  done = processes.train(*SMALL, cwd=folder)
  assert done.returncode == 0, done.stderr
  return folder


def _newest(folder: pathlib.Path) -> pathlib.Path:
  return max((folder / "run" / "checkpoints").glob("[0-9]*"))


def _state(folder) -> str:
  return json.loads((_newest(folder) / "manifest.json").read_text())["digest"]


def _metrics(folder):
  lines = (folder / "run" / "metrics.csv").read_text().splitlines()
  return [line.rsplit(",", 2)[0] for line in lines]


def _unfinished(folder):
  (folder / "run" / "summary.json").unlink()


def _flip_a_byte(folder):
  _unfinished(folder)
  files = [p for p in _newest(folder).rglob("*") if p.is_file()]
  path = max(files, key=lambda p: p.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _truncate(folder):
  _unfinished(folder)
  path = _newest(folder) / "manifest.json"
  path.write_text(path.read_text()[:100])


def _remove_a_file(folder):
  _unfinished(folder)
  (_newest(folder) / "manifest.json").unlink()


def _empty(folder):
  _unfinished(folder)
  newest = _newest(folder)
  shutil.rmtree(newest)
  newest.mkdir()


def _half_written(folder):
  _unfinished(folder)
  newest = _newest(folder)
  newest.rename(newest.with_name(f".{newest.name}.partial"))


def _cut_metrics(folder):
  """As a kill in the middle of a line leaves them."""
  _unfinished(folder)
  path = folder / "run" / "metrics.csv"
  path.write_text(path.read_text() + "0,8")


def _own_files(folder):
  (folder / "run" / "run.json").unlink()


def _nothing(folder):
  del folder


# What is done to a finished run, then what is said on the command line, the
# exit code, and what is printed. After exit 0 the run is what it was.
GOES_ON = [
  (_unfinished, (), ["resumed at 800 steps"]),
  (_flip_a_byte, (), ["skipped a damaged checkpoint", "resumed at 704 steps"]),
  (_truncate, (), ["manifest cannot be read", "resumed at 704 steps"]),
  (_remove_a_file, (), ["no manifest can be read", "resumed at 704"]),
  (_empty, (), ["no manifest can be read", "resumed at 704 steps"]),
  (_half_written, (), ["resumed at 704 steps"]),
  (_cut_metrics, (), ["resumed at 800 steps"]),
  (_empty, ("--gin.train.steps_per_chunk=300",), ["resumed at 704"]),
  (_empty, ("--gin.checkpoints.keep=7",), ["resumed at 704 steps"]),
]
REFUSED = [
  (_nothing, (), ["this very run, finished", "--overwrite"]),
  (
    _unfinished,
    ("--gin.mlp.hidden_sizes=(16,)",),
    ["another configuration", "- mlp.hidden_sizes = (8,)", "--resume=params"],
  ),
  (_unfinished, ("--gin.TOTAL_STEPS=900",), ["+ train.total_steps = 900"]),
  (_unfinished, ("--resume=never",), ["--resume=never"]),
  (_own_files, (), ["and no run"]),
  (_own_files, ("--overwrite",), ["and no run"]),
  (_nothing, ("--run_dir=",), ["--run_dir is empty"]),
  (_unfinished, ("--resume=maybe",), ["--resume", "auto|never|params_only"]),
  (_nothing, ("--max_seconds=-1",), ["--max_seconds"]),
  (
    _unfinished,
    ("--resume=params_only", "--overwrite"),
    ["begins with what --overwrite removes"],
  ),
  (
    _nothing,
    ("--resume=params_only", "--run_dir=nowhere"),
    ["no run is in --run_dir=nowhere"],
  ),
  (
    _unfinished,
    ("--resume=params_only", "--gin.mlp.hidden_sizes=(16,)"),
    ["learning/params/agent/mlp/linear_0/b: float32[1, 8], not float32[1, 16]"],
  ),
  (_nothing, ("--debug",), ["+ --debug = True"]),
  (_nothing, ("--gin.checkpoints.keep=0",), ["keep must be above 0, got 0"]),
  (
    _nothing,
    ("--gin.checkpoints.every_minutes=-1.0",),
    ["every_minutes must be above 0"],
  ),
  (_nothing, ("--run_dir=/proc/run",), ["cannot write to --run_dir=/proc/run"]),
]


def _ids(case):
  change, arguments, _ = case
  return "-".join([change.__name__.strip("_"), *arguments])


@pytest.mark.parametrize("case", GOES_ON, ids=_ids)
def test_a_run_goes_on(case, whole, tmp_path):
  change, arguments, said = case
  shutil.copytree(whole / "run", tmp_path / "run")
  change(tmp_path)
  done = processes.train(*SMALL, *arguments, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  for text in said:
    assert text in done.stderr
  assert "Traceback" not in done.stderr
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


@pytest.mark.parametrize("case", REFUSED, ids=_ids)
def test_a_command_is_refused(case, whole, tmp_path):
  change, arguments, said = case
  shutil.copytree(whole / "run", tmp_path / "run")
  change(tmp_path)
  before = sorted(p.name for p in (tmp_path / "run").iterdir())
  done = processes.train(*SMALL, *arguments, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  for text in said:
    assert text in done.stderr
  assert "Traceback" not in done.stderr
  after = {p.name for p in (tmp_path / "run").iterdir()} - {".lock"}
  assert after == set(before) - {".lock"}
  assert _state(tmp_path) == _state(whole)


def test_another_programs_checkpoint_is_refused_naming_leaves(whole, tmp_path):
  shutil.copytree(whole / "run", tmp_path / "run")
  other = (*SMALL, "--gin.mlp.hidden_sizes=(4,)", "--run_dir=other")
  assert processes.train(*other, cwd=tmp_path).returncode == 0
  shutil.rmtree(tmp_path / "run" / "checkpoints")
  checkpoints = tmp_path / "other" / "checkpoints"
  shutil.copytree(checkpoints, tmp_path / "run" / "checkpoints")
  _unfinished(tmp_path)
  done = processes.train(*SMALL, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert "params/agent/mlp/linear_0/w: float32[1, 50, 4]" in done.stderr
  assert "Traceback" not in done.stderr


def test_a_folder_that_another_process_writes_is_refused(whole, tmp_path):
  shutil.copytree(whole / "run", tmp_path / "run")
  _unfinished(tmp_path)
  with (tmp_path / "run" / ".lock").open("w") as lock:
    lock.write("process 1 on a node")
    lock.flush()
    fcntl.flock(lock, fcntl.LOCK_EX)
    done = processes.train(*SMALL, cwd=tmp_path)
  assert done.returncode == 2
  assert "is being written by process 1 on a node" in done.stderr


def test_overwriting_begins_anew(whole, tmp_path):
  shutil.copytree(whole / "run", tmp_path / "run")
  (tmp_path / "run" / "metrics.csv").write_text("nonsense")
  done = processes.train(*SMALL, "--overwrite", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


def test_a_limit_of_seconds_ends_a_run_that_goes_on(whole, tmp_path):
  done = processes.train(*SMALL, "--max_seconds=0", cwd=tmp_path)
  assert done.returncode == 143 and "ended by --max_seconds" in done.stderr
  assert processes.train(*SMALL, cwd=tmp_path).returncode == 0
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


# More steps, so that there is time to be ended in.
LONG = (*SMALL, "--gin.TOTAL_STEPS=4_000_000", "--gin.evaluator.every_steps=0")


def _after_some_chunks(cwd):
  running = processes.Running("train", LONG, cwd)
  deadline = time.time() + 60
  while time.time() < deadline and not running.ended():
    try:
      if len(_metrics(cwd)) > 5:
        return running
    except OSError:
      pass
    time.sleep(0.02)
  raise AssertionError(running.wait())


@pytest.mark.parametrize(
  ("number", "code"),
  [("SIGTERM", 143), ("SIGINT", 130), ("SIGUSR1", 143), ("SIGKILL", -9)],
)
def test_signals(number, code, tmp_path):
  running = _after_some_chunks(tmp_path)
  running.send(signal.Signals[number])
  done = running.wait()
  assert done.returncode == code, done.stderr
  assert "Traceback" not in done.stderr
  saved = int(_newest(tmp_path).name)
  if number != "SIGKILL":
    assert f"{number}: ending after this chunk" in done.stderr
    assert f"ended by {number} at {saved:,} of" in done.stderr
    assert int(_metrics(tmp_path)[-1].split(",")[1]) == saved
  again = processes.train(*LONG, "--max_seconds=0", cwd=tmp_path)
  assert again.returncode == 143
  assert f"resumed at {saved:,} steps" in again.stderr


@pytest.mark.parametrize(
  ("bindings", "said"),
  [
    ("train.environment = @paying()\npaying.value = 1e400", "inf"),
    ("train.environment = @paying()\npaying.value = 1e25", "loss/q is inf"),
    ("optimizer.learning_rate = 1e30", "is (inf|nan)"),
    ("train.environment = @raises()", "the simulator has crashed"),
  ],
)
def test_what_goes_wrong_in_training(bindings, said, tmp_path):
  (tmp_path / "faults.py").write_text(FAULTS)
  (tmp_path / "bad.gin").write_text("import faults\ninclude 'dqn.gin'\n")
  arguments = ("--gin_file=bad.gin", *SMALL[1:], f"--gin_bindings={bindings}")
  done = processes.train(*arguments, cwd=tmp_path)
  assert done.returncode == 3, done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith("error: ") and re.search(said, last), done.stderr
  # JAX shows where a user's own simulator raised.
  assert "Traceback" not in done.stderr or "crashed" in said


def test_a_run_that_went_wrong_is_debugged(tmp_path):
  bad = (*SMALL, "--gin_bindings=optimizer.learning_rate = 1e30")
  done = processes.train(*bad, cwd=tmp_path)
  assert done.returncode == 3 and "run/crash" in done.stderr, done.stderr
  done = processes.train(*bad, "--debug", cwd=tmp_path)
  assert done.returncode == 3, done.stderr
  assert "repeating a chunk of" in done.stdout
  assert re.search(r"\((nan|inf)\) encountered in \w+", done.stderr), (
    done.stderr
  )
  assert re.search(r"neurorl/\w+/\w+\.py:\d+ in ", done.stderr), done.stderr


def test_a_full_disk_ends_nothing(whole, tmp_path):
  done = processes.train(*SMALL, cwd=tmp_path, file_size=5_000)
  assert "no checkpoint could be written" in done.stdout
  assert "Traceback" not in done.stderr
  assert "100%" in done.stdout
  assert _metrics(tmp_path) == _metrics(whole)
  # What was learned is nowhere: that is not done, and once there is room
  # the same command does it.
  assert done.returncode == 3, done.stderr
  assert "what was learned could not be written" in done.stderr
  done = processes.train(*SMALL, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


def test_a_reader_that_is_gone_ends_nothing(whole, tmp_path):
  done = processes.train(*SMALL, cwd=tmp_path, reads=2)
  assert done.returncode == 0, done.stderr
  assert "Traceback" not in done.stderr
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


def _partials(folder):
  found = set()
  for path in (folder / "run" / "checkpoints").glob(".0*.partial"):
    with contextlib.suppress(FileNotFoundError):
      found.add((path.name, path.stat().st_ino))
  return found


def test_a_run_killed_while_it_saves_goes_on(whole, tmp_path):
  landed = 0
  for _ in range(20):
    before = _partials(tmp_path)
    running = processes.Running("train", SMALL, tmp_path)
    while not running.ended() and _partials(tmp_path) <= before:
      time.sleep(0.0005)
    running.send(signal.SIGKILL)
    landed += running.wait().returncode == -9
    if landed == 3 or (tmp_path / "run" / "summary.json").exists():
      break
  assert landed
  done = processes.train(*SMALL, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert _state(tmp_path) == _state(whole)
  assert _metrics(tmp_path) == _metrics(whole)


def test_a_folder_that_is_gone_ends_nothing(tmp_path):
  (tmp_path / "faults.py").write_text(FAULTS)
  (tmp_path / "bad.gin").write_text("import faults\ninclude 'dqn.gin'\n")
  loggers = "train.loggers = [@removes_the_folder(), @metrics_file()]"
  done = processes.train(
    "--gin_file=bad.gin", *SMALL[1:], f"--gin_bindings={loggers}", cwd=tmp_path
  )
  assert done.returncode == 0, done.stderr
  assert (tmp_path / "run" / "summary.json").exists()
  assert int(_newest(tmp_path).name) == 800


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    ((), "name a run: --run_dir"),
    (("--run_dir=nowhere",), "no run is in --run_dir=nowhere"),
    (("--run_dir=run", "--checkpoint=best"), "no checkpoint 'best' is in"),
    (("--run_dir=run", "--out=/proc/x/y.csv"), "cannot write to /proc/x/y"),
    (
      ("--run_dir=run", "--gin.gymnax.name=CartPole-v1"),
      "params/agent/mlp/linear_0/w",
    ),
  ],
)
def test_what_evaluation_refuses(arguments, said, whole, tmp_path):
  shutil.copytree(whole / "run", tmp_path / "run")
  done = processes.evaluate(*arguments, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert said in done.stderr and "Traceback" not in done.stderr


def test_evaluation_of_a_trained_agent(whole, tmp_path):
  shutil.copytree(whole / "run", tmp_path / "run")
  for policy in ("evaluating", "acting"):
    done = processes.evaluate(
      "--run_dir=run",
      f"--policy={policy}",
      "--episodes=5",
      "--checkpoint=800",
      cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (out,) = (tmp_path / "run").glob(f"evaluation-{policy}-*.csv")
    assert len(out.read_text().splitlines()) == 6
    summary = json.loads(out.with_suffix(".json").read_text())
    assert -1 <= summary["evaluation"]["iqm"] <= 1
