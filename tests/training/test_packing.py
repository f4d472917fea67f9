"""Optimizers on parameters whose small arrays are packed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurorl.ops import packing
from neurorl.training import optimizers

PARAMS = {
  "a": {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.float32(-1.0)},
  "large": jnp.linspace(-1.0, 1.0, 2**14 + 1),
  "z": jnp.linspace(-2.0, 2.0, 5),
}


BLIND = {
  "add_decayed_weights": lambda: optax.add_decayed_weights(0.1),
  "clip": lambda: optax.clip(0.3),
  "clip_by_global_norm": lambda: optax.clip_by_global_norm(0.1),
  "ema": lambda: optax.ema(0.9),
  "scale": lambda: optax.scale(2.0),
  "scale_by_adam": optax.scale_by_adam,
  "scale_by_lion": optax.scale_by_lion,
  "scale_by_rms": optax.scale_by_rms,
  "scale_by_rss": optax.scale_by_rss,
  "scale_by_stddev": optax.scale_by_stddev,
  "scale_by_yogi": optax.scale_by_yogi,
  "trace": lambda: optax.trace(0.9),
}


def test_every_transform_that_is_called_blind_is_tried():
  names = {name.partition(".")[0] for name in optimizers._BLIND_TO_ARRAYS}
  assert names == set(BLIND)


@pytest.mark.parametrize("name", list(BLIND))
def test_a_blind_transform_does_the_same_to_packed_arrays(name):
  transform = BLIND[name]()
  assert optimizers.suits_packing([transform])
  params = PARAMS
  packed = packing.pack(params)
  state, packed_state = transform.init(params), transform.init(packed)
  for step in range(3):
    gradients = jax.tree.map(lambda x, s=step: jnp.cos(x + s), params)
    plain, state = transform.update(gradients, state, params)
    found, packed_state = transform.update(
      packing.pack(gradients), packed_state, packed
    )
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7),
      packing.unpack(found, params),
      plain,
    )


@pytest.mark.parametrize(
  "transform",
  [
    optax.centralize(),
    optax.adaptive_grad_clip(0.1),
    optax.scale_by_trust_ratio(),
    optax.add_decayed_weights(0.1, mask=lambda params: params),
    optax.scale_by_factored_rms(),
  ],
)
def test_transforms_that_treat_arrays_apart_do_not_suit(transform):
  assert not optimizers.suits_packing([optax.scale_by_adam(), transform])


def test_a_users_transform_does_not_suit_whatever_its_name():
  def scale():
    def update_fn(updates, state, params=None):
      return updates, state

    return optax.GradientTransformation(lambda params: (), update_fn)

  transform = scale()
  transform.update.__qualname__ = "scale.<locals>.update_fn"
  assert not optimizers.suits_packing([transform])
