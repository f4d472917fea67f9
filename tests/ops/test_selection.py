import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops.selection import select


@pytest.mark.parametrize("rest", [(), (5,), (5, 2)])
def test_select_is_indexing_and_so_is_its_gradient(rest):
  rng = np.random.default_rng(0)
  values = jnp.asarray(rng.normal(size=(3, 4, 6, *rest)), jnp.float32)
  action = jnp.asarray(rng.integers(6, size=(3, 4)))
  weights = jnp.asarray(rng.normal(size=(3, 4, *rest)), jnp.float32)

  def indexed(values):
    return values[jnp.arange(3)[:, None], jnp.arange(4), action]

  np.testing.assert_array_equal(select(values, action), indexed(values))
  found, wanted = [
    jax.grad(lambda x, f=f: jnp.sum(f(x) * weights))(values)
    for f in (lambda x: select(x, action), indexed)
  ]
  np.testing.assert_array_equal(found, wanted)


def test_select_passes_over_what_is_infinite_elsewhere():
  values = jnp.array([[-jnp.inf, 1.0], [2.0, -jnp.inf]])
  found = select(values, jnp.array([1, 1]))
  np.testing.assert_array_equal(found, [1.0, -jnp.inf])
