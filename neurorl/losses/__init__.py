"""Losses: terms, and the parts that terms are made of.

What lives here: `losses`, which alone masks, weighs and reduces; terms
(`regression`, `categorical_td`, `distillation`, ...); losses made of losses:
`unrolled`, which applies one to what a model imagines, `reanalysed`, which
first searches again, and `normalised_rewards`; and their parts: predictions
(which head, at which action), targets (return estimators over rewards),
bootstraps, policies (which action would be taken), distances.

May import: `types`, `loss_types`, `registry`, `ops`, `search`, jax, optax.

To add one: decide which part varies and write that one function. A prediction
is `LossInputs -> Predicted`, a bootstrap `LossInputs -> [T+1, B]`, a target
`LossInputs -> [T, B]`, a policy `LossInputs -> [T+1, B, A]`, a distance
`(codec, raw, target) -> [T, B]`, a term `LossInputs -> TermOutput`. A term
reads predictions of transitions as `x[:T]`, T being `len(inputs.mask)`: those
of the last step may be missing where nothing bootstraps from them.
Decorate the function of hyperparameters that returns it with `@component`. No
term makes a mask or a discount of its own: `ops.episodes` has decided both.
"""

from neurorl.losses.advantages import advantages, recorded
from neurorl.losses.bootstraps import (
  double_q,
  expected_q,
  max_q,
  sarsa,
  search_value,
  soft_q,
  target_value,
)
from neurorl.losses.clipped_regression import clipped_regression
from neurorl.losses.consistency import consistency
from neurorl.losses.deterministic_policies import (
  deterministic_policy_gradient,
  smoothed_value,
)
from neurorl.losses.distances import cross_entropy, huber, squared_error
from neurorl.losses.distillation import distillation
from neurorl.losses.distributional import categorical_td, quantile_td
from neurorl.losses.ensembles import ensemble
from neurorl.losses.losses import losses
from neurorl.losses.normalised_rewards import normalised_rewards
from neurorl.losses.penalties import conservative, low_values
from neurorl.losses.policies import (
  epsilon_soft,
  exploratory,
  online_greedy,
  target_greedy,
)
from neurorl.losses.policy_gradients import (
  clipped_surrogate,
  entropy_bonus,
  policy_gradient,
)
from neurorl.losses.predictions import action_value, scalar
from neurorl.losses.reanalysed import reanalysed
from neurorl.losses.regression import regression
from neurorl.losses.rewards import (
  discounts,
  intrinsic_rewards,
  munchausen_rewards,
  rewards,
  sum_of,
)
from neurorl.losses.soft_actor_critic import (
  entropy_constraint,
  soft_policy_gradient,
  soft_value,
)
from neurorl.losses.successor_features import successor_features
from neurorl.losses.targets import (
  lambda_returns,
  n_step_returns,
  one_step_returns,
  retrace,
)
from neurorl.losses.twins import twin_regression
from neurorl.losses.unrolled import unrolled
from neurorl.losses.vmpo import vmpo
from neurorl.losses.vtrace import vtrace

__all__ = [
  "action_value",
  "advantages",
  "categorical_td",
  "clipped_regression",
  "clipped_surrogate",
  "conservative",
  "consistency",
  "cross_entropy",
  "deterministic_policy_gradient",
  "discounts",
  "distillation",
  "double_q",
  "ensemble",
  "entropy_bonus",
  "entropy_constraint",
  "epsilon_soft",
  "expected_q",
  "exploratory",
  "huber",
  "intrinsic_rewards",
  "lambda_returns",
  "losses",
  "low_values",
  "max_q",
  "munchausen_rewards",
  "n_step_returns",
  "normalised_rewards",
  "one_step_returns",
  "online_greedy",
  "policy_gradient",
  "quantile_td",
  "reanalysed",
  "recorded",
  "regression",
  "retrace",
  "rewards",
  "sarsa",
  "scalar",
  "search_value",
  "smoothed_value",
  "soft_policy_gradient",
  "soft_q",
  "soft_value",
  "squared_error",
  "successor_features",
  "sum_of",
  "target_greedy",
  "target_value",
  "twin_regression",
  "unrolled",
  "vmpo",
  "vtrace",
]
