"""Planning: one search for all rows at once, by a policy of mctx."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from neurorl.ops import outputs as outputs_lib
from neurorl.search.models import Heads, Model, Root
from neurorl.types import Array, Key, Params

# A policy of mctx, such as `mctx.gumbel_muzero_policy`, or a partial of one.
Search = Callable[..., Any]


# What a policy's settings may be, which mctx does not check: least and most.
_LEAST_POSITIVE = 1e-6
_RANGES = {
  "max_depth": (1, math.inf),
  "max_num_considered_actions": (1, math.inf),
  "gumbel_scale": (0.0, math.inf),
  "dirichlet_fraction": (0.0, 1.0),
  "dirichlet_alpha": (_LEAST_POSITIVE, math.inf),
  "pb_c_init": (0.0, math.inf),
  "pb_c_base": (_LEAST_POSITIVE, math.inf),
}


class Plan(NamedTuple):
  """What a search found, `[B, ...]` all.

  Attributes:
    action: `[B]` int32.
    policy: `[B, A]`, what the policy head should say.
    value: `[B]`, what the state is worth.
    visits: `[B, A]` int32, simulations that began with each action.
  """

  action: Array
  policy: Array
  value: Array
  visits: Array


def check(search: Search, num_simulations: int, reader: str) -> None:
  """Refuses settings with which no search can run.

  Args:
    search: a policy of mctx.
    num_simulations: of each search.
    reader: whose settings these are, for the message.

  Raises:
    ValueError: if there are no simulations, the policy plans with chance, or
      one of its settings is out of range.
  """
  if num_simulations < 1:
    raise ValueError(
      f"{reader}.num_simulations must be >= 1, got {num_simulations}"
    )
  if not accepts(search, "recurrent_fn"):
    raise ValueError(
      f"{reader}.search must be a policy of mctx without chance nodes; bind "
      "@mctx.gumbel_muzero_policy() or @mctx.muzero_policy()"
    )
  _check_ranges(search)


def _check_ranges(search: Search) -> None:
  name = getattr(getattr(search, "func", search), "__name__", "search")
  for setting, parameter in inspect.signature(search).parameters.items():
    value = parameter.default
    if setting not in _RANGES or not isinstance(value, int | float):
      continue
    low, high = _RANGES[setting]
    if not low <= value <= high:
      raise ValueError(
        f"mctx.{name}.{setting} must be from {low:g} to {high:g}, got {value}"
      )


def accepts(search: Search, name: str) -> bool:
  """Says whether a policy of mctx has a parameter."""
  return name in inspect.signature(search).parameters


def plan(
  search: Search,
  model: Model,
  heads: Heads,
  params: Params,
  key: Key,
  root: Root,
  num_simulations: int,
  invalid_actions: Array | None = None,
  **settings: Any,
) -> Plan:
  """Searches from every row.

  Args:
    search: a policy of mctx.
    model: where actions lead.
    heads: whose predictions guide the search.
    params: the agent's.
    key: a random key.
    root: where to begin.
    num_simulations: at least 1.
    invalid_actions: `[B, A]` bool, what is not allowed at the root.
    **settings: more of the policy's arguments, such as its temperature.

  Returns:
    The plan.
  """
  import mctx

  logits = outputs_lib.read(root.outputs, heads.policy, "search", "logits")
  value = outputs_lib.read(root.outputs, heads.value, "search")
  if value.ndim != 1 or logits.ndim != 2:
    raise ValueError(
      f"search reads head '{heads.policy}' for logits of every action and head "
      f"'{heads.value}' for one value, but they have shapes "
      f"{list(logits.shape)} and {list(value.shape)} by environment"
    )

  def recurrent(params, key, action, node):
    outcome, node = model.step(params, key, action, node)
    output = mctx.RecurrentFnOutput(
      reward=outcome.reward,
      discount=outcome.discount,
      prior_logits=outcome.logits,
      value=outcome.value,
    )
    return output, node

  found = search(
    params=params,
    rng_key=key,
    root=mctx.RootFnOutput(
      prior_logits=logits,
      value=value,
      embedding=model.root(root),
    ),
    recurrent_fn=recurrent,
    num_simulations=num_simulations,
    invalid_actions=invalid_actions,
    **settings,
  )
  summary = found.search_tree.summary()
  return Plan(
    action=found.action.astype(jnp.int32),
    policy=found.action_weights,
    value=summary.value,
    visits=summary.visit_counts.astype(jnp.int32),
  )
