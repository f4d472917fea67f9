"""GTrXL: gated attention to a window of past embeddings, as a core."""

from __future__ import annotations

import functools
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.networks.cores import GRU, CoreRecipe
from neurorl.networks.linear_attention import check_heads
from neurorl.networks.linears import Dense, Layers, check_sizes
from neurorl.ops import trees
from neurorl.registry import component
from neurorl.types import Array


class Window(NamedTuple):
  """What a layer remembers.

  Attributes:
    embeddings: `[B, W, H]`, the latest last; zeros where there is none.
    length: `[B]` float32, how many of them are of this episode.
  """

  embeddings: Array
  length: Array


class _Gate(GRU):
  """Joins a stream and a branch as a GRU joins state and input."""

  def __call__(self, stream: Array, branch: Array) -> Array:
    """Updates the stream `[..., H]`, at first by little."""
    gates, candidate = self.project(branch)
    update = jnp.arange(2 * self.hidden_size) < self.hidden_size
    inputs = (gates - 2.0 * update, candidate)
    return self.cell(self.recurrent_weights(), inputs, stream)[0]


class _Attention(hk.Module):
  """Multi-head attention with learned embeddings of how long ago a key was."""

  def __init__(self, hidden_size: int, num_heads: int, memory_size: int):
    super().__init__(name="attention")
    self._heads = (num_heads, hidden_size // num_heads)
    self._memory_size = memory_size
    self._queries = Dense(hidden_size, name="queries")
    # A key's bias would add the same to all scores of a query.
    self._keys = Dense(hidden_size, with_bias=False, name="keys")
    self._values = Dense(hidden_size, name="values")
    self._out = Dense(hidden_size, name="out")

  def _split(self, x: Array) -> Array:
    return x.reshape(*x.shape[:-1], *self._heads)

  def __call__(self, queries: Array, keys: Array, seen: Array) -> Array:
    """Attends from `[T, B, H]` to `[W + T, B, H]`, where seen `[T, B, W + T]`.

    Args:
      queries: the present, of which the last is as late as the last key.
      keys: the past and the present.
      seen: whether a query may read a key; always its own.

    Returns:
      `[T, B, H]`.
    """
    q = self._split(self._queries(queries)) / self._heads[1] ** 0.5
    k, v = self._split(self._keys(keys)), self._split(self._values(keys))
    scores = jnp.einsum("tbhk,sbhk->tbhs", q, k) + self._by_age(q)
    scores = jnp.where(seen[:, :, None], scores, jnp.finfo(q.dtype).min)
    found = jnp.einsum("tbhs,sbhk->tbhk", jax.nn.softmax(scores), v)
    return self._out(found.reshape(queries.shape))

  def _by_age(self, q: Array) -> Array:
    """The part of the scores that depends on the key's age."""
    init = hk.initializers.TruncatedNormal(1.0 / self._heads[1] ** 0.5)
    shape = (self._memory_size + 1, *self._heads)
    ages = hk.get_parameter("ages", shape, init=init)
    scores = jnp.einsum("tbhk,jhk->tbhj", q, ages)
    steps = jnp.arange(q.shape[0])[:, None]
    keys = jnp.arange(self._memory_size + q.shape[0])
    age = jnp.clip(self._memory_size + steps - keys, 0, self._memory_size)
    return jnp.take_along_axis(scores, age[:, None, None], axis=-1)


class GTrXL(hk.Module):
  """One layer of attention and one of units by themselves, both gated."""

  def __init__(
    self,
    hidden_size: int,
    num_heads: int,
    memory_size: int,
    mlp_size: int,
    name: str | None = None,
  ):
    super().__init__(name=name)
    self._hidden_size = hidden_size
    self._memory_size = memory_size
    self._embed = Dense(hidden_size, name="embed")
    self._norms = [hk.LayerNorm(-1, True, True, name=f"norm_{i}") for i in "ab"]
    self._gates = [_Gate(hidden_size, name=f"gate_{i}") for i in "ab"]
    self._attention = _Attention(hidden_size, num_heads, memory_size)
    self._mlp = Layers([mlp_size], jax.nn.relu, False, name="mlp")
    self._out = Dense(hidden_size, name="out")

  def initial_state(self, batch_size: int) -> Window:
    """Returns an empty window."""
    shape = (batch_size, self._memory_size, self._hidden_size)
    return Window(jnp.zeros(shape), jnp.zeros(batch_size))

  def step(self, x: Array, reset: Array, state: Window):
    """Advances by one step `[B, ...]`."""
    outputs, state = self.unroll(x[None], reset[None], state)
    return outputs[0], state

  def unroll(self, x: Array, reset: Array, state: Window):
    """Advances by `[T, B, ...]` steps, all at once."""
    # A layer upon a layer has nothing to embed, and its stream is unbroken.
    stream = x if x.shape[-1] == self._hidden_size else self._embed(x)
    past = jnp.swapaxes(state.embeddings, 0, 1)
    embeddings = jnp.concatenate([past, stream])
    begins = self._begins(reset, state.length)
    seen = self._seen(begins)
    keys = self._norms[0](embeddings)
    found = self._attention(keys[self._memory_size :], keys, seen)
    stream = self._gates[0](stream, jax.nn.relu(found))
    found = self._out(self._mlp(self._norms[1](stream)))
    stream = self._gates[1](stream, jax.nn.relu(found))
    return stream, self._remember(embeddings, begins[-1])

  def _begins(self, reset: Array, length: Array) -> Array:
    """Where among `[W + T]` embeddings each step's episode begins, `[T, B]`."""
    now = self._memory_size + jnp.arange(reset.shape[0])[:, None]
    before = self._memory_size - length.astype(jnp.int32)
    return jax.lax.cummax(jnp.where(reset, now, before))

  def _seen(self, begins: Array) -> Array:
    """Whether a step may read an embedding, `[T, B, W + T]`."""
    first = jnp.arange(begins.shape[0])[:, None, None]
    keys = jnp.arange(self._memory_size + begins.shape[0])
    oldest = jnp.maximum(first, begins[..., None])
    return (oldest <= keys) & (keys <= first + self._memory_size)

  def _remember(self, embeddings: Array, begins: Array) -> Window:
    """The window after the last of `[W + T]` embeddings."""
    size, total = self._memory_size, embeddings.shape[0]
    kept = jnp.arange(total - size, total)[:, None] >= begins
    latest = embeddings[total - size :]
    latest = trees.where(kept, latest, jnp.zeros_like(latest))
    return Window(jnp.swapaxes(latest, 0, 1), kept.sum(0).astype(jnp.float32))


@component
def gtrxl(
  hidden_size: int = 128,
  num_heads: int = 4,
  memory_size: int = 32,
  mlp_size: int = 256,
) -> CoreRecipe:
  """A layer of a gated transformer that attends to the latest steps.

  Several are `stacked.cores = [@gtrxl()]` and `stacked.repeats = 3`, whose
  memory reaches as many times as far. Keys carry a learned embedding of their
  age, not the sinusoids of Transformer-XL.

  Parisotto et al. (2020), https://arxiv.org/abs/1910.06764; ages as in Shaw et
  al. (2018), https://arxiv.org/abs/1803.02155

  Args:
    hidden_size: units of the stream; inputs of another size are projected.
    num_heads: divides `hidden_size`.
    memory_size: how many steps before the present one are read; the state
      holds as many embeddings, and a replay buffer stores them with every
      sequence.
    mlp_size: units between the layers without attention.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if a size is not positive or heads do not divide units.
  """
  check_heads("gtrxl", hidden_size, num_heads)
  check_sizes("gtrxl.memory_size and mlp_size", [memory_size, mlp_size])
  return functools.partial(
    GTrXL, hidden_size, num_heads, memory_size, mlp_size, name="gtrxl"
  )
