import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from tests.networks.test_heads import DISCRETE, D
from tests.sequences import random_params, timesteps

OBSERVATION = np.random.default_rng(0).normal(size=(3, 2, D)).astype(np.float32)
SEEN = timesteps("fmm", "fmt", observation=OBSERVATION)


def build(**settings):
  recipe = networks.rnd_head(hidden_sizes=(6,), num_features=4, **settings)
  transformed = hk.transform(lambda e, t, m: recipe.build(DISCRETE)(e, t, m))
  init = functools.partial(transformed.init, m="online")
  params = random_params(init, jax.random.key(0), OBSERVATION, SEEN)
  return params, lambda p, e, t: transformed.apply(p, None, e, t, "online")


def test_novelty_is_the_error_of_predicted_features_by_hand():
  params, apply = build()

  def features(name):
    layer = params[f"{name}_hidden/linear_0"]
    x = np.maximum(OBSERVATION @ layer["w"] + layer["b"], 0.0)
    return x @ params[name]["w"] + params[name]["b"]

  expected = np.mean((features("predictor") - features("target")) ** 2, axis=-1)
  found = apply(params, OBSERVATION, SEEN)
  np.testing.assert_allclose(found["mean"], expected, rtol=1e-4)
  np.testing.assert_array_equal(found["mean"], found["raw"])
  # What the core remembers makes nothing new.
  again = apply(params, OBSERVATION + 1.0, SEEN)
  np.testing.assert_array_equal(found["mean"], again["mean"])


def test_only_the_predictor_learns():
  params, apply = build()

  def loss(params, embedding):
    return apply(params, embedding, SEEN)["mean"].sum()

  gradients, of_embedding = jax.grad(loss, (0, 1))(
    params, jnp.asarray(OBSERVATION)
  )
  np.testing.assert_array_equal(of_embedding, 0)
  for module, leaves in gradients.items():
    for gradient in leaves.values():
      assert (np.abs(gradient).max() > 0) == module.startswith("predictor")


def test_what_is_seen_often_is_not_new():
  params, apply = build()
  seen = jax.tree.map(lambda x: x[:1], SEEN)

  @jax.jit
  def learn(params):
    gradients = jax.grad(
      lambda p: apply(p, OBSERVATION[:1], seen)["mean"].mean()
    )(params)
    return jax.tree.map(lambda p, g: p - 0.05 * g, params, gradients)

  before = apply(params, OBSERVATION, SEEN)["mean"]
  for _ in range(500):
    params = learn(params)
  after = apply(params, OBSERVATION, SEEN)["mean"]
  assert after[0].max() < 0.05 * before[0].min()
  assert after[1:].mean() > 10 * after[0].mean()


def test_what_is_refused():
  with pytest.raises(ValueError, match="num_features must be positive"):
    networks.rnd_head(num_features=0)

  def imagine(x):
    return networks.rnd_head().build(DISCRETE)(x, None, "online")

  with pytest.raises(ValueError, match="which a model does not imagine"):
    hk.transform(imagine).init(jax.random.key(0), OBSERVATION)
