import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers.columns import Columns

TREE = {
  "bool": np.array([True, False, True]),
  "byte": np.int8(-7),
  "bytes": np.arange(4, dtype=np.uint8),
  "complex": np.complex64(1 - 2j),
  "float": np.float32(-0.0),
  "four_bits": np.arange(3, dtype=jnp.int4),
  "half": np.arange(3, dtype=jnp.bfloat16),
  "halves": np.array([65504.0, np.nan], np.float16),
  "int": np.array([[-1, 2], [3, -4]], np.int32),
  "large": np.arange(100, dtype=np.float32),
  "nan": np.array([np.nan, np.inf], np.float32),
  "nothing": np.zeros((0, 2), np.float32),
}


@pytest.mark.parametrize("lead", [(), (5,), (5, 3)])
def test_part_undoes_join_bit_for_bit(lead):
  columns = Columns(jax.eval_shape(lambda: TREE))
  tree = jax.tree.map(lambda x: np.broadcast_to(x, lead + x.shape), TREE)
  found = columns.part(columns.join(jax.tree.map(jnp.asarray, tree)))
  for name, x in tree.items():
    assert found[name].dtype == x.dtype, name
    assert found[name].shape == x.shape, name
    assert np.asarray(found[name]).tobytes() == x.tobytes(), name


def test_small_arrays_of_a_width_are_one():
  joined = Columns(jax.eval_shape(lambda: TREE)).join(TREE)
  found = {name: x.shape for name, x in joined["small"].items()}
  assert found == {"uint8": (8,), "uint16": (5,), "uint32": (7,)}
  # In the order of their names: complex, four_bits, large, nothing.
  assert [x.shape for x in joined["large"]] == [(), (3,), (100,), (0, 2)]


def test_random_keys_are_kept_as_they_are():
  columns = Columns(jax.eval_shape(lambda: jax.random.key(0)))
  keys = jax.random.split(jax.random.key(1), 3)
  found = columns.part(columns.join(keys))
  assert (found == keys).all()


def test_a_tree_of_nothing():
  columns = Columns({})
  assert columns.part(columns.join({})) == {}
