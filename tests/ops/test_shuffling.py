import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import shuffling


@pytest.mark.parametrize("size", [1, 2, 3, 512, 513, 5000])
def test_everything_is_there_once(size):
  order = shuffling.permutation(jax.random.key(0), size)
  assert order.dtype == jnp.int32
  np.testing.assert_array_equal(np.sort(order), np.arange(size))


def test_every_order_is_as_likely_as_another():
  keys = jax.random.split(jax.random.key(0), 24_000)
  orders = jax.vmap(lambda key: shuffling.permutation(key, 4))(keys)
  counts = collections.Counter(map(tuple, orders.tolist()))
  assert len(counts) == 24
  # Each 1,000 times, with a deviation of 31.
  assert all(870 < count < 1130 for count in counts.values())


@pytest.mark.parametrize("size", [600, 3000])  # sorted once, and twice
def test_every_place_is_as_likely_as_another(size):
  keys = jax.random.split(jax.random.key(1), 400)
  orders = jax.vmap(lambda key: shuffling.permutation(key, size))(keys)
  where = np.argsort(orders, axis=1)[:, :50]  # things that began side by side
  wanted, deviation = (size - 1) / 2, size / np.sqrt(12 * 400)
  np.testing.assert_allclose(where.mean(axis=0), wanted, atol=4.5 * deviation)
  steps = np.diff(where, axis=1)
  assert abs(np.mean(steps > 0) - 0.5) < 0.02


def test_what_is_equal_in_one_round_keeps_the_order_of_the_one_before(
  monkeypatch,
):
  noise = jax.random.bits(jax.random.key(0), (3000,))
  rounds = jnp.stack([noise, jnp.zeros_like(noise)])
  monkeypatch.setattr(jax.random, "bits", lambda key, shape: rounds)
  order = shuffling.permutation(jax.random.key(1), 3000)
  leading = np.asarray(noise)[order] >> 12  # of 32 bits 12 say which it is
  assert (np.diff(leading.astype(np.int64)) >= 0).all()
