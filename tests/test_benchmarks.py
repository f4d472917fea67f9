"""What is timed can run: nothing else calls it before somebody asks."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from binaries.benchmarks import (
  arithmetic,
  looping,
  loops,
  plain,
  rejax,
  reporting,
  scaling,
  straightforward,
  timed,
  workloads,
)
from neurorl import config, environments

_SMALL = """
NUM_ENVS = 2
train.steps_per_chunk = 50
train.unroll_length = 5
lstm.hidden_size = 16
mlp.hidden_sizes = (16,)
q_head.hidden_sizes = (16,)
prioritized_replay:
  capacity = 200
  min_size = 40
  batch_size = 2
  sequence_length = 5
  period = 5
  updates_per_add = 3
"""


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_the_straightforward_parts_run(core):
  work = dataclasses.replace(straightforward.REFERENCE, core=core)
  environment = environments.gymnax("Catch-bsuite")
  parts = straightforward.functions(environment, work, iterations=2)
  assert set(parts) == {"acting forwards", "environment steps", "update"}
  _, _, timestep = parts["environment steps"]()
  assert timestep.reward.shape == (straightforward.REFERENCE.envs,)
  leaves = jax.tree.leaves(parts["update"]()[0])
  assert all(np.isfinite(leaf).all() for leaf in leaves)


@pytest.mark.parametrize(
  "changes",
  [
    {"core": "gru"},
    {"core": None, "length": 2, "norm": True},
    {"core": None, "length": 1, "target": False},
    {"heads": (plain.Head((4,), logits=True), plain.Head((), 5, logits=True))},
  ],
  ids=str,
)
def test_the_update_of_any_work_changes_all_parameters(changes):
  small = {"envs": 2, "batch": 3, "length": 4, "width": 8, "torso": (8,)}
  work = dataclasses.replace(straightforward.REFERENCE, **{**small, **changes})
  environment = environments.gymnax("Catch-bsuite")
  update = straightforward.functions(environment, work, 1)["update"]
  new, old, _ = update()
  for before, after in zip(
    jax.tree.leaves(old), jax.tree.leaves(new), strict=True
  ):
    assert np.isfinite(after).all()
    assert (before != after).any()


def test_operations_of_products_times_the_lengths_of_loops():
  x, y = jnp.ones((3, 5)), jnp.ones((5, 5))

  def scanned(x, y):
    return jax.lax.scan(lambda x, _: (jnp.tanh(x @ y), None), x, None, 7)[0]

  def looped(x, y, times):
    return jax.lax.fori_loop(0, times, lambda _, x: scanned(x, y), x)

  once = 2 * 3 * 5 * 5
  assert arithmetic.operations(jnp.dot, (x, y)) == once
  assert arithmetic.operations(scanned, (x, y)) == 7 * once
  arguments = (x, y, jnp.int32(4))
  assert arithmetic.operations(looped, arguments, (4,)) == 28 * once
  with pytest.raises(ValueError, match="length that is not known"):
    arithmetic.operations(looped, arguments)


def test_operations_of_a_convolution_and_of_what_nothing_reads():
  image, kernel = jnp.ones((2, 10, 10, 4)), jnp.ones((3, 3, 4, 16))

  def convolve(image, kernel):
    jnp.dot(image[0, 0], kernel[0, 0])
    return jax.lax.conv_general_dilated(
      image, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  by_hand = 2 * (2 * 8 * 8 * 16) * (3 * 3 * 4)
  assert arithmetic.operations(convolve, (image, kernel)) == by_hand


@pytest.fixture(scope="module")
def loop():
  return looping.start(["qlearning.gin"], [_SMALL])


def test_operations_of_a_whole_loop_as_counted_by_hand(loop):
  torso, head, out = 50 * 16, 16 * 16, 16 * 3
  core = (16 + 16) * 4 * 16
  forward = 2 * (torso + core + head + out)
  # Nobody needs the gradient of the observation.
  backward = 2 * forward - 2 * torso
  acting = 2 * 5 * forward
  update = 2 * 6 * (2 * forward + backward)
  assert loop.operations() == pytest.approx(acting + 3 * update, rel=0.1)


def test_a_loop_learns_in_every_iteration(loop):
  assert (loop.steps, loop.updates) == (10, 3)
  assert int(loop.run(5).updates[0]) == 15
  assert int(loop.run(5, learn=False).updates[0]) == 0
  assert loop.iterations_in(0.0) == loop.experiment.iterations_per_chunk


def test_every_row_can_be_configured_and_its_parts_are_of_its_size():
  names = [row.name for row in workloads.TIMED]
  assert len(set(names)) == len(names)
  for row in workloads.TIMED:
    experiment = config.load([row.gin_file], list(row.bindings)).call()
    if row.work:
      sizes = (experiment.num_envs, experiment.unroll_length)
      assert (row.work.envs, row.work.unroll) == sizes, row.name


def test_every_point_of_scaling_can_be_configured():
  for series in scaling.SERIES:
    for value in series.values:
      config.load([series.gin_file], [series.bindings.format(value)]).call()


def _tiny_row():
  work = plain.Work(envs=2, unroll=5, updates=3, batch=2, length=6, width=16)
  return timed.Timed("tiny", "qlearning.gin", (_SMALL,), work, "a peer", 8.0)


def test_a_row_of_loops_holds_its_figures_together(monkeypatch):
  answers = {
    "start": {"seconds": 5.0, "megabytes": 700.0},
    "measure": {
      "loop": [0.5, 0.25],
      "arithmetic": [0.1, 0.1],
      "parts": [0.6, 0.5],
      "gflops": [100.0, 100.0],
      "reference_ms": [16.0, 16.0],
      "steps": 8,
      "updates": 3,
      "operations": 1e9,
    },
  }
  monkeypatch.setattr(loops.child, "call", lambda words, _: answers[words[0]])
  monkeypatch.setattr(workloads, "TIMED", (_tiny_row(),))
  (row,) = loops.measure("", 2)
  np.testing.assert_allclose(row["steps/s"], [16.0, 32.0])
  np.testing.assert_allclose(row["updates/s"], [6.0, 12.0])
  np.testing.assert_allclose(row["parts / loop"], [1.2, 2.0])
  np.testing.assert_allclose(row["arithmetic / loop"], [0.2, 0.4])
  # On a machine at half the speed the peer would make half of its 8 steps/s.
  np.testing.assert_allclose(row["its, scaled"], [4.0, 4.0])
  np.testing.assert_allclose(row["ours / its"], [4.0, 8.0])
  with pytest.raises(ValueError, match="no row begins with 'large'"):
    loops.measure("", 2, ["large"])


def test_a_row_whose_process_fails_says_so_and_stops_no_other(monkeypatch):
  rows = [timed.Timed("no row", "no_such_file.gin"), _tiny_row()]
  monkeypatch.setattr(workloads, "TIMED", rows)
  for row in loops.measure("", 1):
    # A process of its own knows neither of them.
    assert set(row) == {"row", "failed"}
    assert f"start {row['row']} failed: " in row["failed"]


def test_a_child_measures_what_a_row_needs(monkeypatch):
  from binaries.benchmarks import child

  monkeypatch.setattr(workloads, "TIMED", (_tiny_row(),))
  monkeypatch.setattr(child, "_SECONDS", 0.01)
  monkeypatch.setattr(straightforward, "ITERATIONS", 1)
  found = child.measure("tiny", 2)
  assert (found["steps"], found["updates"]) == (10, 3)
  for name in ("loop", "arithmetic", "parts", "gflops", "reference_ms"):
    assert len(found[name]) == 2
    assert min(found[name]) > 0
  # A loop does all that its products alone would.
  assert max(found["arithmetic"]) < min(found["loop"])
  json.dumps(found)


def test_scaling_measures_and_draws(monkeypatch, tmp_path):
  monkeypatch.setattr(scaling, "_SECONDS", 0.01)
  small = _SMALL.replace("sequence_length = 5", "sequence_length = {}")
  series = [
    scaling.Series("sequence length", "lstm", "qlearning.gin", (2, 4), small,
                   learned=True),
    scaling.Series("seeds", "lstm", "qlearning.gin", (1, 2),
                   _SMALL + "\nNUM_SEEDS = {}"),
  ]  # fmt: skip
  monkeypatch.setattr(scaling, "SERIES", series)
  rows = scaling.measure("Catch-bsuite", 2)
  assert [(row["axis"], row["at"]) for row in rows] == [
    ("sequence length", 2),
    ("sequence length", 4),
    ("seeds", 1),
    ("seeds", 2),
  ]
  assert rows[2]["us/step"].shape == (2,)
  scaling.draw(rows, tmp_path / "scaling")
  assert (tmp_path / "scaling.png").stat().st_size > 1000
  assert "sequence length" in (tmp_path / "scaling.svg").read_text()


def test_figures_are_kept_whole_and_shown_by_their_quartiles(tmp_path):
  values = np.array([4.0, 1.0, 2.0, 3.0, 5.0])
  rows = [{"row": "a", "speed": values, "peer": None}, {"row": "b", "more": 7}]
  path = tmp_path / "made" / "figures.json"
  reporting.write(path, "loops", rows, "What it is.")
  content = json.loads(path.read_text())
  assert content["workload"] == "loops"
  assert {"jax", "git_revision", "devices", "date", "processor"} <= set(
    content["about"]
  )
  speed = content["rows"][0]["speed"]
  assert (speed["q1"], speed["median"], speed["q3"]) == (2.0, 3.0, 4.0)
  assert speed["values"] == list(values)
  text = path.with_suffix(".md").read_text()
  assert "| a   | 3 ±33% |    - |    - |" in text
  assert "| b   |      - |    - |    7 |" in text


def test_what_cannot_be_installed_is_said_and_leaves_nothing(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(rejax, "_VERSION", "0.0.0.nowhere")
  monkeypatch.setenv("PIP_NO_INDEX", "1")
  with pytest.raises(RuntimeError, match="cannot be installed"):
    rejax.install(tmp_path / "there")
  assert not (tmp_path / "there").exists()
  with pytest.raises(ValueError, match="no algorithm is 'a2c'"):
    rejax.measure("", 1, ["a2c"])


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--workload=loops", "--only=none"], "no row begins with 'none'"),
    (["--out=figures.csv"], "must end in .json"),
    (["--repeats=0"], "--repeats=0"),
  ],
)
def test_a_mistake_is_told_in_a_line(arguments, said):
  done = subprocess.run(
    [sys.executable, "binaries/benchmark.py", *arguments],
    capture_output=True,
    text=True,
    check=False,
    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
  )
  assert done.returncode == 2
  assert said in done.stderr
  assert "Traceback" not in done.stderr
