"""Regression: a prediction moves to a target."""

from __future__ import annotations

import math

import chex
import jax.numpy as jnp

from neurorl.head_types import Codec
from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.distances import Distance
from neurorl.losses.predictions import Prediction
from neurorl.losses.rewards import Target
from neurorl.registry import component
from neurorl.types import Array, Metrics


@component
def regression(
  prediction: Prediction, target: Target, distance: Distance
) -> Term:
  """Moves a prediction to a target.

  Args:
    prediction: what is learned.
    target: what it should be.
    distance: how far it is.

  Returns:
    The term; its metrics are the mean prediction, target and absolute error
    (this in the network's units) and, if the head's support is bounded, what
    lies beyond it.
  """

  def term(inputs: LossInputs) -> TermOutput:
    raw, codec = prediction(inputs)
    raw = raw[: len(inputs.mask)]
    wanted = target(inputs)
    encoded = codec.transform.apply(wanted)
    read = codec.read(raw)
    chex.assert_equal_shape([read, wanted, inputs.mask])
    error = encoded - read
    metrics = {
      "prediction": codec.transform.invert(read),
      "target": wanted,
      "absolute_error": abs(error),
      **_beyond_support(codec, encoded, inputs.mask),
    }
    return TermOutput(distance(codec, raw, encoded), error, metrics)

  return term


def _beyond_support(codec: Codec, encoded: Array, mask: Array) -> Metrics:
  """How many targets a codec cannot mean, and how far they reach."""
  if math.isinf(codec.low):
    return {}
  low, high = codec.low - 1e-4, codec.high + 1e-4
  counts = mask > 0
  return {
    "beyond_support": ((encoded < low) | (encoded > high)).astype(jnp.float32),
    "least_target": jnp.where(counts, encoded, codec.high).min(),
    "greatest_target": jnp.where(counts, encoded, codec.low).max(),
  }
