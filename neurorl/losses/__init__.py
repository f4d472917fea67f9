"""Losses: terms, and the parts that terms are made of.

What lives here: `losses`, which alone masks, weighs and reduces; terms
(`regression`, `distillation`, ...); losses made of losses: `unrolled`, which
applies one to what a model imagines, and `reanalysed`, which first searches
again; and their parts: predictions (which head, at which
action), targets (return estimators), bootstraps, distances.

May import: `types`, `loss_types`, `registry`, `ops`, `search`, jax, optax.

To add one: decide which part varies and write that one function. A prediction
is `LossInputs -> Predicted`, a bootstrap `LossInputs -> [T+1, B]`, a target
`LossInputs -> [T, B]`, a distance `(codec, raw, target) -> [T, B]`, a term
`LossInputs -> TermOutput`.
Decorate the function of hyperparameters that returns it with `@component`. No
term makes a mask or a discount of its own: `ops.episodes` has decided both.
"""

from neurorl.losses.advantages import advantages, recorded
from neurorl.losses.bootstraps import (
  double_q,
  max_q,
  sarsa,
  search_value,
  target_value,
)
from neurorl.losses.clipped_regression import clipped_regression
from neurorl.losses.consistency import consistency
from neurorl.losses.distances import cross_entropy, huber, squared_error
from neurorl.losses.distillation import distillation
from neurorl.losses.losses import losses
from neurorl.losses.policy_gradients import (
  clipped_surrogate,
  entropy_bonus,
  policy_gradient,
)
from neurorl.losses.predictions import action_value, scalar
from neurorl.losses.reanalysed import reanalysed
from neurorl.losses.regression import regression
from neurorl.losses.targets import (
  discounts,
  lambda_returns,
  n_step_returns,
  one_step_returns,
  rewards,
)
from neurorl.losses.unrolled import unrolled
from neurorl.losses.vtrace import vtrace

__all__ = [
  "action_value",
  "advantages",
  "clipped_regression",
  "clipped_surrogate",
  "consistency",
  "cross_entropy",
  "discounts",
  "distillation",
  "double_q",
  "entropy_bonus",
  "huber",
  "lambda_returns",
  "losses",
  "max_q",
  "n_step_returns",
  "one_step_returns",
  "policy_gradient",
  "reanalysed",
  "recorded",
  "regression",
  "rewards",
  "sarsa",
  "scalar",
  "search_value",
  "squared_error",
  "target_value",
  "unrolled",
  "vtrace",
]
