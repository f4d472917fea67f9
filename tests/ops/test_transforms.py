import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import transforms


def test_golden_signed_hyperbolic():
  transform = transforms.signed_hyperbolic(epsilon=0.01)
  # sqrt(8 + 1) - 1 + .08, and odd about 0
  np.testing.assert_allclose(
    transform.apply(jnp.array([8.0, -8.0, 0.0, 99.0])),
    [2.08, -2.08, 0.0, 9.99],
    rtol=1e-6,
  )


@pytest.mark.parametrize("epsilon", [1e-3, 1e-2, 0.1])
def test_invert_undoes_apply(epsilon):
  transform = transforms.signed_hyperbolic(epsilon)
  x = jnp.array([-300.0, -1.5, -0.1, 0.0, 0.2, 3.0, 1000.0])
  np.testing.assert_allclose(
    transform.invert(transform.apply(x)), x, rtol=1e-3, atol=1e-4
  )
  y = x / 10.0
  np.testing.assert_allclose(
    transform.apply(transform.invert(y)), y, rtol=1e-3, atol=1e-4
  )


@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_epsilon_must_be_positive(epsilon):
  with pytest.raises(ValueError, match="epsilon must be above 0, got"):
    transforms.signed_hyperbolic(epsilon)


def test_identity():
  x = jnp.array([-2.0, 0.0, 5.0])
  np.testing.assert_array_equal(transforms.IDENTITY.apply(x), x)
  np.testing.assert_array_equal(transforms.IDENTITY.invert(x), x)
