import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import packing

PARAMS = {
  "a": {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.float32(-1.0)},
  "large": jnp.linspace(-1.0, 1.0, 2**14 + 1),
  "steps": jnp.arange(4),
  "z": jnp.linspace(-2.0, 2.0, 5),
}


def test_unpack_undoes_pack_and_small_arrays_of_a_dtype_are_one():
  packed = packing.pack(PARAMS)
  assert packed["small"]["float32"].shape == (12,)
  assert packed["small"]["int32"].shape == (4,)
  assert len(packed["large"]) == 1
  jax.tree.map(
    np.testing.assert_array_equal, packing.unpack(packed, PARAMS), PARAMS
  )


def test_pack_takes_a_tree_of_nothing():
  assert packing.unpack(packing.pack({}), {}) == {}


STEP = {
  "bool": np.array([True, False, True]),
  "bytes": np.arange(4, dtype=np.uint8),
  "complex": np.complex64(1 - 2j),
  "float": np.float32(-0.0),
  "four_bits": np.arange(3, dtype=jnp.int4),
  "half": np.arange(3, dtype=jnp.bfloat16),
  "int": np.array([[-1, 2], [3, -4]], np.int32),
  "large": np.arange(100, dtype=np.float32),
  "nan": np.array([np.nan, np.inf], np.float32),
  "nothing": np.zeros((0, 2), np.float32),
}


@pytest.mark.parametrize("batch", [(), (5,), (5, 3)])
def test_unpack_undoes_pack_bit_for_bit_in_a_batch(batch):
  like = jax.eval_shape(lambda: STEP)
  tree = {k: np.broadcast_to(x, batch + x.shape) for k, x in STEP.items()}
  packed = packing.pack(jax.tree.map(jnp.asarray, tree), 64, len(batch))
  assert packed["small"]["float32"].shape == (*batch, 3)
  assert packed["small"]["bool"].shape == (*batch, 3)
  assert [x.shape for x in packed["large"]] == [(*batch, 100)]
  found = packing.unpack(packed, like, 64)
  for name, x in tree.items():
    assert found[name].dtype == x.dtype, name
    assert found[name].shape == x.shape, name
    assert np.asarray(found[name]).tobytes() == x.tobytes(), name


def test_random_keys_are_packed_like_numbers():
  keys = jax.random.split(jax.random.key(1), (3, 2))
  packed = packing.pack({"a": keys, "b": keys[:, 0]}, 64, 1)
  like = jax.eval_shape(lambda: {"a": keys[0], "b": keys[0, 0]})
  found = packing.unpack(packed, like, 64)
  assert (found["a"] == keys).all()
  assert (found["b"] == keys[:, 0]).all()
