"""Acting by one member of an ensemble for a whole episode."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.actors.epsilon_greedy import best_action
from neurorl.ops import outputs as outputs_lib
from neurorl.ops import spaces
from neurorl.registry import component
from neurorl.types import Actor, ActorOutput, ActorRecipe, Agent, Task


@component
def thompson(head: str = "q", learning: float = 1.0) -> ActorRecipe:
  """Takes, for a whole episode, the best action by one member of an ensemble.

  Which it is is drawn anew for every episode and environment. A member that
  hopes for something is so followed to where it is; that needs many steps in
  one direction, which no noise of single actions takes.

  It records the means of all heads by their names, the `'log_prob'` `[B]` of
  the action, which is 0 as the member is certain, `'probabilities'` `[B, A]`,
  one for the action, and under `'learning'` `[B, M]` which members are to learn
  from the transition.

  Osband et al. (2016), https://arxiv.org/abs/1602.04621

  Args:
    head: an `ensemble_head` of action values.
    learning: the probability that a member learns from a transition, each for
      itself, where `ensemble.masks = 'learning'`; in (0, 1].

  Returns:
    The actor's recipe.

  Raises:
    ValueError: if the probability is out of range or, at build, if actions are
      not discrete.
  """
  if not 0.0 < learning <= 1.0:
    raise ValueError(f"thompson.learning must be in (0, 1], got {learning}")

  def build(agent: Agent, task: Task) -> Actor:
    num_actions = spaces.num_actions("thompson", task.environment.spec)

    def step(
      params, keys, timestep, env_state, agent_state, actor_state, progress
    ):
      del progress
      agent_key, own_key = keys
      draw_key, mask_key = jax.random.split(own_key)
      outputs, agent_state = agent.step(
        params, agent_key, timestep, agent_state, "acting"
      )
      members = outputs_lib.read(outputs, head, "thompson", "members")
      batch, size = members["mean"].shape[:2]
      drawn = jax.random.randint(draw_key, (batch,), 0, size)
      member = jnp.where(timestep.first, drawn, actor_state)
      q = members["mean"][jnp.arange(batch), member]
      invalid = spaces.invalid_actions(task.environment, env_state)
      learns = jax.random.bernoulli(mask_key, learning, (batch, size))
      action = best_action(q, invalid)
      extras = {
        **outputs_lib.record(outputs),
        "log_prob": jnp.zeros(batch),
        "probabilities": jax.nn.one_hot(action, num_actions),
        "learning": learns.astype(jnp.float32),
      }
      return ActorOutput(action, extras, agent_state, member)

    # Every episode draws its member at its first step.
    return Actor(lambda key, num_envs: jnp.zeros(num_envs, jnp.int32), step)

  return build
