"""An unroll and its gradient, by core and sequence length.

32 sequences of inputs of 128, cores of 128; 2,048 steps of each sequence in a
call, as 64, 8 or 2 unrolls one after the other.
"""

from collections.abc import Sequence
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl import networks

from . import timing

_LENGTHS = (32, 256, 1024)
_BATCH, _WIDTH, _STEPS = 32, 128, 2048
_CORES = {
  "lstm": lambda: networks.lstm(_WIDTH),
  "gru": lambda: networks.gru(_WIDTH),
  "min_gru": lambda: networks.min_gru(_WIDTH),
  "lru": lambda: networks.lru(_WIDTH),
  "s5": lambda: networks.s5(_WIDTH),
  "linear_attention": lambda: networks.linear_attention(_WIDTH),
}


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times the gradients in turn.

  Args:
    environment: ignored.
    repeats: measurements of each.
    only: ignored.

  Returns:
    A row for every core and length.
  """
  del environment, only
  functions = {
    (name, length): _gradients(recipe(), length)
    for length in _LENGTHS
    for name, recipe in _CORES.items()
  }
  seconds = timing.samples(functions, repeats)
  return [
    {
      "core": name,
      "length": length,
      "us per step of 32": 1e6 * s / _STEPS,
      "lstm's time / its": seconds["lstm", length] / s,
    }
    for (name, length), s in seconds.items()
  ]


def _gradients(recipe, length: int):
  """Follows gradients as often as makes `_STEPS` steps."""

  def network(x):
    core = recipe()
    reset = jnp.zeros(x.shape[:2], bool).at[length // 2].set(True)
    return core.unroll(x, reset, core.initial_state(_BATCH))[0]

  transformed = hk.without_apply_rng(hk.transform(network))
  x = jax.random.normal(jax.random.key(0), (length, _BATCH, _WIDTH))
  params = jax.jit(transformed.init)(jax.random.key(1), x)

  def descend(params):
    gradients = jax.grad(
      lambda params: jnp.square(transformed.apply(params, x)).mean()
    )(params)
    return jax.tree.map(lambda p, g: p - 1e-6 * g, params, gradients)

  return timing.repeated(descend, params, _STEPS // length)
