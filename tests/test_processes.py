"""Two processes of two devices each that train as one, on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from neurorl import config, training
from neurorl.runs import state_files
from neurorl.training import executables
from neurorl.training import program as program_lib
from tests import processes, small

TRAIN = str(processes.BINARIES / "train.py")
BEGUN = 100  # seconds that two processes may take to begin on a busy machine


class Together:
  """Processes that are one run."""

  def __init__(self, folder, *arguments, count=2):
    with socket.socket() as free:
      free.bind(("127.0.0.1", 0))
      address = f"127.0.0.1:{free.getsockname()[1]}"
    env = {**os.environ, "JAX_COORDINATOR_BIND_ADDRESS": address}
    env |= {"JAX_NUM_CPU_DEVICES": "2"}
    self.told = [folder / f"told{i}" for i in range(count)]
    self._processes = []
    for i, told in enumerate(self.told):
      command = [sys.executable, TRAIN, "--distributed", *arguments]
      command += [f"--coordinator={address}", f"--num_processes={count}"]
      with told.open("w") as file:
        self._processes.append(
          subprocess.Popen(
            [*command, f"--process_id={i}", "--run_dir=run"],
            cwd=folder,
            env=env,
            stdout=file,
            stderr=file,
          )
        )

  def send(self, i, number):
    self._processes[i].send_signal(number)

  def wait(self, seconds=200):
    """Returns their exit codes and what they said."""
    try:
      codes = [process.wait(seconds) for process in self._processes]
    finally:
      for process in self._processes:
        process.kill()
    return codes, [told.read_text() for told in self.told]


def arguments(file, *more):
  return (f"--gin_file={file}", f"--gin_bindings={small.sizes(file)}", *more)


def params(file, folder, steps):
  experiment = config.load([file], [small.sizes(file)]).call()
  shapes = executables.state_shapes(training.build(experiment), 1)
  (found,) = (folder / "run" / "checkpoints").glob(f"*{steps}")
  like = shapes.learning.params
  return state_files.load(found, like, program_lib.PARAMS)[0]


@pytest.mark.parametrize(
  "file, steps",
  [
    pytest.param("ppo.gin", 1_664, marks=pytest.mark.thorough),
    ("qlearning.gin", 2_400),
  ],
)
def test_two_processes_learn_what_one_does(tmp_path, file, steps):
  alone, together = tmp_path / "alone", tmp_path / "together"
  alone.mkdir(), together.mkdir()
  length = f"--gin.TOTAL_STEPS={steps}"
  running = Together(together, *arguments(file, length))
  codes, (first, second) = running.wait()
  assert codes == [0, 0], first
  assert "on 4 x cpu" in first
  assert "evaluation return" in first and "evaluation return" not in second
  one = "--gin.train.num_devices=1"
  done = processes.train(
    *arguments(file, length, one), "--run_dir=run", cwd=alone
  )
  assert done.returncode == 0, done.stderr
  found, wanted = (params(file, at, steps) for at in (together, alone))
  for x, y in zip(*map(state_files.fetch, (found, wanted)), strict=True):
    np.testing.assert_allclose(x.array, y.array, rtol=1e-4, atol=1e-4)
  rows = [(at / "run" / "metrics.csv").read_text() for at in (together, alone)]
  assert len({text.count("\n") for text in rows}) == 1
  updates = int(rows[0].splitlines()[-1].split(",")[3])
  assert updates >= 50


def test_a_killed_process_ends_the_run_and_another_goes_on(tmp_path):
  file = "ppo.gin"
  long = "--gin.TOTAL_STEPS=1_000_000"
  often = "--gin.checkpoints.every_steps=1_000"
  running = Together(tmp_path, *arguments(file, long, often))
  checkpoints = tmp_path / "run" / "checkpoints"
  begun = time.monotonic()
  while not list(checkpoints.glob("0*")):
    assert time.monotonic() - begun < BEGUN, running.told[0].read_text()
    time.sleep(0.1)
  running.send(1, signal.SIGKILL)
  codes, (first, _) = running.wait()
  assert codes[1] == -signal.SIGKILL and codes[0] not in (0, None)
  assert "another task died" in first
  assert "Traceback" not in first and 'File "' not in first
  # One process, with its own devices, takes up what they left.
  kept = max(int(path.name) for path in checkpoints.glob("0*"))
  assert f"resumed at {kept:,} steps" in gone_on(tmp_path, long, often)


def gone_on(folder, *more):
  """Runs the same command as one process; returns what it said."""
  done = processes.train(
    *arguments("ppo.gin", *more),
    "--run_dir=run",
    "--max_seconds=0",
    cwd=folder,
  )
  assert done.returncode == 143, done.stderr
  assert "written on 4 devices, and 1 go on with it" in done.stderr
  return done.stderr


def test_a_signal_to_one_ends_all_and_one_goes_on(tmp_path):
  file = "ppo.gin"
  long = "--gin.TOTAL_STEPS=1_000_000"
  running = Together(tmp_path, *arguments(file, long))
  metrics = tmp_path / "run" / "metrics.csv"
  begun = time.monotonic()
  while not metrics.exists() or metrics.read_text().count("\n") < 2:
    assert time.monotonic() - begun < BEGUN, running.told[0].read_text()
    time.sleep(0.1)
  running.send(1, signal.SIGTERM)
  codes, (first, _) = running.wait()
  assert codes == [143, 143], first
  assert "ended by a signal to another process" in first
  assert "resumed at" in gone_on(tmp_path, long)


def test_processes_that_cannot_find_each_other(tmp_path):
  done = processes.train(*arguments("ppo.gin"), "--distributed", cwd=tmp_path)
  assert done.returncode == 2
  assert "--coordinator=HOST:PORT" in done.stderr


def test_more_devices_than_cores_are_made_where_they_are_bound(tmp_path):
  text = f"include 'ppo.gin'\n{small.COMMON}\ntrain.num_devices = 8\n"
  (tmp_path / "own.gin").write_text(text)
  # Tests themselves say how many there are; a user does not.
  env = {"JAX_NUM_CPU_DEVICES": ""}
  done = processes.train("--gin_file=own.gin", cwd=tmp_path, env=env)
  assert done.returncode == 0, done.stderr
