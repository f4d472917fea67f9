"""Losses: terms, and the parts that terms are made of.

What lives here: `losses`, which alone masks, weighs and reduces; terms
(`regression`, ...); and their parts: predictions (which head, at which
action), targets (return estimators), bootstraps, distances.

May import: `types`, `registry`, `ops`, jax, optax.

To add one: decide which part varies and write that one function. A prediction
or bootstrap is `LossInputs -> [T+1, B]`, a target `LossInputs -> [T, B]`, a
distance `(prediction, target) -> [T, B]`, a term `LossInputs -> TermOutput`.
Decorate the function of hyperparameters that returns it with `@component`. No
term makes a mask or a discount of its own: `ops.episodes` has decided both.
"""

from neurorl.losses.bootstraps import double_q, max_q, sarsa
from neurorl.losses.distances import huber, squared_error
from neurorl.losses.losses import losses
from neurorl.losses.predictions import action_value
from neurorl.losses.regression import regression
from neurorl.losses.targets import (
  lambda_returns,
  n_step_returns,
  one_step_returns,
)

__all__ = [
  "action_value",
  "double_q",
  "huber",
  "lambda_returns",
  "losses",
  "max_q",
  "n_step_returns",
  "one_step_returns",
  "regression",
  "sarsa",
  "squared_error",
]
