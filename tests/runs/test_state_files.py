"""A tree on disk comes back bit for bit, or is named as damaged."""

import json
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.runs import state_files


class Pair(NamedTuple):
  a: object
  b: object


def tree():
  return Pair(
    {
      "layer/w": jnp.arange(60_000.0).reshape(300, 200),
      "half": jnp.ones(3, jnp.bfloat16),
      "complex": jnp.ones((2, 2), jnp.complex64) * 1j,
      "flags": jnp.array([True, False]),
    },
    (jnp.int32(-7), jax.random.split(jax.random.key(3), 4), (), jnp.zeros(0)),
  )


@pytest.fixture(name="saved", scope="module")
def _saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp("states") / "000100"
  state_files.save(folder, state_files.fetch(tree()), {"steps": 100})
  return folder


@pytest.fixture(name="copy")
def _copy(saved, tmp_path):
  import shutil

  return pathlib.Path(shutil.copytree(saved, tmp_path / "copy"))


def _same(x, y):
  if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    x, y = jax.random.key_data(x), jax.random.key_data(y)
  assert x.dtype == y.dtype
  np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_what_is_read_is_what_was_written(saved):
  found, about = state_files.load(saved, jax.eval_shape(tree))
  assert jax.tree.structure(found) == jax.tree.structure(tree())
  jax.tree.map(_same, found, tree())
  assert about == {"steps": 100}
  assert not list(saved.parent.glob(".*"))  # nothing half-written beside it


def _files(folder):
  return sorted(p for p in folder.rglob("*") if p.is_file())


def test_any_damage_to_data_is_named(copy):
  """Of the largest file, which holds the arrays."""
  path = max(_files(copy), key=lambda p: p.stat().st_size)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)
  with pytest.raises(state_files.DamagedError, match="copy"):
    state_files.load(copy, jax.eval_shape(tree))


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_every_file_counts(copy, damage):
  from shutil import copytree, rmtree

  whole = copytree(copy, copy.with_name("whole"))
  needed = 0
  for path in _files(copy):
    name = path.relative_to(copy)
    if damage == "remove":
      path.unlink()
    else:
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
      found, _ = state_files.load(copy, jax.eval_shape(tree))
    except state_files.DamagedError:
      needed += 1
    else:  # orbax can do without it, and nothing is lost
      jax.tree.map(_same, found, tree())
      assert name.name != "manifest.json"
    rmtree(copy)
    copytree(whole, copy)
  assert needed >= 3


def test_an_empty_folder_is_damaged(tmp_path):
  with pytest.raises(state_files.DamagedError, match="no manifest"):
    state_files.load(tmp_path, jax.eval_shape(tree))


def test_a_manifest_that_was_edited_is_damaged(copy):
  path = copy / "manifest.json"
  manifest = json.loads(path.read_text())
  manifest["leaves"][0]["sha256"] = "0" * 64
  path.write_text(json.dumps(manifest))
  with pytest.raises(state_files.DamagedError, match="not what was written"):
    state_files.load(copy, jax.eval_shape(tree))


def test_another_programs_state_is_refused_by_leaf(saved):
  other = jax.eval_shape(tree)
  other.a["layer/w"] = jax.ShapeDtypeStruct((300, 100), jnp.float32)
  del other.a["half"]
  with pytest.raises(state_files.MismatchError) as found:
    state_files.load(saved, other)
  message = str(found.value)
  assert "a/layer/w: float32[300, 200], not float32[300, 100]" in message
  assert "a/half: bfloat16[3], not expected" in message


def test_a_part_is_read_by_its_path(saved):
  like = {"layer/w": jax.ShapeDtypeStruct((300, 200), jnp.float32)}
  whole = jax.eval_shape(tree).a
  found, _ = state_files.load(saved, whole, "a")
  jax.tree.map(_same, found, tree().a)
  with pytest.raises(
    state_files.MismatchError, match=r"a/complex.*not expected"
  ):
    state_files.load(saved, like, "a")


def test_leaves_are_found_by_path_not_by_order(saved):
  class Turned(NamedTuple):
    b: object
    a: object

  like = jax.eval_shape(tree)
  found, _ = state_files.load(saved, Turned(like.b, like.a))
  jax.tree.map(_same, found.a, tree().a)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError):
    state_files.save(tmp_path / "file" / "x", state_files.fetch(tree()), {})
  assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
