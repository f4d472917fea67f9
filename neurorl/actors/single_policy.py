"""Acting by one policy of a head of successor features."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.actors.epsilon_greedy import best_action
from neurorl.ops import outputs as outputs_lib
from neurorl.ops import spaces
from neurorl.registry import component
from neurorl.types import Actor, ActorOutput, ActorRecipe, Agent, Task


@component
def single_policy(index: int, head: str = "successor") -> ActorRecipe:
  """Follows one of the policies whose successor features are known.

  It takes argmax_a psi(s, a, z) . z, whatever the task that is seen: what
  generalised policy improvement is held against, in evaluation.

  It records the means of all heads by their names and `'probabilities'`
  `[B, A]`: one for the action.

  Barreto et al. (2017), https://arxiv.org/abs/1606.05312

  Args:
    index: of the policy, in the order of the head's `policies`.
    head: a head of successor features, `'psi'` `[B, P, A, F]`.

  Returns:
    The actor's recipe.

  Raises:
    ValueError: if the index is negative or, at build, if actions are not
      discrete or there is no such policy.
  """
  if index < 0:
    raise ValueError(f"single_policy.index must be >= 0, got {index}")

  def build(agent: Agent, task: Task) -> Actor:
    num_actions = spaces.num_actions("single_policy", task.environment.spec)

    def step(
      params, keys, timestep, env_state, agent_state, actor_state, progress
    ):
      del progress
      outputs, agent_state = agent.step(
        params, keys[0], timestep, agent_state, "evaluating"
      )
      psi, policies = [
        outputs_lib.read(outputs, head, "single_policy", entry)
        for entry in ("psi", "policies")
      ]
      if index >= psi.shape[1]:
        raise ValueError(
          f"single_policy.index = {index}, but head '{head}' has "
          f"{psi.shape[1]} policies"
        )
      z = policies[:, index, None, :]
      values = jnp.sum(psi[:, index] * z, axis=-1)
      invalid = spaces.invalid_actions(task.environment, env_state)
      action = best_action(values, invalid)
      extras = {
        **outputs_lib.record(outputs),
        "probabilities": jax.nn.one_hot(action, num_actions),
      }
      return ActorOutput(action, extras, agent_state, actor_state)

    return Actor(lambda key, num_envs: (), step)

  return build
