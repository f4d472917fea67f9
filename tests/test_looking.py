"""The binaries that look at a trained agent: record, two_step and watch."""

import numpy as np
import PIL.Image
import pytest

from tests import processes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A folder with a run of two seeds."""
  folder = tmp_path_factory.mktemp("looking")
  done = processes.train(
    "--gin_file=recurrent_a2c.gin",
    "--gin_file=env_two_step.gin",
    "--gin.TOTAL_STEPS=320",
    "--gin.NUM_SEEDS=2",
    "--gin.SEED=5",
    "--gin.train.unroll_length=20",
    "--gin.lstm.hidden_size=8",
    "--gin.two_step.num_trials=6",
    "--gin.evaluator.episodes=2",
    "--run_dir=run",
    cwd=folder,
  )
  assert done.returncode == 0, done.stderr
  return folder


def test_a_record_and_what_is_found_in_it(trained):
  done = processes.run(
    "record",
    "--run_dir=run",
    "--policy=acting",
    "--episodes=10",
    "--out=mine.csv",
    cwd=trained,
  )
  assert done.returncode == 0, done.stderr
  assert "subject 5: 10 episodes, mean return" in done.stdout
  assert "subject 6: 10 episodes, mean return" in done.stdout
  # Six trials of two steps, and the last row.
  assert "260 rows, after 296 environment steps" in done.stdout
  assert len((trained / "mine.csv").read_text().splitlines()) == 261
  arrays = np.load(trained / "mine.npz")
  assert arrays["hidden/cell"].shape == (260, 8)
  assert not np.array_equal(*np.split(arrays["value"], 2))
  done = processes.run("two_step", "--record=mine.csv", cwd=trained)
  assert done.returncode == 0, done.stderr
  assert "unrewarded rare" in done.stdout
  with PIL.Image.open(trained / "mine.png") as image:
    assert image.size == (720, 600)


def test_pictures(trained):
  done = processes.run(
    "watch",
    "--run_dir=run",
    "--subject=6",
    "--episodes=2",
    "--max_frames=16",
    cwd=trained,
  )
  assert done.returncode == 0, done.stderr
  assert "the animation ends after 16 frames" in done.stdout
  plots = trained / "run" / "plots"
  (gif,) = plots.glob("*-seed6-episodes.gif")
  with PIL.Image.open(gif) as image:
    assert image.n_frames == 16
  names = {path.name.rpartition("-")[2] for path in plots.glob("*-seed6-*.png")}
  assert names == {"frames.png", "traces.png"}


BLIND = """
from neurorl import component, environments
from neurorl.environments import adapting

@component
def blind(needs: str = ""):
  '''The two-step task without pictures, or with what draws them missing.'''
  task = environments.two_step(num_trials=3)
  task = environments.observation_action_reward(task)
  draw = lambda state: adapting.library(needs, "pictures")
  return task._replace(render=draw if needs else None)
"""


@pytest.mark.parametrize(
  ("needs", "why"),
  [
    ("", "two_step has no picture of itself"),
    ("paints", "paints is not installed: pip install 'neurorl[pictures]'"),
  ],
)
def test_an_environment_that_cannot_be_drawn_has_traces_alone(
  trained, needs, why
):
  (trained / "blind.py").write_text(BLIND)
  (trained / "blind.gin").write_text(
    f"import blind\ntrain.environment = @blind()\nblind.needs = '{needs}'\n"
  )
  out = f"some{needs}"
  done = processes.run(
    "watch",
    "--run_dir=run",
    "--gin_file=blind.gin",
    f"--out={out}",
    cwd=trained,
  )
  assert done.returncode == 0, done.stderr
  assert f"\nno animation: {why}" in done.stdout
  assert [p.name for p in trained.glob(f"{out}-*")] == [f"{out}-traces.png"]


def test_a_picture_is_named_once_it_is_there(trained):
  done = processes.run("watch", "--run_dir=run", "--out=/proc/x", cwd=trained)
  assert done.returncode == 2 and "cannot write /proc/x*" in done.stderr
  assert "/proc/x" not in done.stdout


@pytest.mark.parametrize(
  ("binary", "arguments", "said"),
  [
    ("record", (), "name a run: --run_dir"),
    ("record", ("--run_dir=nowhere",), "no run is in --run_dir=nowhere"),
    ("record", ("--run_dir=run", "--out=/no/x.csv"), "cannot write to /no/x"),
    ("record", ("--run_dir=run", "--out=/proc/x.csv"), "cannot write to /proc"),
    ("record", ("--run_dir=run", "--episodes=0"), "episodes"),
    (
      "record",
      ("--run_dir=run", "--value_head=valu"),
      "head 'valu'; heads are value; did you mean 'value'?",
    ),
    ("watch", ("--run_dir=run", "--subject=7"), "the run has seeds 5, 6"),
    ("two_step", (), "name a record: --record="),
    ("two_step", ("--record=none.csv",), "none.csv: No such file"),
    ("two_step", ("--record=run/metrics.csv",), "no column 'subject'"),
    ("two_step", ("--recor=x",), "recor"),
    (
      "two_step",
      ("--record=run/metrics.csv", "--out=no/x.png"),
      "cannot write to no/x.png: its folder does not exist",
    ),
  ],
)
def test_what_is_refused(binary, arguments, said, trained):
  done = processes.run(binary, *arguments, cwd=trained)
  assert done.returncode == 2, done.stderr
  assert said in done.stderr and "Traceback" not in done.stderr
