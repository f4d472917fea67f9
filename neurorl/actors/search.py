"""Acting by search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurorl import search as search_lib
from neurorl.ops import outputs as outputs_lib
from neurorl.ops import schedules, spaces
from neurorl.registry import component
from neurorl.search import Heads, ModelRecipe, Root, Search
from neurorl.types import (
  Actor,
  ActorOutput,
  ActorRecipe,
  Agent,
  Progress,
  Schedule,
  Task,
)

# What a greedy search sets, of what its policy has.
_NOISELESS = {
  "gumbel_scale": 0.0,
  "dirichlet_fraction": 0.0,
  "temperature": 0.0,
}


@component
def search_actor(
  model: ModelRecipe,
  search: Search,
  num_simulations: int = 16,
  temperature: float | Schedule | None = None,
  greedy: bool = False,
  policy_head: str = "policy",
  value_head: str = "value",
) -> ActorRecipe:
  """Takes the action that a search proposes.

  Silver et al. (2018), https://doi.org/10.1126/science.aar6404

  Args:
    model: where actions lead, such as `@environment_model()`.
    search: a policy of mctx, such as `@mctx.gumbel_muzero_policy()`.
    num_simulations: of each search, at least 1.
    temperature: visits ** (1 / temperature) are what actions are drawn by; None
      for the policy's own way.
    greedy: whether to search without noise and take the best action: for
      evaluation.
    policy_head: the head of priors, `'logits'` `[B, A]`.
    value_head: the head of state values, `'mean'` `[B]`.

  Returns:
    The actor's recipe. It records the means of all heads by their names,
    `'search_policy'` `[B, A]`, `'search_value'` `[B]` and `'search_visits'`
    `[B, A]`.

  Raises:
    ValueError: if there are no simulations, the policy has no temperature or,
      at build, if actions are not discrete.
  """
  search_lib.check(search, num_simulations, "search_actor")
  if temperature is not None:
    schedules.check("search_actor.temperature", temperature, 0.0)
    if not search_lib.accepts(search, "temperature"):
      raise ValueError(
        f"search_actor.temperature = {temperature}: this search has none; bind "
        "its gumbel_scale, or search = @mctx.muzero_policy()"
      )
  heads = Heads(policy_head, value_head)

  def settings(progress: Progress) -> Mapping[str, Any]:
    if greedy:
      return {
        name: value
        for name, value in _NOISELESS.items()
        if search_lib.accepts(search, name)
      }
    if temperature is None:
      return {}
    return {"temperature": schedules.as_schedule(temperature)(progress)}

  def build(agent: Agent, task: Task) -> Actor:
    spaces.num_actions("search_actor", task.environment.spec)
    mode = "evaluating" if greedy else "acting"
    simulator = model(agent, task, heads, mode)

    def step(
      params, keys, timestep, env_state, agent_state, actor_state, progress
    ):
      agent_key, search_key = keys
      outputs, agent_state = agent.step(
        params, agent_key, timestep, agent_state, mode
      )
      found = search_lib.plan(
        search,
        simulator,
        heads,
        params,
        search_key,
        Root(outputs, timestep, env_state, agent_state),
        num_simulations,
        spaces.invalid_actions(task.environment, env_state),
        **settings(progress),
      )
      extras = {
        **outputs_lib.record(outputs),
        "search_policy": found.policy,
        "search_value": found.value,
        "search_visits": found.visits,
      }
      return ActorOutput(found.action, extras, agent_state, actor_state)

    return Actor(init=lambda key, num_envs: (), step=step)

  return build
