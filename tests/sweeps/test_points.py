"""Sweep files, and the points that come of them."""

import itertools
import math
import pathlib

import pytest
import yaml

from neurorl import gin_files
from neurorl.sweeps import optuna_search, points, sweep_file

GRID = {
  "method": "grid",
  "program": "x.py",
  "parameters": {
    "gin.A": {"values": [1, 2]},
    "gin.B": {"value": "c"},
    "gin.SEED": {"values": [0, 1, 2]},
  },
}


def _read(tmp_path, described):
  path = tmp_path / "sweep.yaml"
  path.write_text(yaml.safe_dump(described))
  return sweep_file.read(str(path))[0]


def test_a_grid_has_every_combination(tmp_path):
  found = points.grid(_read(tmp_path, GRID))
  assert [tuple(point.values()) for point in found] == [
    *[(1, "c", 0), (1, "c", 1), (1, "c", 2)],
    *[(2, "c", 0), (2, "c", 1), (2, "c", 2)],
  ]


def test_consecutive_seeds_can_be_one_run(tmp_path):
  grid = points.grid(_read(tmp_path, GRID))
  batched = points.with_seeds_batched(grid)
  assert [(p["gin.A"], p["gin.SEED"], p["gin.NUM_SEEDS"]) for p in batched] == [
    (1, 0, 3),
    (2, 0, 3),
  ]
  gap = {**GRID["parameters"], "gin.SEED": {"values": [0, 2]}}
  grid = points.grid(_read(tmp_path, {**GRID, "parameters": gap}))
  assert points.with_seeds_batched(grid) == grid


def test_a_command_is_that_of_an_agent(tmp_path, monkeypatch):
  monkeypatch.setenv("PLACE", "here")
  command = ["${env}", "python", "${program}", "--at=${envvar:PLACE}"]
  sweep = _read(tmp_path, {**GRID, "command": [*command, "${args}"]})
  words = sweep.words({"gin.A": 1e-5, "gin.B": True})
  assert words[1:] == ["x.py", "--at=here", "--gin.A=1e-05", "--gin.B=True"]


DRAWN = {
  "a": {"min": 2, "max": 4},
  "b": {"min": 0.5, "max": 4},
  "c": {"distribution": "log_uniform_values", "min": "1e-5", "max": 1e-1},
  "d": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25},
  "e": {"values": ["x", "y"], "probabilities": [1.0, 0.0]},
  "f": {"distribution": "normal", "mu": 5, "sigma": 0},
  "g": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
  "h": {"distribution": "log_normal", "mu": 0, "sigma": 0},
}


def test_draws_are_of_their_distributions(tmp_path):
  sweep = _read(tmp_path, {**GRID, "method": "random", "parameters": DRAWN})
  drawn = list(itertools.islice(points.random(sweep, 0), 400))
  of = {name: [point[name] for point in drawn] for name in DRAWN}
  assert set(of["a"]) == {2, 3, 4}
  assert 0.5 <= min(of["b"]) < 0.6 and 3.9 < max(of["b"]) <= 4
  logs = [math.log10(x) for x in of["c"]]
  assert min(logs) >= -5 and max(logs) <= -1
  assert sum(logs) / 400 == pytest.approx(-3, abs=0.2)
  assert set(of["d"]) == {0, 0.25, 0.5, 0.75, 1}
  assert set(of["e"]) == {"x"} and set(of["f"]) == {5.0}
  assert set(of["g"]) <= {8, 16, 24, 32, 40, 48, 56, 64} and set(of["h"]) == {1}
  assert all(type(x) in (int, float, str) for x in drawn[0].values())


def test_a_longer_sweep_begins_as_a_shorter(tmp_path):
  sweep = _read(tmp_path, {**GRID, "method": "random", "parameters": DRAWN})
  first = list(itertools.islice(points.random(sweep, 3), 2))
  assert list(itertools.islice(points.random(sweep, 3), 5))[:2] == first
  assert next(points.random(sweep, 4)) != first[0]


def _with(**changed):
  return {**GRID, **changed}


@pytest.mark.parametrize(
  "described, message",
  [
    (_with(method="gird"), r"method must be one of .*, got 'gird'; did you"),
    (_with(parameters={}), "at least one parameter"),
    (_with(parameters={"a": 3}), r"parameters\.a must be a mapping"),
    (_with(parameters={"a": {"vals": [1]}}), "unknown key 'vals'.*'values'"),
    (_with(parameters={"a": {"values": []}}), "not empty"),
    (_with(parameters={"a": {"min": 1, "max": 2}}), "a grid needs values"),
    (_with(parameters={"a": {"min": 1}}), "uniform needs max"),
    (_with(parameters={"a": {"min": "x", "max": 2}}), "must be a number"),
    (_with(parameters={"a": {"min": 3, "max": 2}}), "do not fit"),
    (
      _with(parameters={"a": {"values": [1, 2], "probabilities": [1, 1]}}),
      "2 numbers that sum to 1",
    ),
    (_with(command=["python", "x.py"]), r"\$\{args\}"),
    (_with(metric={"name": "x", "goal": "max"}), "goal must be one of"),
    (_with(run_cap=0), "run_cap must be a positive number, got 0"),
    (_with(paramters={}), "unknown key 'paramters'; did you mean 'parameters'"),
    ([1], "must be a mapping"),
    (_with(command=None), "command must be a list of words, got None"),
    (_with(metric={"gaol": "minimize"}), "metric: unknown key 'gaol'.*'goal'"),
    ({**_with(), 1: 2}, "unknown key '1'"),
    (_with(parameters={"a": {1: 2}}), r"parameters\.a: unknown key '1'"),
    (
      _with(parameters={"a": {"values": [1, 2], "probabilities": 3}}),
      "2 numbers that sum to 1",
    ),
  ],
)
def test_a_mistake_is_named(tmp_path, described, message):
  with pytest.raises(ValueError, match=rf"sweep\.yaml.*{message}"):
    _read(tmp_path, described)


@pytest.mark.parametrize(
  "text, message", [(None, "cannot read sweep file"), ("a: [", "is not YAML")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, message):
  path = tmp_path / "sweep.yaml"
  if text:
    path.write_text(text)
  with pytest.raises(ValueError, match=message):
    sweep_file.read(str(path))


def test_optuna_learns_and_goes_on(tmp_path):
  pytest.importorskip("optuna")
  parameters = {
    "x": {"min": -2.0, "max": 2.0},
    "y": {"values": ["far", "near"]},
  }
  sweep = _read(tmp_path, {**GRID, "method": "bayes", "parameters": parameters})

  def score(point):
    return -((point["x"] - 1.0) ** 2) - 3.0 * (point["y"] == "far")

  search = optuna_search.Search(sweep, 0, [])
  known = []
  for i in range(30):
    known.append(search.ask())
    search.tell(i, score(known[i]))
  assert max(map(score, known[15:])) > -0.1
  again = optuna_search.Search(sweep, 0, known[:20])
  for i in range(20):
    assert again.ask() == known[i]
    again.tell(i, score(known[i]))
  late = [again.ask() for _ in range(5)]
  assert sum(point["y"] == "near" for point in late) > 2


def test_a_distribution_that_optuna_lacks_is_named(tmp_path):
  pytest.importorskip("optuna")
  parameters = {"x": {"distribution": "normal"}}
  sweep = _read(tmp_path, {**GRID, "method": "bayes", "parameters": parameters})
  with pytest.raises(ValueError, match="no distribution normal"):
    optuna_search.Search(sweep, 0, [])


SHIPPED = sorted((gin_files.gin_configs() / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_sweeps_name_bindings_that_are_read(path):
  from neurorl import config

  sweep, notes = sweep_file.read(str(path))
  assert not notes and sweep.program == "binaries/train.py"
  drawn = points.grid if sweep.method == "grid" else points.random
  point = next(iter(drawn(sweep, *([] if sweep.method == "grid" else [0]))))
  words = [w for w in sweep.words(point) if w.startswith("--gin")]
  files = [w.partition("=")[2] for w in words if w.startswith("--gin_file=")]
  bound = [w.removeprefix("--gin.") for w in words if w.startswith("--gin.")]
  known = [p.name for p in pathlib.Path(gin_files.gin_configs()).iterdir()]
  assert set(files) <= set(known)
  assert config.load(files, [b.replace("=", " = ", 1) for b in bound])
