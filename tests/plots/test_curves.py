"""Runs read from disk, put together, and summed up as curves and scores."""

import numpy as np
import pytest

from neurorl.ops import statistics
from neurorl.plots import curves, groups, run_folders, scores
from tests.plots import folders

TRAINING = "training/episode_return"


def _group(*paths, **options):
  runs = [run_folders.read(path) for path in paths]
  return groups.group(runs, warn=options.pop("warn", pytest.fail), **options)


def test_a_curve_is_the_interquartile_mean_of_seeds_at_each_step(tmp_path):
  rows = []
  values = np.array([[0, 1, 5], [1, 2, 5], [2, 3, 5], [3, 4, 5], [90, 80, 5]])
  for seed in range(5):
    rows += folders.rows(seed, values[seed])
  (group,) = _group(folders.write(tmp_path / "a", rows))
  found = curves.curve(group, "environment_steps", TRAINING)
  np.testing.assert_array_equal(found.x, [10, 20, 30])
  np.testing.assert_allclose(found.middle, [2, 3, 5])  # of 1 2 3, 2 3 4, 5 5 5
  np.testing.assert_array_equal(found.seeds, [5, 5, 5])
  low, high = statistics.curve_interval(values)
  np.testing.assert_array_equal([found.low, found.high], [low, high])
  assert found.low[0] < 2 < found.high[0] and found.low[2] == found.high[2]


def test_between_measurements_a_seed_is_on_the_line(tmp_path):
  rows = folders.rows(0, [0, 10], every=20)
  rows += folders.rows(1, [0, 4, 6], every=10)
  (group,) = _group(folders.write(tmp_path / "a", rows))
  found = curves.curve(group, "environment_steps", TRAINING)
  np.testing.assert_allclose(found.x, [10, 20, 30])
  np.testing.assert_allclose(found.middle, [0, (5 + 4) / 2, (10 + 6) / 2])


def test_empty_cells_and_nan_are_no_measurements(tmp_path):
  rows = folders.rows(0, [None, 1, "nan", 3, "inf"])
  (group,) = _group(folders.write(tmp_path / "a", rows))
  at, values = curves.points(group.seeds["0"], "environment_steps", TRAINING)
  np.testing.assert_array_equal(at, [20, 40])
  np.testing.assert_array_equal(values, [1, 3])
  found = curves.curve(group, "environment_steps", TRAINING)
  assert np.isnan(found.low).all()  # nothing to say of one seed


def test_a_seed_that_ends_early_counts_as_far_as_it_went(tmp_path):
  long = folders.write(tmp_path / "a", folders.rows(0, [1, 1, 1, 1, 1, 1]))
  short = folders.write(tmp_path / "b", folders.rows(1, [3, 3, 3]))
  (group,) = _group(long, short)
  found = curves.curve(group, "environment_steps", TRAINING)
  # It holds for one more interval: seeds count their steps a little apart.
  np.testing.assert_array_equal(found.middle, [2, 2, 2, 2, 1, 1])
  np.testing.assert_array_equal(found.seeds, [2, 2, 2, 2, 1, 1])


def test_by_wall_time(tmp_path):
  (group,) = _group(folders.write(tmp_path / "a", folders.rows(0, [1, 2])))
  found = curves.curve(group, "seconds", TRAINING)
  np.testing.assert_allclose(found.x, [0.1, 0.2])


def test_long_runs_are_averaged_to_what_can_be_seen(tmp_path):
  values = np.random.default_rng(0).normal(size=5000) + 3.0
  (group,) = _group(folders.write(tmp_path / "a", folders.rows(0, values)))
  found = curves.curve(group, "environment_steps", TRAINING)
  assert 100 < found.x.size <= 300
  assert found.middle.std() < 0.5 * values.std()
  np.testing.assert_allclose(found.middle.mean(), values.mean(), atol=0.05)


def test_the_line_that_a_kill_cut_short_is_left_out(tmp_path):
  path = folders.write(
    tmp_path / "a", folders.rows(0, [1, 2, 3]), finished=False
  )
  whole = (path / "metrics.csv").read_text()
  for cut in range(1, 12):
    (path / "metrics.csv").write_text(whole[:-cut])
    run = run_folders.read(path)
    assert run.seeds[0][TRAINING].tolist() == [1, 2] and not run.finished


@pytest.mark.parametrize(
  ("text", "words"),
  [
    (None, ["metrics.csv cannot be read", "No such file"]),
    ("", ["no table of metrics", "'seed'"]),
    ("a,b\n1,2\n", ["no table of metrics", "'seed'"]),
    (b"\xff\xfe\x00", ["no table of metrics"]),
    (",".join(folders.COLUMNS) + "\n", ["no rows yet"]),
    (",".join(folders.COLUMNS) + "\n0,1\n0,1\n", ["metrics.csv:2", "2 cells"]),
    (
      ",".join(folders.COLUMNS) + "\n0,1,1,x,,1\n",
      ["metrics.csv:2", TRAINING, "'x' is no number"],
    ),
    (",".join(folders.COLUMNS) + "\n,1,1,1,,1\n", ["no seed"]),
  ],
)
def test_what_is_no_table_is_told(tmp_path, text, words):
  path = folders.write(tmp_path / "a", [])
  if text is None:
    (path / "metrics.csv").unlink()
  elif isinstance(text, bytes):
    (path / "metrics.csv").write_bytes(text)
  else:
    (path / "metrics.csv").write_text(text)
  with pytest.raises(run_folders.RunError) as error:
    run_folders.read(path)
  for word in words:
    assert word in str(error.value)


def test_runs_that_have_just_begun_are_left_out(tmp_path):
  folders.write(tmp_path / "begun", [])
  folders.write(tmp_path / "on", folders.rows(0, [1.0, 2.0]))
  notes = []
  (run,) = run_folders.read_all([str(tmp_path)], notes.append)
  assert run.path.name == "on"
  assert len(notes) == 1 and "no rows yet: left out" in notes[0]
  with pytest.raises(run_folders.RunError, match="has no rows yet"):
    run_folders.read_all([str(tmp_path / "begun")], notes.append)
  (tmp_path / "other").mkdir()
  with pytest.raises(run_folders.RunError, match="no run is in"):
    run_folders.read_all([str(tmp_path / "other")], notes.append)


@pytest.mark.parametrize(
  "settings, name",
  [
    (
      {"craftax.name": "'Craftax-Classic-Symbolic-v1'"},
      "Craftax-Classic-Symbolic-v1",
    ),
    ({"train.environment": "@two_step()"}, "two_step"),
    (
      {
        "train.environment": "@gymnax_like()",
        "gymnax_like.path": "'my_lab.Maze'",
      },
      "my_lab.Maze",
    ),
    (
      {
        "train.environment": "@scale_reward()",
        "scale_reward.environment": "@craftax()",
        "craftax.name": "'Craftax-Symbolic-v1'",
      },
      "Craftax-Symbolic-v1",
    ),
  ],
)
def test_an_environment_is_called_by_its_own_name(tmp_path, settings, name):
  settings = {"train.environment": "@craftax()", **settings}
  path = folders.write(
    tmp_path / "run", folders.rows(0, [1.0]), settings=settings
  )
  assert run_folders.read(path).environment == name


def test_a_misspelt_metric_is_told_with_the_nearest(tmp_path):
  (group,) = _group(folders.write(tmp_path / "a", folders.rows(0, [1, 2])))
  with pytest.raises(run_folders.RunError, match=f"did you mean '{TRAINING}"):
    curves.curve(group, "environment_steps", "training/episode_retrun")
  with pytest.raises(run_folders.RunError, match="no value yet"):
    curves.curve(group, "environment_steps", curves.EVALUATION)


def test_runs_that_differ_only_in_seeds_are_one_curve(tmp_path):
  write, one = folders.write, [1, 2]
  a = write(tmp_path / "a", folders.rows(0, one) + folders.rows(1, one))
  b = write(tmp_path / "b", folders.rows(7, one))
  core = {"agent.core": "@gru()"}
  c = write(tmp_path / "c", folders.rows(7, one), settings=core)
  elsewhere = {"gymnax.name": "'DeepSea-bsuite'", "gymnax.arguments": "{'n':4}"}
  d = write(tmp_path / "d", folders.rows(0, one), settings=elsewhere)
  found = _group(a, b, c, d)
  assert [sorted(x.seeds) for x in found] == [["0", "1", "7"], ["7"], ["0"]]
  assert [x.environment for x in found] == [
    "Catch-bsuite",
    "Catch-bsuite",
    "DeepSea-bsuite, n = 4",
  ]
  assert found[1].label == "ppo (agent.core = @gru())"
  assert found[2].label == "ppo"
  assert len(_group(a, b, c, d, by="label")) == 2
  assert [x.label for x in _group(a, b, by="run")] == ["ppo (a)", "ppo (b)"]
  named = _group(a, b, c, labels=["x", "y", "x"])
  assert [(g.label, len(g.seeds)) for g in named] == [("x", 3), ("y", 1)]
  with pytest.raises(ValueError, match="1 labels for 2 runs"):
    _group(a, b, labels=["x"])


def test_a_seed_done_again_is_counted_once(tmp_path):
  a = folders.write(tmp_path / "a", folders.rows(0, [1, 1]))
  b = folders.write(tmp_path / "b", folders.rows(0, [1, 1]))
  told = []
  (group,) = _group(a, b, warn=told.append)
  assert list(group.seeds) == ["0"]
  assert len(told) == 1 and "counted once" in told[0]


def test_a_run_from_python_has_the_name_of_its_folder(tmp_path):
  path = folders.write(tmp_path / "mine", folders.rows(0, [1, 2]))
  (path / "run.json").unlink()
  (path / "command.txt").unlink()
  run = run_folders.read(path)
  assert (run.algorithm, run.environment) == ("mine", "")


def test_final_scores(tmp_path):
  rows = []
  for seed, last in enumerate([5, 1, 2, 9, 4]):
    rows += folders.rows(seed, [0, 0, 0], evaluated=[-1, -1, last])
  rows += folders.rows(5, [0, 0, 0])  # not evaluated yet
  told = []
  (group,) = _group(folders.write(tmp_path / "a", rows))
  score = scores.final_score(group, curves.EVALUATION, told.append)
  assert "1 of 6 seeds" in told[0]
  row = scores.row(score)
  assert row["iqm"] == pytest.approx((2 + 4 + 5) / 3)
  assert row["mean"] == pytest.approx(21 / 5)
  assert (row["seeds"], row["environment_steps"]) == (5, 30)
  assert row["per_seed"] == "5 1 2 9 4" and row["finished"] == "yes"
  assert 1 <= row["ci95_low"] < row["iqm"] < row["ci95_high"] <= 9


def _score(environment, label, values):
  return scores.Score(environment, label, np.array(values, float), 10, True)


def test_aggregates_over_environments():
  found = [
    _score("one", "a", [0, 10]),
    _score("two", "a", [-1, 3]),
    _score("one", "b", [5, 5]),
    _score("two", "b", [3, 3]),
    _score("one", "alone", [5]),
  ]
  told = []
  a, b = scores.over_environments(found, None, told.append)
  assert told == ["alone has no run in two: left out of the aggregates"]
  # Normalised: a is 0 1 and 0 1; b is 0.5 0.5 and 1 1.
  np.testing.assert_allclose(a.values, [0.5, 0.5, 0.5, 0.5])
  np.testing.assert_allclose(b.values, [0.75, 0.75, 0.75, 0.25])
  np.testing.assert_allclose(b.low, b.high)
  half = np.searchsorted(b.thresholds, 0.5) + 1
  assert b.profile[half] == 0.5 and b.profile[0] == 1.0
  bounds = {"one": (0.0, 20.0), "two": (-1.0, 3.0)}
  (a, *_) = scores.over_environments(found, bounds, told.append)
  np.testing.assert_allclose(a.values[2], (0.25 + 0.5) / 2)


def test_one_seed_in_each_environment_has_no_interval():
  found = [_score("one", "a", [0]), _score("two", "a", [1])]
  bounds = {"one": (0.0, 1.0), "two": (0.0, 2.0)}
  (a,) = scores.over_environments(found, bounds, pytest.fail)
  assert a.values[2] == 0.25 and np.isnan([a.low, a.high]).all()


def test_one_environment_has_no_aggregates():
  found = [_score("one", "a", [0, 1]), _score("two", "a", [2, 2])]
  assert scores.over_environments(found[:1], None, pytest.fail) == []
  told = []
  assert scores.over_environments(found, None, told.append) == []
  assert "two has no two scores to normalise by" in told[0]


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("environment,low\na,1\n", "file.csv:2"),
    ("environment,low,high\na,1,x\n", "file.csv:2"),
    ("environment,low,high\na,1,1\n", "low = 1 is not below high = 1"),
    ("environment,low,high\n", "no rows"),
  ],
)
def test_a_normalisation_that_is_none(tmp_path, text, words):
  path = tmp_path / "file.csv"
  path.write_text(text)
  with pytest.raises(run_folders.RunError, match=words):
    scores.read_normalisation(str(path))
