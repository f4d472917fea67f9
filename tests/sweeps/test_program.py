"""binaries/sweep.py as a process: here, on a cluster, and beside an agent."""

import csv
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

import pytest
import yaml

from tests import processes
from tests.test_run_faults import SMALL
from tests.wandb_server import Server

# Does what a run does, as far as a sweep sees it.
STUB = """
import json, os, pathlib, signal, sys, time
flags = dict(a[2:].split("=", 1) for a in sys.argv[1:])
run_dir = pathlib.Path(flags["run_dir"])
run_dir.mkdir(exist_ok=True)
with (run_dir / "begun").open("a") as file:
  file.write("x")
assert "gin.wandb.mode" not in flags
def stop(*_):
  (run_dir / "stopped").touch()
  sys.exit(143)
signal.signal(signal.SIGTERM, stop)
until = time.time() + float(flags.get("gin.WAIT", 0))
while time.time() < until and not (run_dir / "stopped").exists():
  time.sleep(0.05)
if flags["gin.A"] == "bad":
  sys.exit("error: bad is not allowed")
seed = int(flags["gin.SEED"])
rows = [f"{seed},{float(flags['gin.A']) + seed}"]
(run_dir / "metrics.csv").write_text("seed,score\\n" + "\\n".join(rows))
(run_dir / "env").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
summary = {"environment_steps": 10, "seconds": 1.0}
(run_dir / "summary.json").write_text(json.dumps(summary))
"""


def _write(folder, values=(1, 2), seeds=(0, 1), **parameters):
  (folder / "stub.py").write_text(STUB)
  described = {
    "method": "grid",
    "program": "stub.py",
    "metric": {"name": "score"},
    "parameters": {
      "gin.A": {"values": list(values)},
      "gin.SEED": {"values": list(seeds)},
      **{f"gin.{k}": {"value": v} for k, v in parameters.items()},
    },
    "command": [
      *("${env}", "${interpreter}", "${program}"),
      *("--gin.wandb.mode=online", "${args}"),
    ],
  }
  (folder / "s.yaml").write_text(yaml.safe_dump(described))


def _table(path):
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


def _sweep(folder, *arguments, env=None):
  return processes.run("sweep", "s.yaml", *arguments, cwd=folder, env=env)


def test_a_grid_is_run_and_tabled(tmp_path):
  _write(tmp_path)
  done = _sweep(tmp_path, "--jobs=2")
  assert done.returncode == 0, done.stderr
  out = tmp_path / "runs" / "sweep-s"
  runs = _table(out / "runs.csv")
  assert [row["score"] for row in runs] == ["1", "2", "2", "3"]
  best, second = _table(out / "configurations.csv")
  assert best["gin.A"] == "2" and best["score"] == "2.5"
  assert second["gin.A"] == "1" and second["per_seed"] == "1 2"
  assert best["ci95_low"] == "2" and best["ci95_high"] == "3"
  again = _sweep(tmp_path)
  assert again.returncode == 0 and again.stdout.endswith(
    done.stdout[done.stdout.index("\n\n") :]
  )
  assert (out / "000" / "begun").read_text() == "x"


def test_jobs_take_gpus_in_turn(tmp_path):
  _write(tmp_path, WAIT=0.3)
  done = _sweep(
    tmp_path,
    *("--jobs=2", "--batch_seeds=never", "--out=o"),
    env={"CUDA_VISIBLE_DEVICES": "3,5"},
  )
  assert done.returncode == 0, done.stderr
  devices = [(tmp_path / f"o/00{i}/env").read_text() for i in range(4)]
  assert sorted(devices[:2]) == ["3", "5"] and set(devices) == {"3", "5"}


def test_a_run_that_fails_is_named_and_others_go_on(tmp_path):
  _write(tmp_path, values=("bad", 1), seeds=[0])
  done = _sweep(tmp_path)
  assert done.returncode == 3
  assert "failed with 1: error: bad is not allowed" in done.stdout
  states = [r["state"] for r in _table(tmp_path / "runs/sweep-s/runs.csv")]
  assert states == ["failed", "done"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_ended_goes_on(tmp_path, number):
  _write(tmp_path, WAIT=60)
  out = tmp_path / "runs" / "sweep-s"
  running = processes.Running("sweep", ["s.yaml"], tmp_path)
  _until(lambda: (out / "000" / "begun").exists())
  running.send(number)
  ended = running.wait()
  assert ended.returncode == (143 if number == signal.SIGTERM else -9)
  # Its run is told by the kernel, or by the sweep.
  _until(lambda: (out / "000" / "stopped").exists())
  for index in (1, 2, 3):  # these need not wait
    (out / f"00{index}").mkdir()
    (out / f"00{index}" / "stopped").touch()
  done = _sweep(tmp_path)
  assert done.returncode == 0, done.stderr
  assert [r["score"] for r in _table(out / "runs.csv")] == ["1", "2", "2", "3"]
  assert (out / "000" / "begun").read_text() == "xx"


def _until(condition, seconds=30):
  until = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < until
    time.sleep(0.05)


def test_another_sweep_is_refused(tmp_path):
  _write(tmp_path)
  assert _sweep(tmp_path, "--count=1").returncode == 0
  _write(tmp_path, values=(1, 5))
  refused = _sweep(tmp_path)
  assert refused.returncode == 2
  assert "holds another sweep: it differs by parameters" in refused.stderr


def test_more_points_can_be_drawn(tmp_path):
  _write(tmp_path)
  done = _sweep(tmp_path, "--method=random", "--count=2")
  assert done.returncode == 0, done.stderr
  path = tmp_path / "runs/sweep-s/runs.csv"
  first = _table(path)
  assert _sweep(tmp_path, "--method=random", "--count=4").returncode == 0
  assert len(first) == 2 and _table(path)[:2] == first
  assert len(_table(path)) == 4
  # Four draws of four points: those that are the same are one run.
  points = {(row["gin.A"], row["gin.SEED"]) for row in _table(path)}
  kept = _table(path.parent / "configurations.csv")
  assert sum(int(row["seeds"]) for row in kept) == len(points) < 4


@pytest.mark.parametrize(
  "arguments, message",
  [
    ([], "name one sweep file"),
    (["no.yaml"], "cannot read sweep file 'no.yaml'"),
    (["s.yaml", "--method=random"], "needs an end: --count=N"),
    (["s.yaml", "--slurm", "--method=bayes", "--count=2"], "--slurm"),
    (["s.yaml", "--out=stub.py"], "exists"),
    (["s.yaml", "--out=."], "holds files that are no sweep's"),
    (["s.yaml", "--table", "--out=none"], "--table: no sweep is in none"),
    (["s.yaml", "--table", "--out=."], "--table: no sweep is in ."),
  ],
)
def test_a_mistake_is_told_in_a_line(tmp_path, arguments, message):
  _write(tmp_path)
  done = processes.run("sweep", *arguments, cwd=tmp_path)
  assert done.returncode == 2 and message in done.stderr
  assert "Traceback" not in done.stderr
  assert not (tmp_path / "none").exists()


def test_a_metric_that_no_run_has_is_told_at_once_and_at_the_end(tmp_path):
  _write(tmp_path)
  text = (tmp_path / "s.yaml").read_text()
  (tmp_path / "s.yaml").write_text(text.replace("name: score", "name: scroe"))
  done = _sweep(tmp_path)
  assert done.returncode == 0, done.stderr
  told = "no run has a value of 'scroe' in its metrics.csv"
  assert done.stderr.count(told) == 2
  assert _sweep(tmp_path, "--table").stderr.count(told) == 1


@pytest.mark.parametrize(
  "changed, message",
  [
    ({"program": "no.py"}, "s.yaml: command: there is no file 'no.py' here"),
    (
      {"command": ["nowhere", "${args}"]},
      "s.yaml: command: no program 'nowhere' was found",
    ),
    (
      {
        "program": str(processes.BINARIES / "train.py"),
        "command": ["python", "${program}", "--gin_file=dqn.gin", "${args}"],
        "parameters": {"gin.LERNING_RATE": {"value": 1e-3}},
      },
      "s.yaml: its first run is refused: command line: LERNING_RATE = 0.001: "
      "nothing reads %LERNING_RATE; did you mean 'LEARNING_RATE'?",
    ),
  ],
)
@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_command_that_can_do_nothing_is_refused(
  tmp_path, method, changed, message
):
  _write(tmp_path)
  described = yaml.safe_load((tmp_path / "s.yaml").read_text())
  described |= {"method": method, "run_cap": 2, **changed}
  (tmp_path / "s.yaml").write_text(yaml.safe_dump(described))
  done = _sweep(tmp_path, "--out=none")
  assert done.returncode == 2 and message in done.stderr
  assert "Traceback" not in done.stderr
  assert not (tmp_path / "none").exists()


def test_an_array_job_runs_each_point(tmp_path):
  _write(tmp_path)
  out = tmp_path / "runs" / "sweep-s"
  done = _sweep(tmp_path, "--slurm", "--jobs=2", "--sbatch=--time=1 --mem=2G")
  assert done.returncode == 0, done.stderr
  script = (out / "sweep.slurm").read_text()
  assert f"sbatch {out / 'sweep.slurm'}" in done.stdout
  for line in ("--array=0-3%2", "--time=1", "--mem=2G"):
    assert f"#SBATCH {line}\n" in script
  srun = tmp_path / "bin" / "srun"
  srun.parent.mkdir()
  srun.write_text('#!/bin/bash\n"$@"\n')
  srun.chmod(srun.stat().st_mode | stat.S_IXUSR)
  for task in range(4):
    subprocess.run(
      ["bash", str(out / "sweep.slurm")],
      env={
        **os.environ,
        "PATH": f"{srun.parent}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": str(task),
      },
      cwd=tmp_path,
      check=True,
    )
  tabled = _sweep(tmp_path, "--table")
  assert tabled.returncode == 0, tabled.stderr
  assert [r["score"] for r in _table(out / "runs.csv")] == ["1", "2", "2", "3"]


def _real(folder):
  """Two points of a run of a second or so."""
  arguments = [word for word in SMALL if not word.startswith("--run_dir")]
  (folder / "s.yaml").write_text(
    yaml.safe_dump(
      {
        "method": "grid",
        "program": str(processes.BINARIES / "train.py"),
        "parameters": {"gin.SEED": {"values": [0, 1]}},
        "command": [
          *("${env}", "${interpreter}", "${program}"),
          *arguments,
          "--gin.wandb.mode=online",
          "${args}",
        ],
      }
    )
  )


def test_an_agent_and_the_program_do_the_same(tmp_path):
  """The real `wandb sweep` and `wandb agent`, and sweep.py, by one file."""
  _real(tmp_path)
  server = Server()
  python = pathlib.Path(sys.executable).parent
  env = {
    **os.environ,
    "PATH": f"{python}:{os.environ['PATH']}",
    "HOME": str(tmp_path),
    "WANDB_BASE_URL": server.url,
    "WANDB_API_KEY": "a" * 40,
  }
  for words in (
    ["sweep", "--project", "ours", "s.yaml"],
    ["agent", "us/ours/swept"],
  ):
    told = subprocess.run(
      [str(python / "wandb"), *words],
      env=env,
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=200,
    )
    assert told.returncode == 0, told.stderr
  server.stop()
  assert _sweep(tmp_path, "--count=1").returncode == 0
  done = _sweep(tmp_path)
  assert done.returncode == 0, done.stderr
  ours = _table(tmp_path / "runs" / "sweep-s" / "runs.csv")
  assert len(server.runs) == len(ours) == 2
  for run, row in zip(
    sorted(
      server.runs.values(),
      key=lambda r: json.loads(r["config"])["SEED"]["value"],
    ),
    ours,
    strict=True,
  ):
    assert run["sweep"] == "swept"
    scores = [x.get("evaluation/episode_return") for x in run["history"]]
    last = [score for score in scores if score is not None][-1]
    assert float(row["evaluation/episode_return"]) == pytest.approx(last)
