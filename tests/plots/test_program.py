"""binaries/plot.py and the picture that a run leaves of itself."""

import csv
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from binaries import verify_claims
from neurorl import logging_types, plots
from neurorl.plots import curves, figures
from tests import processes
from tests.plots import folders

FAST, SLOW = [0, 4, 8, 8], [0, 1, 2, 3]


@pytest.fixture
def runs(tmp_path):
  """Two algorithms of two seeds each in two environments."""
  for name, values in [("ppo", FAST), ("dqn", SLOW)]:
    for environment in ("Catch-bsuite", "CartPole-v1"):
      rows = folders.rows(0, values, evaluated=[None, 1, 2, values[-1]])
      rows += folders.rows(1, np.add(values, 1), evaluated=[0, 0, 0, 7])
      settings = {"gymnax.name": repr(environment), "train.agent": name}
      path = tmp_path / "runs" / f"{name}-{environment}"
      folders.write(path, rows, files=[f"{name}.gin"], settings=settings)
  return tmp_path / "runs"


def _check_pictures(folder, name, words):
  with Image.open(folder / f"{name}.png") as picture:
    pixels = np.asarray(picture.convert("RGB"))
  assert pixels.shape[1] >= 900 and pixels.shape[0] >= 300
  assert 0.01 < (pixels != 255).any(axis=-1).mean() < 0.9
  assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
  text = (folder / f"{name}.svg").read_text()
  root = xml.etree.ElementTree.fromstring(text)
  found = {
    "".join(x.itertext()).strip() for x in root.iter() if "text" in x.tag
  }
  assert set(words) <= found, found


def test_figures_and_tables(runs, tmp_path):
  done = processes.run("plot", "runs", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stderr == ""
  out = tmp_path / "plots"
  panels = ["CartPole-v1", "Catch-bsuite", "ppo", "dqn", "environment steps"]
  _check_pictures(out, "learning_curves", [*panels, "return (evaluation)"])
  _check_pictures(
    out, "aggregates", ["IQM", "median", "mean", "optimality gap", "ppo", "dqn"]
  )
  _check_pictures(out, "profiles", ["ppo", "dqn", "part of the runs above τ"])
  with (out / "scores.csv").open() as file:
    rows = list(csv.DictReader(file))
  found = {(r["environment"], r["algorithm"]): r for r in rows}
  row = found["CartPole-v1", "dqn"]
  assert float(row["iqm"]) == 5.0 and row["per_seed"] == "3 7"
  assert float(row["ci95_low"]) == 3.0 and float(row["ci95_high"]) == 7.0
  assert f"| {'dqn':<9} |" in done.stdout and "| 3 7" in done.stdout
  assert (out / "scores.md").read_text() in done.stdout
  for name in sorted(path.name for path in out.iterdir()):
    assert f"plots/{name}" in done.stdout


def test_by_time_and_another_metric(runs, tmp_path):
  arguments = [str(path) for path in sorted(runs.iterdir())[:1]]
  done = processes.run(
    "plot",
    *arguments,
    "--x=seconds",
    "--metric=training/episode_return",
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  words = ["wall time (s)", "return (training)", "dqn"]
  _check_pictures(tmp_path / "plots", "learning_curves", words)
  assert not (tmp_path / "plots" / "profiles.png").exists()
  assert "| 3 4" in done.stdout


def test_a_run_killed_before_its_first_evaluation(tmp_path):
  folders.write(tmp_path / "a", folders.rows(0, SLOW), finished=False)
  with (tmp_path / "a" / "metrics.csv").open("a") as file:
    file.write("0,50,5")
  done = processes.run("plot", "a", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  words = ["return (training)", "Catch-bsuite", "ppo"]
  _check_pictures(tmp_path / "plots", "learning_curves", words)
  assert "| no " in done.stdout


def test_runs_in_a_folder_are_drawn_but_those_that_have_just_begun(
  runs, tmp_path
):
  folders.write(tmp_path / "runs" / "begun", [], finished=False)
  done = processes.run("plot", "runs", "--out=new/plots", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stderr == (
    "note: runs/begun/metrics.csv has no rows yet: left out\n"
  )
  assert (tmp_path / "new" / "plots" / "scores.csv").exists()
  refused = processes.run("plot", "runs/begun", cwd=tmp_path)
  assert refused.returncode == 2 and "has no rows yet" in refused.stderr


BAD = {
  "nothing": ([], ["name run directories"]),
  "no folder": (["nowhere"], ["nowhere does not exist"]),
  "a file": (["file.csv"], ["file.csv is a file"]),
  "no run": (["empty"], ["no run is in empty: it has no metrics.csv"]),
  "one of two": (["runs", "empty"], ["no run is in empty"]),
  "unknown metric": (
    ["runs", "--metric=evaluation/episode_retrun"],
    ["no metric is called", "'evaluation/episode_return'"],
  ),
  "unknown axis": (["runs", "--x=updates"], ["x=updates", "seconds"]),
  "unknown flag": (["runs", "--outt=a"], ["outt"]),
  "too few labels": (["runs", "--labels=a"], ["1 labels for 4 runs"]),
  "no normalisation": (["runs", "--normalise=no.csv"], ["no.csv"]),
  "nowhere to write": (["runs", "--out=file.csv"], ["file.csv", "--out"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, runs, tmp_path):
  (tmp_path / "empty").mkdir()
  (tmp_path / "file.csv").write_text("a,b\n")
  arguments, words = BAD[case]
  done = processes.run("plot", *arguments, cwd=tmp_path)
  assert done.returncode == 2, done.stderr
  assert done.stderr.startswith("error: ")
  for word in words:
    assert word in done.stderr
  assert "Traceback" not in done.stdout + done.stderr
  assert len(done.stderr.splitlines()) <= 4, done.stderr
  assert not (tmp_path / "plots").exists()


RESULTS = processes.BINARIES.parent / "docs" / "results"
# What a picture says beside the names of the rows.
AXES = {
  "families": ["return, claimed to be ≥ 490.0"],
  "simulations": ["return", "16"],
}
TABLES = [path for name in AXES for path in RESULTS.glob(f"{name}-*.csv")]


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_tables_of_results(table, tmp_path):
  """Drawn as they are kept in docs/results, with every row."""
  (tmp_path / "table.csv").write_bytes(table.read_bytes())
  done = processes.run("plot_results", "table.csv", cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  assert done.stdout == "table.png\ntable.svg\n"
  with table.open(encoding="utf-8") as file:
    names = [row["row"] for row in csv.DictReader(file)]
  axes = AXES[table.stem.split("-")[0]]
  _check_pictures(tmp_path, "table", [*names, *axes])


def test_the_tables_of_families_have_every_claim():
  """Every claim has been measured, at the revision that a table names."""
  names = set()
  for table in RESULTS.glob("families-*.csv"):
    with table.open(encoding="utf-8") as file:
      names |= {row["row"] for row in csv.DictReader(file)}
  assert names == {row.name for row in verify_claims.TABLES["families"]}


def test_a_table_that_is_none_of_results(tmp_path):
  (tmp_path / "table.csv").write_text("a,b\n1,2\n")
  for name, word in [("table.csv", "needs rows, with"), ("no.csv", "no.csv")]:
    done = processes.run("plot_results", name, cwd=tmp_path)
    assert done.returncode == 2 and word in done.stderr, done.stderr
    assert done.stderr.startswith("error: ")


def test_in_a_process_of_its_own_it_has_no_flag_of_gins(runs):
  command = [sys.executable, processes.BINARIES / "plot.py", runs]
  done = subprocess.run(
    [*command, "--gin_file=ppo.gin"],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2, done.stderr
  assert done.stderr.startswith("error: ") and "gin_file" in done.stderr


def _finish(run_dir, **options):
  info = logging_types.RunInfo(run_dir, folders.COLUMNS, 40, 2)
  logger = plots.learning_curve(**options)(info)
  logger.write([{"seed": 0}])
  logger.finish({})


def test_a_run_draws_itself(runs, capsys):
  run = runs / "ppo-CartPole-v1"
  _finish(run)
  assert capsys.readouterr() == ("", "")
  words = ["ppo, CartPole-v1, 2 seeds", "evaluation", "training"]
  words += ["environment steps", "episode return"]
  _check_pictures(run / "plots", "learning_curve", words)
  _finish(run, x="seconds")
  _check_pictures(run / "plots", "learning_curve", ["wall time (s)"])


@pytest.mark.parametrize(
  "fault", ["no table", "a file in the way", "no library"]
)
def test_a_picture_that_cannot_be_drawn_ends_no_run(
  runs, capsys, fault, monkeypatch
):
  run = runs / "ppo-CartPole-v1"
  if fault == "no table":
    (run / "metrics.csv").unlink()
  elif fault == "a file in the way":
    (run / "plots").write_text("")
  else:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
  _finish(run)
  out, error = capsys.readouterr()
  assert out == "" and len(error.splitlines()) == 1
  assert error.startswith("warning: no learning curve was drawn")


@pytest.mark.parametrize(
  ("x", "last", "label", "shown"),
  [
    ("seconds", 600.0, "wall time (s)", 600.0),
    ("seconds", 36_000.0, "wall time (h)", 10.0),
    ("environment_steps", 36_000.0, "environment steps", 36_000.0),
  ],
)
def test_units_of_the_axis(x, last, label, shown):
  ones = np.ones(2)
  curve = curves.Curve(np.array([0.0, last]), ones, ones, ones, ones)
  drawn = figures.learning_curves({"Catch": {"ppo": curve}}, x, "a metric")
  axis = drawn.axes[0]
  assert axis.get_xlabel() == label and axis.get_ylabel() == "a metric"
  assert axis.lines[0].get_xdata()[-1] == shown


def test_an_axis_that_is_none():
  with pytest.raises(ValueError, match="'updates': one of 'environment_steps'"):
    plots.learning_curve(x="updates")
