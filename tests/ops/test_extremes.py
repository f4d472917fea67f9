import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import extremes

X = jax.random.normal(jax.random.key(0), (3, 4, 5))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_equal_numpys(axis, keepdims):
  for ours, theirs in [(extremes.least, np.min), (extremes.greatest, np.max)]:
    expected = theirs(np.asarray(X), axis, keepdims=keepdims)
    np.testing.assert_array_equal(ours(X, axis, keepdims), expected)


def test_the_gradient_goes_to_one_entry():
  x = jnp.array([[1.0, 3.0, 3.0], [2.0, 0.0, 0.0]])
  weights = jnp.array([5.0, 7.0])
  found = jax.grad(lambda x: weights @ extremes.greatest(x, -1))(x)
  np.testing.assert_array_equal(found, [[0, 5, 0], [7, 0, 0]])
  found = jax.grad(lambda x: weights @ extremes.least(x, -1))(x)
  np.testing.assert_array_equal(found, [[5, 0, 0], [0, 7, 0]])
