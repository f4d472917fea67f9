"""`reanalysed`: what search would find today, not what it once found."""

from __future__ import annotations

import collections
import math

import jax
import jax.numpy as jnp

from neurorl import search as search_lib
from neurorl.loss_types import Loss, LossInputs, LossRecipe
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.search import Heads, ModelRecipe, Plan, Root, Search
from neurorl.types import Agent, Array, Task, Tree


@component
def reanalysed(
  loss: LossRecipe,
  model: ModelRecipe,
  search: Search,
  num_simulations: int = 16,
  fraction: float = 1.0,
  policy_head: str = "policy",
  value_head: str = "value",
) -> LossRecipe:
  """A loss on sequences whose searches are done again, by the target network.

  The searches begin at the embeddings of the replayed steps, so the model must
  be a learned one: environments' states are not stored.

  Schrittwieser et al. (2021), https://arxiv.org/abs/2104.06294

  Args:
    loss: what is applied, such as `@unrolled()`; its terms read the new
      `'search_policy'` and `'search_value'` where they would read the recorded.
    model: `@learned_model()`.
    search: a policy of mctx.
    num_simulations: of each search, at least 1.
    fraction: the part of a batch's sequences that is searched again, rounded
      up; in (0, 1].
    policy_head: the head of priors, `'logits'`.
    value_head: the head of state values, `'mean'`.

  Returns:
    The loss's recipe.

  Raises:
    ValueError: if a number is out of range or, at build, if the agent has no
      model, or the search needs what is not replayed.
  """
  search_lib.check(search, num_simulations, "reanalysed")
  if not 0.0 < fraction <= 1.0:
    raise ValueError(f"reanalysed.fraction must be in (0, 1], got {fraction}")
  heads = Heads(policy_head, value_head)

  def build(agent: Agent, task: Task) -> Loss:
    outputs_lib.require_model(agent, "reanalysed")
    inner = loss(agent, task)
    simulator = model(agent, task, heads, "target")
    if simulator.needs_environment:
      raise ValueError(
        "reanalysed.model must be @learned_model(): the states of environments "
        "are not replayed"
      )
    if task.environment.invalid_actions is not None:
      raise ValueError(
        f"reanalysed cannot know the invalid actions of "
        f"{task.environment.spec.name}, which are not replayed"
      )

    def again(inputs: LossInputs, key) -> Plan:
      length, batch = inputs.mask.shape
      columns = math.ceil(fraction * batch)
      root = _rows(inputs, columns)
      found = search_lib.plan(
        search,
        simulator,
        heads,
        inputs.target_params,
        key,
        root,
        num_simulations,
      )
      shape = (length + 1, columns)
      return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), found)

    def apply(params, state, inputs: LossInputs, weights):
      key, search_key = jax.random.split(inputs.key)
      found = jax.lax.stop_gradient(again(inputs, search_key))
      recorded = inputs.steps.extras
      fresh = {"search_policy": found.policy, "search_value": found.value}
      if fraction < 1.0:
        fresh = {n: _join(new, recorded[n]) for n, new in fresh.items()}
      # Looked up one by one: the buffer stores only what is read of the rest.
      extras = collections.ChainMap(fresh, recorded)
      steps = inputs.steps._replace(extras=extras)
      inputs = inputs._replace(steps=steps, key=key)
      return inner.apply(params, state, inputs, weights)

    return Loss(inner.init, apply, inner.prepare)

  return build


def _rows(inputs: LossInputs, columns: int) -> Root:
  """The steps of the first sequences as the rows of one search."""

  def flat(tree: Tree) -> Tree:
    return jax.tree.map(
      lambda x: x[:, :columns].reshape(-1, *x.shape[2:]), tree
    )

  return Root(flat(inputs.target), flat(inputs.steps.timestep), (), ())


def _join(fresh: Array, recorded: Array) -> Array:
  return jnp.concatenate([fresh, recorded[:, fresh.shape[1] :]], axis=1)
