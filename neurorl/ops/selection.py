"""What belongs to an action."""

import jax.numpy as jnp

from neurorl.types import Array


def select(values: Array, action: Array) -> Array:
  """Picks what belongs to an action.

  By comparing every action, as what follows is then one pass over the values,
  and its gradient too: the gradient of indexing is a scatter.

  Args:
    values: `[..., A, *rest]`.
    action: `[...]` int32, below `A`.

  Returns:
    `[..., *rest]`.
  """
  rest = (1,) * (values.ndim - action.ndim - 1)
  actions = jnp.arange(values.shape[action.ndim]).reshape(-1, *rest)
  chosen = action.reshape(*action.shape, 1, *rest) == actions
  return jnp.sum(jnp.where(chosen, values, 0), axis=action.ndim)
