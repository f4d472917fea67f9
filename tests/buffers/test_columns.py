import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers.columns import Columns

TREE = {
  "bool": np.array([True, False, True]),
  "bytes": np.arange(4, dtype=np.uint8),
  "float": np.float32(-0.0),
  "half": np.arange(3, dtype=jnp.bfloat16),
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
  assert found == {"uint8": (7,), "uint16": (3,), "uint32": (7,)}
  assert [x.shape for x in joined["large"]] == [(100,), (0, 2)]


def test_a_tree_of_nothing():
  columns = Columns({})
  assert columns.part(columns.join({})) == {}
