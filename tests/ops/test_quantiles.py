import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from neurorl.ops import quantiles

N, M = 5, 8


def case():
  keys = jax.random.split(jax.random.key(0), 4)
  predicted = jax.random.normal(keys[0], (3, 2, N))
  taus = jax.random.uniform(keys[1], (3, 2, N))
  targets = 2.0 * jax.random.normal(keys[2], (3, 2, M))
  chances = jax.nn.softmax(jax.random.normal(keys[3], (3, 2, M)))
  return predicted, taus, targets, chances


def every_pair(predicted, taus, targets, chances, huber):
  """The definition, left to autodiff."""
  delta = targets[..., None, :] - predicted[..., None]
  size = abs(delta)
  if huber:
    size = rlax.huber_loss(delta, huber)
  weight = abs(taus[..., None] - (delta < 0.0))
  return jnp.sum(weight * size * chances[..., None, :], axis=(-2, -1))


def value_and_grad(regression, predicted, *others, huber):
  def total(predicted):
    losses = regression(predicted, *others, huber)
    return jnp.sum(losses * jnp.arange(1.0, 7.0).reshape(3, 2)), losses

  gradient, losses = jax.jit(jax.grad(total, has_aux=True))(predicted)
  return losses, gradient


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("huber", [0.0, 0.3, 1.0])
def test_regression_and_its_gradient_are_those_of_every_pair(
  huber, backend, monkeypatch
):
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  found = value_and_grad(quantiles.regression, *case(), huber=huber)
  wanted = value_and_grad(every_pair, *case(), huber=huber)
  np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
  np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-6)


def test_regression_equals_rlax_where_all_targets_are_as_likely():
  predicted, taus, targets, _ = case()
  even = jnp.full(targets.shape, 1.0 / M)
  found = quantiles.regression(predicted, taus, targets, even, 1.0)
  rows = [x.reshape(-1, x.shape[-1]) for x in (predicted, taus, targets)]
  wanted = jax.vmap(rlax.quantile_regression_loss, (0, 0, 0, None))(*rows, 1.0)
  np.testing.assert_allclose(found.reshape(-1), wanted, rtol=1e-5)


def test_the_minimum_is_at_the_quantiles():
  targets = jnp.arange(101.0)
  taus, even = jnp.array([0.105, 0.5, 0.905]), jnp.full(101, 1.0 / 101)
  predicted = jnp.array([10.0, 50.0, 91.0])
  slope = jax.grad(quantiles.regression)
  arguments = (taus, targets, even, 0.0)
  assert (slope(predicted - 0.5, *arguments) < 0.0).all()
  assert (slope(predicted + 0.5, *arguments) > 0.0).all()
