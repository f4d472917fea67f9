import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import outputs, trees


def test_where_selects_rows_of_leaves_of_any_rank():
  condition = jnp.array([True, False, True])
  x = {"a": jnp.arange(3), "b": (jnp.ones((3, 2, 2)),)}
  y = {"a": -jnp.arange(3) - 1, "b": (jnp.zeros((3, 2, 2)),)}
  result = trees.where(condition, x, y)
  np.testing.assert_array_equal(result["a"], [0, -2, 2])
  np.testing.assert_array_equal(result["b"][0].sum((1, 2)), [4, 0, 4])


def test_where_takes_a_scalar_condition_and_an_empty_tree():
  result = trees.where(jnp.bool_(False), jnp.ones(2), jnp.zeros(2))
  np.testing.assert_array_equal(result, [0, 0])
  assert trees.where(jnp.array([True]), (), ()) == ()


def test_size_in_bytes_adds_arrays_and_shapes():
  tree = {
    "float": jax.ShapeDtypeStruct((3, 5), jnp.float32),
    "byte": np.zeros((7,), np.uint8),
    "bool": jnp.zeros((2, 2), bool),
  }
  assert trees.size_in_bytes(tree) == 60 + 7 + 4
  assert trees.size_in_bytes(()) == 0


def test_masked_mean_reads_only_what_the_mask_lets_through():
  values = jnp.array([[1.0, jnp.nan], [jnp.inf, 5.0], [-jnp.inf, 6.0]])
  mask = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
  assert float(trees.masked_mean(values, mask)) == 4.0


def test_masked_mean_of_nothing_is_zero():
  assert float(trees.masked_mean(jnp.full((2,), jnp.nan), jnp.zeros(2))) == 0.0


def test_read_finds_a_prediction_or_names_what_there_is():
  predicted = {"q": {"mean": 1.0, "logits": 2.0}, "embedding": 3.0}
  assert outputs.read(predicted, "q", "me") == 1.0
  assert outputs.read(predicted, "q", "me", "logits") == 2.0
  with pytest.raises(ValueError, match=r"me reads head 'v', .* has q;"):
    outputs.read(predicted, "v", "me")
  with pytest.raises(ValueError, match="predicts logits, mean"):
    outputs.read(predicted, "q", "me", "taus")
  with pytest.raises(ValueError, match="me reads head 'embedding'"):
    outputs.read(predicted, "embedding", "me")


def test_means_in_one_pass_are_the_means_of_each():
  mask = jnp.array([[1.0, 0.0], [1.0, 1.0]])
  values = {
    "a": jnp.array([[1.0, jnp.nan], [2.0, 6.0]]),
    "b": jnp.array([[True, True], [False, False]]),
  }
  found = trees.masked_means(values, mask)
  assert list(found) == ["a", "b"]
  np.testing.assert_allclose(found["a"], 3.0)
  np.testing.assert_allclose(found["b"], 1 / 3, rtol=1e-6)
  assert trees.masked_means(values, 0.0 * mask)["a"] == 0.0
  assert trees.masked_means({}, mask) == {}
