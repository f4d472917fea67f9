"""Whose folder it is, and what may go on in it."""

import pathlib

import pytest

from neurorl.runs import directory
from neurorl.runs.directory import Identity

RUN = Identity({"lstm.hidden_size": "128", "train.seed": "0"}, 1000)


def opened(path, identity=RUN, **settings):
  return directory.open_(str(path), "name", identity, **settings)


@pytest.fixture(name="unfinished")
def _unfinished(tmp_path):
  path = tmp_path / "run"
  opened(path).lock.close()
  (path / "config.gin").write_text("")
  (path / "metrics.csv").write_text("rows")
  (path / "checkpoints" / "00000000000000").mkdir(parents=True)
  return path


def test_a_new_folder_and_an_empty_one_begin_anew(tmp_path):
  (tmp_path / "empty").mkdir()
  for path in (tmp_path / "a" / "b", tmp_path / "empty"):
    found = opened(path)
    assert found.beginning == "anew" and found.path == path
    found.lock.close()


def test_the_same_run_is_gone_on_with(unfinished):
  found = opened(unfinished)
  assert found.beginning == "resume"
  assert (unfinished / "metrics.csv").read_text() == "rows"
  found.lock.close()


def test_two_processes_do_not_share_a_folder(unfinished):
  first = opened(unfinished)
  with pytest.raises(ValueError, match="is being written by process "):
    opened(unfinished)
  first.lock.close()
  opened(unfinished).lock.close()


def test_another_configuration_is_refused_with_the_difference(unfinished):
  other = RUN._replace(settings={"lstm.hidden_size": "64", "new.one": "1"})
  with pytest.raises(ValueError) as found:
    opened(unfinished, other)
  message = str(found.value)
  for line in [
    "- lstm.hidden_size = 128",
    "+ lstm.hidden_size = 64",
    "- train.seed = 0",
    "+ new.one = 1",
    "--resume=params_only",
  ]:
    assert line in message


def test_a_run_may_be_made_longer_and_not_shorter(unfinished):
  opened(unfinished, RUN._replace(total_steps=2000)).lock.close()
  with pytest.raises(ValueError, match=r"- train\.total_steps = 2_000"):
    opened(unfinished, RUN._replace(total_steps=1500))


def test_a_finished_run_is_refused_unless_made_longer(unfinished):
  (unfinished / "summary.json").write_text("{}")
  with pytest.raises(ValueError, match="this very run, finished"):
    opened(unfinished)
  found = opened(unfinished, RUN._replace(total_steps=2000))
  assert found.beginning == "resume"
  assert not (unfinished / "summary.json").exists()
  found.lock.close()


def test_never(unfinished):
  with pytest.raises(ValueError, match="--resume=never"):
    opened(unfinished, resume="never")


def test_weights_alone(unfinished):
  found = opened(unfinished, resume="params_only")
  assert found.beginning == "params_only"
  assert (unfinished / "before-0" / "checkpoints").is_dir()
  assert not (unfinished / "metrics.csv").exists()
  found.lock.close()
  # Killed before it kept anything: its weights are where they were set aside.
  aside = unfinished / "before-0" / "checkpoints"
  assert directory.weights_of(str(unfinished)) == aside
  for resume in ("auto", "params_only"):
    again = opened(unfinished, resume=resume)
    assert again.beginning == "params_only"
    assert directory.weights_of(str(unfinished)) == aside
    again.lock.close()
  # A queue repeats the command that began the run: it goes on.
  # Killed while it wrote the first: a folder that holds none is none.
  (unfinished / "checkpoints" / ".00000000000000.partial").mkdir(parents=True)
  assert directory.weights_of(str(unfinished)) == aside
  again = opened(unfinished, resume="params_only")
  assert again.beginning == "params_only"
  again.lock.close()
  (unfinished / "checkpoints" / "00000000000000").mkdir(
    exist_ok=True, parents=True
  )
  assert directory.weights_of(str(unfinished)) == unfinished / "checkpoints"
  again = opened(unfinished, resume="params_only")
  assert again.beginning == "resume"
  again.lock.close()
  other = RUN._replace(settings={"train.seed": "1"})
  again = opened(unfinished, other, resume="params_only")
  assert again.beginning == "params_only"
  assert (unfinished / "before-4" / "checkpoints").exists()
  again.lock.close()


def test_overwriting(unfinished):
  found = opened(unfinished, RUN._replace(settings={}), overwrite=True)
  assert found.beginning == "anew"
  assert not (unfinished / "metrics.csv").exists()
  found.lock.close()


def test_what_is_no_run_is_never_touched(tmp_path):
  (tmp_path / "thesis.tex").write_text("years of work")
  for settings in ({}, {"overwrite": True}, {"resume": "params_only"}):
    with pytest.raises(ValueError, match=r"'thesis\.tex', and no run"):
      opened(tmp_path, **settings)


def test_settings_that_cannot_be_read(unfinished):
  (unfinished / "run.json").write_text("{")
  with pytest.raises(ValueError, match="cannot be read"):
    opened(unfinished)


def test_a_run_that_was_killed_as_it_began_is_gone_on_with(tmp_path):
  path = tmp_path / "run"
  opened(path).lock.close()  # config.gin is written later
  found = opened(path)
  assert found.beginning == "resume"
  found.lock.close()


def test_another_programs_file_of_that_name_is_no_run(tmp_path):
  (tmp_path / "run.json").write_text('{"editor": 2}')
  (tmp_path / "thesis.tex").write_text("years of work")
  with pytest.raises(ValueError, match="and no run"):
    opened(tmp_path, overwrite=True)


def test_a_fresh_name_each_time(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  paths = {directory.open_(None, "name", RUN).path for _ in range(3)}
  assert len(paths) == 3


def test_no_folder_is_taken_by_an_empty_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "precious").write_text("")
  for overwrite in (False, True):
    with pytest.raises(ValueError, match="--run_dir is empty"):
      directory.open_("", "name", RUN, overwrite=overwrite)
  assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_run_is_one_until_all_of_it_is_gone(unfinished, monkeypatch):
  """What a kill leaves of `--overwrite` is a run, or an empty folder."""
  (unfinished / "zebra").write_text("")
  removed = []
  monkeypatch.setattr(pathlib.Path, "unlink", lambda p: removed.append(p.name))
  opened(unfinished, overwrite=True).lock.close()
  assert removed[-1] == "run.json"


def test_what_a_full_disk_leaves_is_no_run(tmp_path, monkeypatch):
  (tmp_path / ".run.json.partial").write_text("{")
  assert directory.inspect(str(tmp_path), RUN, "auto", False) == "anew"


def test_a_run_in_a_folder_that_cannot_be_written(unfinished):
  (unfinished / ".lock").unlink(missing_ok=True)
  (unfinished / ".lock").mkdir()
  with pytest.raises(ValueError, match="cannot write to --run_dir"):
    directory.inspect(str(unfinished), RUN, "auto", False)
