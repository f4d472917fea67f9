"""Attention by a state of constant size, against a plain loop."""

import jax
import numpy as np
import pytest

from neurorl.ops import attention


@pytest.mark.parametrize("chunk_length", [2, 3, 8, 50])
def test_linear_attention_is_the_same_by_chunks_as_by_steps(chunk_length):
  length, batch, heads, size = 11, 3, 2, 4
  keys = jax.random.split(jax.random.key(0), 6)
  shape = (length, batch, heads, size)
  queries, read, values = (jax.random.normal(key, shape) for key in keys[:3])
  log_keep = -jax.random.exponential(keys[3], shape[:-1])
  # At rows 0 and 1: in the middle and on the edges of chunks; at 2 nowhere.
  reset = np.zeros((length, batch), bool)
  reset[[0, 2, 3, 7], 0] = reset[[1, 6, 10], 1] = True
  state = jax.random.normal(keys[4], (batch, heads, size, size))

  def attend(chunk_length):
    def outputs(queries, read, values, log_keep, state):
      return attention.attend_linearly(
        queries, read, values, log_keep, reset, state, chunk_length
      )

    inputs = (queries, read, values, log_keep, state)
    found, pull = jax.vjp(outputs, *inputs)
    return found, pull(found)

  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-3),
    attend(chunk_length),
    attend(1),
  )
  (found, last), _ = attend(1)
  expected = np.array(state, np.float64)
  for t in range(length):
    expected[reset[t]] = 0.0
    keep = np.where(reset[t][:, None], 0.0, np.exp(log_keep[t]))
    expected = keep[..., None, None] * expected
    expected += np.einsum("bhk,bhv->bhkv", read[t], values[t])
    np.testing.assert_allclose(
      found[t],
      np.einsum("bhk,bhkv->bhv", queries[t], expected),
      rtol=1e-3,
      atol=1e-4,
    )
  np.testing.assert_allclose(last, expected, rtol=1e-4, atol=1e-4)
