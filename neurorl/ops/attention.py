"""Attention whose past is a matrix of constant size."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from neurorl.types import Array


def attend_linearly(
  queries: Array,
  keys: Array,
  values: Array,
  log_keep: Array | None,
  reset: Array,
  state: Array,
  chunk_length: int = 32,
) -> tuple[Array, Array]:
  """Reads q_t S_t, where S_t = g_t S_{t-1} + k_t v_t^T, and S is 0 at a reset.

  Within a chunk each step attends to those before it; only the chunks' last
  states follow each other. So no state of a single step is ever stored.

  Yang et al. (2024), https://arxiv.org/abs/2312.06635, section 4

  Args:
    queries: `[T, B, heads, K]`.
    keys: `[T, B, heads, K]`.
    values: `[T, B, heads, V]`.
    log_keep: log g, `[T, B, heads]`, at most 0; None where all is kept.
    reset: `[T, B]` bool, whether the step forgets all before it.
    state: S before the first step, `[B, heads, K, V]`.
    chunk_length: steps that are computed at once.

  Returns:
    What is read, `[T, B, heads, V]`, and S after the last step.
  """
  length = queries.shape[0]
  size = min(chunk_length, length)
  # Steps without a key, that keep all, change no state.
  padding = -length % size

  def chunks(x):
    x = jnp.pad(x, [(0, padding)] + [(0, 0)] * (x.ndim - 1))
    return x.reshape(-1, size, *x.shape[1:])

  def body(state, chunk):
    return _attend_within(*chunk, state)

  inputs = (queries, keys, values, log_keep, reset)
  state, found = jax.lax.scan(body, state, jax.tree.map(chunks, inputs))
  return found.reshape(-1, *found.shape[2:])[:length], state


def _attend_within(queries, keys, values, log_keep, reset, state):
  """Attends within one chunk, and to the state before it."""
  episode = jnp.cumsum(reset, axis=0)
  steps = jnp.arange(reset.shape[0])
  before = (steps[:, None] > steps)[..., None]
  weights = (steps[:, None] >= steps)[..., None] & (episode[:, None] == episode)
  carried = episode == 0
  weights, carried = weights[..., None], carried[..., None]
  if log_keep is not None:
    # Sums of their own, not differences of sums over a reset: so that gradients
    # across it are 0, not a rounding error.
    since = jnp.cumsum(
      jnp.where(before[..., None], log_keep[:, None], 0.0), axis=0
    )
    weights = _decay(since, weights)
    carried = _decay(jnp.cumsum(log_keep, axis=0), carried)
  scores = jnp.einsum("tbhk,sbhk->tsbh", queries, keys) * weights
  found = jnp.einsum("tsbh,sbhv->tbhv", scores, values)
  carried = carried[..., None]
  found += jnp.einsum("tbhk,bhkv->tbhv", queries * carried, state)
  written = jnp.einsum("sbhk,sbhv->bhkv", keys * weights[-1][..., None], values)
  return carried[-1][..., None] * state + written, found


def _decay(log_decay: Array, reads: Array) -> Array:
  """What is left of what may be read; 0, without gradient, of the rest."""
  return jnp.where(reads, jnp.exp(jnp.where(reads, log_decay, 0.0)), 0.0)
