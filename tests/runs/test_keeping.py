"""Which states are kept, and which one a run goes on from."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from neurorl.runs import keeping, state_files


class State(NamedTuple):
  params: object
  buffer: object


def state(x):
  return State(jnp.full(3, float(x)), jnp.full(2, float(x)))


LIKE = jax.eval_shape(lambda: state(0))


def without_replay(tree):
  return tree._replace(buffer=())


class Kept:
  """A keeper, and what it warned of."""

  def __init__(self, folder, **settings):
    self.folder, self.warnings = folder, []
    settings = keeping.checkpoints(**{"every_minutes": None, **settings})
    self.keeper = keeping.Keeper(
      settings, folder, without_replay, self.warnings.append
    )

  def save(self, *steps):
    for x in steps:
      self.keeper.save(state(x), x, {"at": x})
    self.keeper.wait()

  def names(self):
    return sorted(int(p.name) for p in self.folder.glob("[0-9]*"))

  def newest(self):
    return keeping.newest(
      self.folder, LIKE, without_replay, self.warnings.append
    )


def test_the_newest_are_kept(tmp_path):
  kept = Kept(tmp_path / "c", keep=2)
  kept.save(100, 200, 3000)
  assert kept.names() == [200, 3000]
  found, about = kept.newest()
  assert found.params[0] == found.buffer[0] == 3000
  assert about["at"] == 3000 and not kept.warnings


def test_a_damaged_one_is_named_and_the_one_before_is_taken(tmp_path):
  kept = Kept(tmp_path, keep=3)
  kept.save(1, 2, 3)
  newest = tmp_path / f"{3:014d}"
  (newest / "manifest.json").write_text("{}")
  assert kept.newest()[1]["at"] == 2
  (warning,) = kept.warnings
  assert "damaged" in warning and str(newest) in warning
  (tmp_path / f"{4:014d}").mkdir()  # empty
  assert kept.newest()[1]["at"] == 2


def test_where_none_is_whole_nothing_is_taken(tmp_path):
  kept = Kept(tmp_path)
  kept.save(1)
  (tmp_path / f"{1:014d}" / "manifest.json").unlink()
  with pytest.raises(
    state_files.DamagedError, match=r"no checkpoint in .* whole"
  ):
    kept.newest()


def test_what_is_newer_than_now_goes_when_something_is_written(tmp_path):
  Kept(tmp_path, keep=2).save(50, 60)
  again = Kept(tmp_path, keep=2)  # begun anew, or gone on with from 20
  again.save(10)
  assert again.names() == [10]
  again.save(20, 30)
  assert again.names() == [20, 30]


def test_nothing_is_written_twice(tmp_path, monkeypatch):
  kept = Kept(tmp_path)
  kept.keeper.resumed(7, {})
  written = []
  monkeypatch.setattr(state_files, "save", lambda *_: written.append(1))
  kept.save(7)
  assert not written
  kept.save(8, 8)
  assert len(written) == 1


def test_what_is_there_stays_until_the_new_is_whole(tmp_path, monkeypatch):
  folder = tmp_path / "x"
  leaves = state_files.fetch(state(1))
  state_files.save(folder, leaves, {"at": 1})

  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(state_files, "_write_arrays", full)
  with pytest.raises(OSError):
    state_files.save(folder, leaves, {"at": 2})
  assert state_files.load(folder, LIKE)[1] == {"at": 1}
  monkeypatch.undo()
  state_files.save(folder, leaves, {"at": 2})
  assert state_files.load(folder, LIKE)[1] == {"at": 2}
  assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_nothing_is_found_where_nothing_is(tmp_path):
  assert Kept(tmp_path / "nowhere").newest() is None


def test_cadence_by_steps(tmp_path):
  keeper = Kept(tmp_path, every_steps=100).keeper
  assert not keeper.due(99) and keeper.due(100) and keeper.due(250)
  keeper.save(state(0), 250, {})
  assert not keeper.due(250) and not keeper.due(299) and keeper.due(300)
  keeper.wait()


def test_cadence_by_the_clock(tmp_path, monkeypatch):
  now = [0.0]
  monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
  keeper = Kept(tmp_path, every_minutes=2.0).keeper
  assert not keeper.due(10)
  now[0] = 121.0
  assert keeper.due(10)
  keeper.save(state(0), 10, {})
  assert not keeper.due(20)
  keeper.wait()


def test_the_best_is_kept_beside_the_newest(tmp_path):
  kept = Kept(tmp_path, keep=1, keep_best=True)
  for steps, score in [(1, 0.5), (2, 0.9), (3, 0.7)]:
    kept.keeper.evaluated(state(steps), steps, {}, score)
    kept.save(steps)
  assert kept.names() == [3]
  (best,) = tmp_path.glob("best-*")
  found, about = keeping.read(best, LIKE, without_replay)
  assert found.params[0] == 2 and found.buffer == () and about["best"] == 0.9
  # A run that goes on knows what was best.
  again = Kept(tmp_path, keep=1, keep_best=True)
  again.keeper.resumed(3, kept.newest()[1])
  again.keeper.evaluated(state(4), 4, {}, 0.8)
  again.save(4)
  assert [p.name for p in tmp_path.glob("best-*")] == [best.name]


def test_what_is_worse_is_not_the_best_while_that_is_written(
  tmp_path, monkeypatch
):
  kept = Kept(tmp_path, keep_best=True)
  save = state_files.save

  def slowly(*arguments):
    time.sleep(0.2)
    save(*arguments)

  monkeypatch.setattr(state_files, "save", slowly)
  for steps, score in [(1, 0.9), (2, 0.5)]:
    kept.keeper.evaluated(state(steps), steps, {}, score)
  kept.keeper.wait()
  (best,) = tmp_path.glob("best-*")
  assert best.name.endswith("1")


def test_replay_may_be_left_out(tmp_path):
  kept = Kept(tmp_path, replay=False)
  kept.save(5)
  found, _ = kept.newest()
  assert found.buffer == () and found.params[0] == 5


def test_a_full_disk_is_told_and_loses_nothing(tmp_path, monkeypatch):
  kept = Kept(tmp_path, keep=1)
  kept.save(1)

  def full(*_):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(state_files, "save", full)
  kept.save(2)
  (warning,) = kept.warnings
  assert "No space left" in warning and kept.newest()[1]["at"] == 1
  monkeypatch.undo()
  kept.save(3)
  assert kept.names() == [3]


@pytest.mark.parametrize("name", ["every_minutes", "every_steps", "keep"])
def test_what_is_refused(name):
  with pytest.raises(ValueError, match=rf"checkpoints\.{name} must be above"):
    keeping.checkpoints(**{name: 0})
