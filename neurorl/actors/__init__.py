"""Actors: an agent's predictions to actions.

What lives here: recipes of `types.Actor`, `(agent, task) -> Actor`. An actor
gets the agent's pure functions and does not know what they are made of.

May import: `types`, `registry`, `ops`, `search`, jax.

To add one: write a function of hyperparameters that returns such a recipe and
decorate it with `@component`. Read predictions with `ops.outputs.read`, which
tells the user of a head that is missing; record in `extras` what a loss could
want (only what it reads is stored): the means of all heads by
`outputs.record`, the log-probability of the action as `'log_prob'` and, where
actions are discrete, those of all as `'probabilities'`.
"""

from neurorl.actors.epsilon_greedy import epsilon_greedy, greedy, log_spaced
from neurorl.actors.sampling import sampling, softmax
from neurorl.actors.search import search_actor
from neurorl.actors.single_policy import single_policy
from neurorl.actors.thompson import thompson

__all__ = [
  "epsilon_greedy",
  "greedy",
  "log_spaced",
  "sampling",
  "search_actor",
  "single_policy",
  "softmax",
  "thompson",
]
