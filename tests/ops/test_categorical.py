import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from neurorl.ops import categorical

ATOMS = jnp.array([-2.0, -1.0, 0.5, 3.0])


def random_case(seed, shape=(5, 3), count=6):
  rng = np.random.default_rng(seed)
  values = rng.uniform(-4, 5, (*shape, count))
  chances = rng.dirichlet(np.ones(count), shape)
  return jnp.asarray(values, jnp.float32), jnp.asarray(chances, jnp.float32)


@pytest.mark.parametrize("seed", range(3))
def test_projection_equals_rlax(seed):
  values, chances = random_case(seed)
  expected = rlax.categorical_l2_project
  for _ in range(2):
    expected = jax.vmap(expected, (0, 0, None))
  actual = categorical.project(values, chances, ATOMS)
  np.testing.assert_allclose(
    actual, expected(values, chances, ATOMS), rtol=1e-5, atol=1e-6
  )


def test_projection_by_hand():
  # Half of 0 between -1 and .5; a third of what lies on an atom; the rest
  # beyond either end.
  values, chances = [0.0, 0.5, 9.0, -9.0], [1 / 2, 1 / 3, 1 / 12, 1 / 12]
  actual = categorical.project(jnp.array(values), jnp.array(chances), ATOMS)
  expected = [1 / 12, 1 / 2 * 1 / 3, 1 / 2 * 2 / 3 + 1 / 3, 1 / 12]
  np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_projection_keeps_total_and_mean_within_the_atoms():
  values, chances = random_case(0)
  values = jnp.clip(values, ATOMS[0], ATOMS[-1])
  actual = categorical.project(values, chances, ATOMS)
  assert actual.min() >= 0
  np.testing.assert_allclose(actual.sum(axis=-1), np.ones((5, 3)), rtol=1e-5)
  np.testing.assert_allclose(
    actual @ ATOMS, jnp.sum(values * chances, axis=-1), rtol=1e-4, atol=1e-5
  )


def test_projection_to_the_same_atoms_changes_nothing():
  chances = jnp.array([0.1, 0.2, 0.3, 0.4])
  np.testing.assert_allclose(
    categorical.project(ATOMS, chances, ATOMS), chances, rtol=1e-6
  )


def test_shapes_are_checked():
  with pytest.raises(AssertionError):
    categorical.project(jnp.ones((2, 3)), jnp.ones((2, 4)), ATOMS)
