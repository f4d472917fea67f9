"""A run that was ended anywhere goes on as if it had not been."""

import csv
import dataclasses
import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import loading, loggers, losses, training
from neurorl.logging_types import Logger
from neurorl.loss_types import TermOutput
from neurorl.runs import keeping, state_files
from neurorl.training import chunks, debugging, host, origins, rows
from tests import small

SETTINGS = keeping.checkpoints(every_minutes=None, every_steps=150, keep=2)


class Killed(BaseException):
  """Nothing catches it, and nothing is saved on its way."""


def _experiment(file, folder_loggers=(), **changes):
  # A chunk per iteration or two: many places to be ended at.
  experiment = small.load(
    file, "train.steps_per_chunk = 80", "evaluator.every_steps = 300"
  ).call()
  changes = {"checkpoints": SETTINGS, **changes}
  recipes = [loggers.metrics_file(), *folder_loggers]
  return dataclasses.replace(experiment, loggers=recipes, **changes)


def _kills_after(chunks_told):
  """A logger that ends the process, as it were, after some chunks."""

  def build(info):
    left = [chunks_told]

    def write(rows):
      left[0] -= 1
      if left[0] < 0:
        raise Killed

    return Logger(write, finish=lambda summary: None)

  return build


def _result(folder):
  newest = max((folder / "checkpoints").glob("[0-9]*"))
  digest = json.loads((newest / "manifest.json").read_text())["digest"]
  with (folder / "metrics.csv").open() as file:
    found = list(csv.DictReader(file))
  timing = {"seconds", "steps_per_second"}
  return digest, [
    {k: v for k, v in row.items() if k not in timing} for row in found
  ]


def _run(experiment, folder, beginning="anew"):
  folder.mkdir(exist_ok=True)
  program = training.build(experiment)
  return host.run(
    experiment, program, folder, origins.Start(beginning == "resume")
  )


@pytest.mark.parametrize(
  "file, least",
  # Searches are slow to build: they are killed less often.
  [("qlearning.gin", 1), ("ppo.gin", 1), ("alphazero.gin", 6)],
)
def test_kills_change_nothing(file, least, tmp_path):
  _run(_experiment(file), tmp_path / "alone")
  rng = random.Random(file)
  for turn in range(20):
    experiment = _experiment(file, [_kills_after(rng.randrange(least, 9))])
    beginning = "resume" if turn else "anew"
    try:
      _run(experiment, tmp_path / "killed", beginning)
      break
    except Killed:
      pass
  assert turn > 1
  alone, killed = map(_result, (tmp_path / "alone", tmp_path / "killed"))
  assert alone == killed


def test_seeds_are_gone_on_with_together(tmp_path):
  _run(_experiment("ppo.gin", num_seeds=2), tmp_path / "alone")
  killing = _experiment("ppo.gin", [_kills_after(5)], num_seeds=2)
  with pytest.raises(Killed):
    _run(killing, tmp_path / "killed")
  _run(_experiment("ppo.gin", num_seeds=2), tmp_path / "killed", "resume")
  assert _result(tmp_path / "alone") == _result(tmp_path / "killed")


@pytest.fixture(name="half", scope="module")
def _half(tmp_path_factory):
  """A run of DQN that was killed, and its whole sibling."""
  folder = tmp_path_factory.mktemp("half")
  with pytest.raises(Killed):
    _run(_experiment("dqn.gin", [_kills_after(9)]), folder / "run")
  return folder


def _copy(half, tmp_path):
  return shutil.copytree(half / "run", tmp_path / "run")


def test_damaged_checkpoints_are_named_and_the_run_is_the_same(
  half, tmp_path, capsys
):
  run = _copy(half, tmp_path)
  before, newest = sorted((run / "checkpoints").glob("[0-9]*"))
  shutil.rmtree(newest / "arrays")
  _run(_experiment("dqn.gin"), run, "resume")
  told = capsys.readouterr().err
  assert f"skipped a damaged checkpoint: {newest}" in told
  assert f"resumed at {int(before.name):,} steps" in told
  _run(_experiment("dqn.gin"), tmp_path / "alone")
  assert _result(run) == _result(tmp_path / "alone")


def test_where_every_checkpoint_is_damaged_nothing_is_overwritten(
  half, tmp_path
):
  run = _copy(half, tmp_path)
  before = (run / "metrics.csv").read_text()
  for folder in (run / "checkpoints").glob("[0-9]*"):
    (folder / "manifest.json").unlink()
  with pytest.raises(state_files.DamagedError, match="no checkpoint in"):
    _run(_experiment("dqn.gin"), run, "resume")
  assert (run / "metrics.csv").read_text() == before


def test_without_any_checkpoint_the_run_begins_anew(half, tmp_path, capsys):
  run = _copy(half, tmp_path)
  shutil.rmtree(run / "checkpoints")
  _run(_experiment("dqn.gin"), run, "resume")
  assert "begins anew" in capsys.readouterr().err
  _run(_experiment("dqn.gin"), tmp_path / "alone")
  assert _result(run) == _result(tmp_path / "alone")


def test_another_programs_checkpoint_is_refused_naming_leaves(half, tmp_path):
  run = _copy(half, tmp_path)
  with pytest.raises(ValueError, match=r"mlp.*float32\[.*\], not"):
    experiment = small.load("dqn.gin", "mlp.hidden_sizes = (8,)").call()
    _run(dataclasses.replace(experiment, loggers=[]), run, "resume")


def test_without_replay_the_buffer_is_filled_again(tmp_path, capsys):
  light = dataclasses.replace(SETTINGS, replay=False)
  with pytest.raises(Killed):
    killing = _experiment("dqn.gin", [_kills_after(9)], checkpoints=light)
    _run(killing, tmp_path / "run")
  _run(_experiment("dqn.gin", checkpoints=light), tmp_path / "run", "resume")
  assert "without replay, which is filled again" in capsys.readouterr().err
  _, found = _result(tmp_path / "run")
  updates = [int(row["updates"]) for row in found]
  # Nothing is learned of an empty buffer.
  assert len(set(updates)) < len(updates) - 2
  assert int(found[-1]["budget_steps"]) == 1_200


@pytest.fixture(name="states")
def _states(monkeypatch):
  """What every chunk begins with: (iterations so far, learning)."""
  found, run = [], chunks.Chunks.run

  def watch(self, *arguments):
    learning = jax.tree.map(np.array, self.state.learning)
    found.append((self.counters.iterations, learning))
    return run(self, *arguments)

  monkeypatch.setattr(chunks.Chunks, "run", watch)
  return found


def _assert_equal(x, y):
  jax.tree.map(np.testing.assert_array_equal, x, y)


def test_weights_alone_begin_a_run_of_their_own(half, tmp_path, states):
  checkpoints = half / "run" / "checkpoints"
  experiment = _experiment("dqn.gin")
  program = training.build(experiment)
  weights = loading.weights(checkpoints, experiment, program)
  host.run(experiment, program, tmp_path, origins.Start(weights=weights))
  iterations, first = states[0]
  assert iterations == 0 and first.updates[0] == 0
  fresh = program.init(jax.random.split(jax.random.key(0))[0]).learning
  with pytest.raises(AssertionError):
    _assert_equal(first.target_params, fresh.target_params)
  _assert_equal(first.params, weights)
  _assert_equal(first.target_params, weights["agent"])
  rows_of_it = _result(tmp_path)[1]
  assert int(rows_of_it[-1]["budget_steps"]) == 1_200


def _goes_bad(inputs):
  """A loss term that is well for the first three fifths of a run."""
  q = inputs.online["q"]["mean"][: len(inputs.mask), :, 0]
  loss = jnp.where(inputs.progress.fraction > 0.6, jnp.nan, 1.0) * q
  return TermOutput(loss, loss, {})


@pytest.mark.parametrize("every_steps", [150, None])
def test_a_crash_keeps_the_state_of_before(every_steps, tmp_path, states):
  experiment = _experiment(
    "dqn.gin",
    loss=losses.losses({"bad": _goes_bad}),
    checkpoints=dataclasses.replace(SETTINGS, every_steps=every_steps),
  )
  with pytest.raises(rows.TrainingError, match=r"loss/bad is nan.*crash; the"):
    _run(experiment, tmp_path / "run")
  crash = tmp_path / "run" / "crash"
  program = training.build(experiment)
  shapes = chunks.Chunks(experiment, program).shapes
  found, about = state_files.load(crash, shapes)
  done = about["counters"]["iterations"]
  # The first bad iteration is the 20th of 30, the 19th ended a chunk.
  assert done in (18, 19)
  before = next(learning for at, learning in states if at == done)
  _assert_equal(jax.tree.map(np.asarray, found.learning), before)
  with pytest.raises((rows.TrainingError, FloatingPointError), match="nan"):
    debugging.replay(experiment, program, crash)
