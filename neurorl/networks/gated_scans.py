"""Gated recurrences over time, with gradients written by hand.

Differentiating a scan adds to the gradient of the recurrent weights at every
step, a matrix product of its own. Here the backward scan does only what is
sequential; all that is not is done for all times at once, before and after it.
Gradients are those of reverse mode; forward mode is not defined.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.ops import products
from neurorl.types import Array


def _where_kept(reset: Array, x: Array) -> Array:
  return jnp.where(reset[..., None], 0.0, x)


def _before(x: Array, first: Array, reset: Array) -> Array:
  """What each step began with: `x` of the step before, zeros after a reset."""
  return _where_kept(reset, jnp.concatenate([first[None], x[:-1]]))


def lstm_step(
  inputs: Array, product: Array, cell: Array
) -> tuple[Array, Array, Array]:
  """One step of an LSTM whose candidate is 2 sigmoid - 1.

  Args:
    inputs: `[B, 4 H]`; gates in the order input, candidate, forget, output.
    product: `[B, 4 H]`, of the hidden state and the recurrent weights.
    cell: `[B, H]`.

  Returns:
    The gates `[B, 4 H]`, the hidden state and the cell.
  """
  gates = jax.nn.sigmoid(inputs + product)
  i, g, f, o = jnp.split(gates, 4, axis=-1)
  cell = f * cell + i * (2.0 * g - 1.0)
  return gates, o * jnp.tanh(cell), cell


def _lstm_forward(weights, inputs, reset, hidden, cell):
  def body(state, now):
    inputs, reset = now
    hidden, cell = state
    # What is reset is the product, which costs no pass of its own.
    product = _where_kept(reset, hidden @ weights)
    gates, *state = lstm_step(inputs, product, _where_kept(reset, cell))
    return tuple(state), (*state, gates)

  return jax.lax.scan(body, (hidden, cell), (inputs, reset))[1]


@jax.custom_vjp
def lstm(
  weights: Array, inputs: Array, reset: Array, hidden: Array, cell: Array
) -> tuple[Array, Array]:
  """Steps an LSTM over time; a reset leaves a state of zeros.

  Args:
    weights: `[H, 4 H]`, with which the hidden state is multiplied.
    inputs: `[T, B, 4 H]`, as `lstm_step` takes them.
    reset: `[T, B]`, whether the state is zeros before the step.
    hidden: `[B, H]`.
    cell: `[B, H]`.

  Returns:
    The hidden state and the cell after each step, `[T, B, H]`.
  """
  return _lstm_forward(weights, inputs, reset, hidden, cell)[:2]


def _lstm_save(weights, inputs, reset, hidden, cell):
  hiddens, cells, gates = _lstm_forward(weights, inputs, reset, hidden, cell)
  hidden_before = _before(hiddens, hidden, reset)
  cell_before = _before(cells, cell, reset)
  saved = weights, reset, gates, hidden_before, cell_before, cells
  return (hiddens, cells), saved


def _lstm_back(saved, by_output):
  weights, reset, gates, hidden_before, cell_before, cells = saved
  i, g, f, o = jnp.split(gates, 4, axis=-1)
  tanh = jnp.tanh(cells)
  # What the first three gates do to the cell, and the last to the hidden state.
  does = jnp.concatenate([2.0 * g - 1.0, 2.0 * i, cell_before, tanh], -1)
  does *= gates * (1.0 - gates)
  cell_by_hidden = o * (1.0 - jnp.square(tanh))
  back = products.transpose(weights)

  def body(carry, now):
    dh, dc = carry
    dh_here, dc_here, does, cell_by_hidden, f, reset = now
    dh += dh_here
    dc += dc_here + dh * cell_by_hidden
    dgates = does * jnp.concatenate([dc, dc, dc, dh], -1)
    dh, dc = (_where_kept(reset, x) for x in (dgates @ back, f * dc))
    return (dh, dc), dgates

  zeros = jnp.zeros_like(cells[0])
  factors = (*by_output, does, cell_by_hidden, f, reset)
  (dh, dc), dgates = jax.lax.scan(body, (zeros, zeros), factors, reverse=True)
  return products.by_matrix(hidden_before, dgates), dgates, None, dh, dc


lstm.defvjp(_lstm_save, _lstm_back)


def gru_step(
  weights: Array, inputs: tuple[Array, Array], product: Array, state: Array
) -> tuple[Array, Array, Array]:
  """One step of a GRU.

  Args:
    weights: of the candidate, `[H, H]`.
    inputs: of the gates, `[B, 2 H]`, update before reset gate; and of the
      candidate, `[B, H]`.
    product: `[B, 2 H]`, of the state and the gates' recurrent weights.
    state: `[B, H]`.

  Returns:
    The state, the gates `[B, 2 H]` and the candidate `[B, H]`.
  """
  gates = jax.nn.sigmoid(inputs[0] + product)
  z, r = jnp.split(gates, 2, axis=-1)
  candidate = jnp.tanh(inputs[1] + (r * state) @ weights)
  return (1.0 - z) * state + z * candidate, gates, candidate


def _gru_forward(weights, inputs, reset, state):
  def body(state, now):
    inputs, reset = now
    product = _where_kept(reset, state @ weights[0])
    step = gru_step(weights[1], inputs, product, _where_kept(reset, state))
    return step[0], step

  return jax.lax.scan(body, state, (inputs, reset))[1]


@jax.custom_vjp
def gru(
  weights: tuple[Array, Array],
  inputs: tuple[Array, Array],
  reset: Array,
  state: Array,
) -> Array:
  """Steps a GRU over time; a reset leaves a state of zeros.

  Args:
    weights: of the gates, `[H, 2 H]`, and of the candidate, `[H, H]`.
    inputs: `[T, B, 2 H]` and `[T, B, H]`, as `gru_step` takes them.
    reset: `[T, B]`, whether the state is zeros before the step.
    state: `[B, H]`.

  Returns:
    The state after each step, `[T, B, H]`.
  """
  return _gru_forward(weights, inputs, reset, state)[0]


def _gru_save(weights, inputs, reset, state):
  states, gates, candidates = _gru_forward(weights, inputs, reset, state)
  before = _before(states, state, reset)
  return states, (weights, reset, gates, candidates, before)


def _gru_back(saved, by_output):
  weights, reset, gates, candidates, before = saved
  z, r = jnp.split(gates, 2, axis=-1)
  dz, dr = jnp.split(gates * (1.0 - gates), 2, axis=-1)
  candidate_by_state = z * (1.0 - jnp.square(candidates))
  z_by_state, r_by_product = (candidates - before) * dz, before * dr
  back = [products.transpose(x) for x in weights]

  def body(dh, now):
    dh_here, candidate_by_state, z_by_state, r_by_product, r, kept, reset = now
    dh += dh_here
    dcandidate = dh * candidate_by_state
    dproduct = dcandidate @ back[1]
    dgates = jnp.concatenate([dh * z_by_state, dproduct * r_by_product], -1)
    dh = dh * kept + dproduct * r + dgates @ back[0]
    return _where_kept(reset, dh), (dgates, dcandidate)

  factors = (by_output, candidate_by_state, z_by_state, r_by_product, r)
  dh, by_inputs = jax.lax.scan(
    body,
    jnp.zeros_like(before[0]),
    (*factors, 1.0 - z, reset),
    reverse=True,
  )
  by_weights = (
    products.by_matrix(before, by_inputs[0]),
    products.by_matrix(r * before, by_inputs[1]),
  )
  return by_weights, by_inputs, None, dh


gru.defvjp(_gru_save, _gru_back)
