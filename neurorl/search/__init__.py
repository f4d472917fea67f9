"""Search: planning with a model, for actors and for losses.

What lives here: models, of which mctx asks where actions lead
(`environment_model`, `learned_model`), and `plan`, which searches for a whole
batch at once.

May import: `types`, `registry`, `ops`, jax, mctx (inside functions; it is slow
to import).

To add one: a model is a `models.Model`, made by a recipe `(agent, task) ->
Model`; decorate the function of hyperparameters that returns the recipe with
`@component`.
"""

from neurorl.search.models import (
  Heads,
  Model,
  ModelRecipe,
  Root,
  environment_model,
  learned_model,
)
from neurorl.search.planning import Plan, Search, accepts, check, plan

__all__ = [
  "Heads",
  "Model",
  "ModelRecipe",
  "Plan",
  "Root",
  "Search",
  "accepts",
  "check",
  "environment_model",
  "learned_model",
  "plan",
]
