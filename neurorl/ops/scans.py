"""Linear recurrences over time."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from neurorl.types import Array


def linear_scan(
  decay: Array,
  inputs: Array,
  reset: Array,
  state: Array,
  parallel: bool | None = None,
) -> Array:
  """Computes h_t = a_t h_{t-1} + b_t, where h_{t-1} is 0 at a reset.

  In parallel it takes log T steps: the pairs (a, b) compose by (a', b') after
  (a, b) = (a' a, a' b + b'), and a reset is a decay of 0. Gradients are those
  of either order, and none crosses a reset.

  Blelloch (1993), https://www.cs.cmu.edu/~guyb/papers/Ble93.pdf; with resets
  Lu et al. (2023), https://arxiv.org/abs/2303.03982

  Args:
    decay: a, of any shape that broadcasts against `[T, B, ...]`; float32 or
      complex64.
    inputs: b, `[T, B, ...]`.
    reset: `[T, B]` bool, whether the step forgets all before it.
    state: `[B, ...]`, h before the first step.
    parallel: whether by an associative scan; by default wherever that is
      faster, which is off the CPU.

  Returns:
    h, `[T, B, ...]`.
  """
  chex.assert_equal_shape([inputs[0], state])
  chex.assert_equal_shape_prefix([inputs, reset], 2)
  if parallel is None:
    # A CPU does the work of log T levels one after the other: at B = 32 and 128
    # floats, forward and backward take 0.7 ms and not 0.2 at T = 20, 122 and
    # not 43 at T = 1024; more so for complex numbers.
    parallel = jax.default_backend() != "cpu"
  reset = reset.reshape(*reset.shape, *[1] * (inputs.ndim - 2))
  decay = jnp.where(reset, 0.0, decay)
  return (_parallel if parallel else _sequential)(decay, inputs, state)


def _parallel(decay: Array, inputs: Array, state: Array) -> Array:
  def compose(before, after):
    return after[0] * before[0], after[0] * before[1] + after[1]

  inputs = inputs.at[0].add(decay[0] * state)
  return jax.lax.associative_scan(compose, (decay, inputs))[1]


def _sequential(decay: Array, inputs: Array, state: Array) -> Array:
  def body(state, now):
    state = now[0] * state + now[1]
    return state, state

  return jax.lax.scan(body, state, (decay, inputs))[1]
