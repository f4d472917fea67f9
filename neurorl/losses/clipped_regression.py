"""Regression that gains nothing by moving far at once."""

from __future__ import annotations

import jax.numpy as jnp

from neurorl.loss_types import LossInputs, Term, TermOutput
from neurorl.losses.distances import Distance
from neurorl.losses.predictions import Prediction
from neurorl.losses.regression import regression
from neurorl.losses.targets import Target
from neurorl.registry import component


@component
def clipped_regression(
  prediction: Prediction,
  target: Target,
  distance: Distance,
  epsilon: float = 0.2,
  recorded: str = "value",
) -> Term:
  """The greater of two distances: of a prediction, and of it clipped.

  It is clipped to within epsilon of what the actor recorded, so that a value
  has no gradient beyond that: the value loss of common implementations of
  proximal policy optimisation.

  Engstrom et al. (2020), https://arxiv.org/abs/2005.12729

  Args:
    prediction: what is learned; its head has no distribution as codec.
    target: what it should be.
    distance: how far it is.
    epsilon: in the network's units, above 0.
    recorded: the name under which the actor recorded the prediction.

  Returns:
    The term.

  Raises:
    ValueError: if epsilon is not positive or, at build, if the head predicts a
      distribution.
  """
  if not epsilon > 0.0:
    raise ValueError(f"clipped_regression.epsilon must be > 0, got {epsilon}")
  plain = regression(prediction, target, distance)

  def term(inputs: LossInputs) -> TermOutput:
    output = plain(inputs)
    raw, codec = prediction(inputs)
    if codec.cross_entropy is not None:
      raise ValueError(
        "clipped_regression needs a head of plain scalars; bind its codec = "
        "@scalar_codec(), or @regression()"
      )
    length = inputs.mask.shape[0]
    old = codec.transform.apply(inputs.steps.extras[recorded][:length])
    near = old + jnp.clip(raw[:length] - old, -epsilon, epsilon)
    wanted = codec.transform.apply(target(inputs))
    clipped = distance(codec, near, wanted)
    return output._replace(loss=jnp.maximum(output.loss, clipped))

  return term
