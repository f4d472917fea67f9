"""A lab's own task and core, outside the package: see my_lab.gin."""

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl import component, environments, types


@component
def grid_walk(length: int = 5) -> types.Environment:
  """Walk from the middle of a corridor to its right end, not to its left.

  Args:
    length: cells.

  Returns:
    The environment.
  """
  spec = types.EnvironmentSpec(
    name="grid_walk",
    observation=jax.ShapeDtypeStruct((length,), jnp.float32),
    action=jax.ShapeDtypeStruct((), jnp.int32),
    actions=types.DiscreteActions(2),
  )

  def reset(key):
    del key
    cell, time = jnp.int32(length // 2), jnp.int32(0)
    return (cell, time), environments.restart(jax.nn.one_hot(cell, length))

  def step(key, state, action):
    del key
    cell, time = state
    cell = jnp.clip(cell + 2 * action - 1, 0, length - 1)
    time = time + 1
    right = cell == length - 1
    timestep = environments.transition(
      jax.nn.one_hot(cell, length),
      reward=jnp.where(right, 1.0, 0.0),
      # Here running out of time is part of the task, so it is no time-out.
      terminated=right | (cell == 0) | (time >= 20),
      truncated=False,
    )
    return (cell, time), timestep

  return types.Environment(reset, step, spec)


class LeakyCore(hk.Module):
  """Memory that leaks: h' = decay * h + tanh(W x)."""

  def __init__(self, size: int, decay: float):
    super().__init__(name="leaky_core")
    self._size = size
    self._decay = decay
    # Built here, so that step and unroll share it.
    self._linear = hk.Linear(size, name="linear")

  def initial_state(self, batch_size: int):
    """Returns the state at an episode's beginning, `[B, H]`."""
    return jnp.zeros((batch_size, self._size))

  def step(self, x, reset, state):
    """Advances by one step `[B, ...]`."""
    state = jnp.where(reset[:, None], 0.0, state)
    state = self._decay * state + jnp.tanh(self._linear(x))
    return state, state

  def unroll(self, x, reset, state):
    """Advances by `[T, B, ...]` steps."""
    inputs = jnp.tanh(self._linear(x))

    def body(state, now):
      new, begins = now
      state = self._decay * jnp.where(begins[:, None], 0.0, state) + new
      return state, state

    state, outputs = jax.lax.scan(body, state, (inputs, reset))
    return outputs, state


@component
def leaky_core(size: int = 64, decay: float = 0.9):
  """A core whose memory leaks.

  Args:
    size: units.
    decay: what is left after a step.

  Returns:
    The core's recipe.
  """
  return lambda: LeakyCore(size, decay)
