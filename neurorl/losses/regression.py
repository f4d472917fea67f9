"""Regression: a prediction moves to a target."""

from __future__ import annotations

import chex

from neurorl.losses.distances import Distance
from neurorl.losses.predictions import Prediction
from neurorl.losses.targets import Target
from neurorl.registry import component
from neurorl.types import LossInputs, Term, TermOutput


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
    The term; its metrics are the mean prediction, target and absolute error.
  """

  def term(inputs: LossInputs) -> TermOutput:
    predicted = prediction(inputs)[:-1]
    wanted = target(inputs)
    chex.assert_equal_shape([predicted, wanted, inputs.mask])
    error = wanted - predicted
    metrics = {
      "prediction": predicted,
      "target": wanted,
      "absolute_error": abs(error),
    }
    return TermOutput(distance(predicted, wanted), error, metrics)

  return term
