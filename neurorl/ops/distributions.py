"""Distributions over actions: how what policy heads predict is read."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.head_types import Distribution
from neurorl.ops.selection import select
from neurorl.types import Array, ContinuousActions

# How near to its bounds a squashed action is still told from them.
_MARGIN = 1e-6


def _categorical_log_prob(prediction, action: Array) -> Array:
  return select(jax.nn.log_softmax(prediction["logits"]), action)


def _categorical_entropy(prediction, key) -> Array:
  del key
  log_policy = jax.nn.log_softmax(prediction["logits"])
  return -jnp.sum(jnp.exp(log_policy) * log_policy, axis=-1)


def _categorical_divergence(p, q) -> Array:
  log_p, log_q = (jax.nn.log_softmax(x["logits"]) for x in (p, q))
  return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


def _categorical_sample(prediction, key) -> Array:
  action = jax.random.categorical(key, prediction["logits"])
  return action.astype(jnp.int32)


def _categorical_sample_with_log_prob(prediction, key) -> tuple[Array, Array]:
  action = _categorical_sample(prediction, key)
  return action, _categorical_log_prob(prediction, action)


# Over discrete actions, by `'logits'` [..., A].
CATEGORICAL = Distribution(
  sample=_categorical_sample,
  mode=lambda p: jnp.argmax(p["logits"], axis=-1).astype(jnp.int32),
  log_prob=_categorical_log_prob,
  entropy=_categorical_entropy,
  divergence=_categorical_divergence,
  sample_with_log_prob=_categorical_sample_with_log_prob,
)


def squashed_gaussian(actions: ContinuousActions) -> Distribution:
  """A Gaussian whose samples are squashed into bounds by a tanh.

  Predictions are `'loc'` and `'scale'` of the Gaussian, `[..., D]`.

  Haarnoja et al. (2018), https://arxiv.org/abs/1801.01290, appendix C

  Args:
    actions: their bounds, `[D]`.

  Returns:
    The distribution; its entropy is estimated by one sample.
  """
  middle = jnp.asarray((actions.high + actions.low) / 2, jnp.float32)
  half = jnp.asarray((actions.high - actions.low) / 2, jnp.float32)

  def squash(x: Array) -> Array:
    return middle + half * jnp.tanh(x)

  def unsquash(action: Array) -> Array:
    unit = (action - middle) / half
    return jnp.arctanh(jnp.clip(unit, _MARGIN - 1.0, 1.0 - _MARGIN))

  def log_density(prediction, x: Array) -> Array:
    normal = jax.scipy.stats.norm.logpdf(
      x, prediction["loc"], prediction["scale"]
    )
    # log(1 - tanh(x)^2), without cancelling
    slope = 2.0 * (jnp.log(2.0) - x - jax.nn.softplus(-2.0 * x))
    return jnp.sum(normal - slope - jnp.log(half), axis=-1)

  def draw(prediction, key) -> Array:
    noise = jax.random.normal(key, prediction["loc"].shape)
    return prediction["loc"] + prediction["scale"] * noise

  def sample_with_log_prob(prediction, key) -> tuple[Array, Array]:
    x = draw(prediction, key)
    return squash(x), log_density(prediction, x)

  def divergence(p, q) -> Array:
    ratio = jnp.square(p["scale"] / q["scale"])
    shift = jnp.square((p["loc"] - q["loc"]) / q["scale"])
    return 0.5 * jnp.sum(ratio + shift - 1.0 - jnp.log(ratio), axis=-1)

  return Distribution(
    sample=lambda p, key: squash(draw(p, key)),
    mode=lambda p: squash(p["loc"]),
    log_prob=lambda p, action: log_density(p, unsquash(action)),
    entropy=lambda p, key: -log_density(p, draw(p, key)),
    divergence=divergence,
    sample_with_log_prob=sample_with_log_prob,
  )
