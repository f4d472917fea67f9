import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import distributions
from neurorl.types import ContinuousActions

LOW, HIGH = np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32)
GAUSSIAN = distributions.squashed_gaussian(ContinuousActions(LOW, HIGH))
MANY = 20_000
TABLE = {
  "categorical": (
    distributions.CATEGORICAL,
    {"logits": jnp.array([0.5, -1.0, 2.0])},
    {"logits": jnp.array([0.0, 1.0, -0.5])},
  ),
  "gaussian": (
    GAUSSIAN,
    {"loc": jnp.array([0.3, -0.4]), "scale": jnp.array([0.5, 0.2])},
    {"loc": jnp.array([-0.1, 0.0]), "scale": jnp.array([0.7, 0.4])},
  ),
}


def repeat(prediction, count=MANY):
  return jax.tree.map(lambda x: jnp.tile(x, (count, 1)), prediction)


@pytest.mark.parametrize("name", TABLE)
def test_entropy_and_divergence_are_those_of_samples(name):
  """By their definitions: means of log-probabilities of what is drawn."""
  policy, p, q = TABLE[name]
  p, q = repeat(p), repeat(q)
  action = policy.sample(p, jax.random.key(0))
  log_p, log_q = policy.log_prob(p, action), policy.log_prob(q, action)
  entropy = policy.entropy(p, jax.random.key(1)).mean()
  np.testing.assert_allclose(entropy, -log_p.mean(), atol=0.03)
  divergence = policy.divergence(p, q)[0]
  np.testing.assert_allclose(divergence, (log_p - log_q).mean(), atol=0.05)
  np.testing.assert_allclose(policy.divergence(p, p), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_a_sample_comes_with_its_log_probability(name):
  policy, p, _ = TABLE[name]
  p = repeat(p, 50)
  action, log_prob = policy.sample_with_log_prob(p, jax.random.key(0))
  np.testing.assert_allclose(
    log_prob, policy.log_prob(p, action), rtol=1e-3, atol=1e-3
  )


def test_categorical_probabilities():
  policy, p, _ = TABLE["categorical"]
  probabilities = np.exp(p["logits"]) / np.exp(p["logits"]).sum()
  p = jax.tree.map(lambda x: jnp.tile(x, (3, 1)), p)
  found = policy.log_prob(p, jnp.arange(3))
  np.testing.assert_allclose(found, np.log(probabilities), rtol=1e-5)
  np.testing.assert_array_equal(policy.mode(p), [2, 2, 2])


def test_a_squashed_density_integrates_to_one():
  _, p, _ = TABLE["gaussian"]
  grids = [
    np.linspace(low, high, 401)[1:-1]
    for low, high in zip(LOW, HIGH, strict=True)
  ]
  action = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
  density = np.exp(GAUSSIAN.log_prob(p, jnp.asarray(action)))
  cell = np.prod([grid[1] - grid[0] for grid in grids])
  np.testing.assert_allclose(density.sum() * cell, 1.0, atol=1e-3)


def test_squashed_actions_are_within_bounds_and_the_mode_is_squashed():
  wide = {"loc": jnp.array([5.0, -5.0]), "scale": jnp.array([3.0, 3.0])}
  action = np.asarray(GAUSSIAN.sample(repeat(wide), jax.random.key(0)))
  assert (action >= LOW).all() and (action <= HIGH).all()
  _, p, _ = TABLE["gaussian"]
  middle, half = (LOW + HIGH) / 2, (HIGH - LOW) / 2
  np.testing.assert_allclose(
    GAUSSIAN.mode(p), middle + half * np.tanh(p["loc"]), rtol=1e-5
  )


def test_a_recorded_action_on_its_bound_has_finite_gradients():
  _, p, _ = TABLE["gaussian"]
  for action in (LOW, HIGH):
    found = jax.grad(lambda p: GAUSSIAN.log_prob(p, jnp.asarray(action)))(p)  # noqa: B023
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
