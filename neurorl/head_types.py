"""What the output of a head means: a scalar, or a distribution over actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax


class Transform(NamedTuple):
  """A pair of functions, each the other's inverse.

  Attributes:
    apply: values to what a network predicts.
    invert: what a network predicts to values.
  """

  apply: Callable[[jax.Array], jax.Array]
  invert: Callable[[jax.Array], jax.Array]


class Codec(NamedTuple):
  """How what a head puts out, `raw`, means a scalar.

  Attributes:
    shape: of one scalar's raw output: `()`, or `(N,)` for a distribution.
    read: `raw [..., *shape] -> [...]`, in the network's units.
    transform: the task's units to the network's and back.
    cross_entropy: `(raw, scalar [...] in the network's units) -> [...]`; None
      where raw is no distribution.
    low: the least scalar that raw can mean, in the network's units.
    high: the greatest.
    atoms: `() -> [N]`, the scalars, ascending, whose logits `raw` is; None
      where raw is no categorical distribution.
  """

  shape: tuple[int, ...]
  read: Callable[[jax.Array], jax.Array]
  transform: Transform
  cross_entropy: Callable[[jax.Array, jax.Array], jax.Array] | None
  low: float
  high: float
  atoms: Callable[[], jax.Array] | None = None

  def decode(self, raw: jax.Array) -> jax.Array:
    """Returns the scalar that `raw` means, in the task's units."""
    return self.transform.invert(self.read(raw))


class Distribution(NamedTuple):
  """How what a policy head predicts means a distribution over actions.

  A prediction is the mapping that the head returns, `[..., *]` all.

  Attributes:
    sample: `(prediction, key) -> action [...]`; the key is consumed.
    mode: `prediction -> action [...]`, the likeliest, or its like.
    log_prob: `(prediction, action) -> [...]`; of a density where actions are
      continuous.
    entropy: `(prediction, key) -> [...]`; exact, or an estimate by one sample.
    divergence: `(p, q) -> [...]`, that of Kullback and Leibler, from p to q.
    sample_with_log_prob: `(prediction, key) -> (action [...], log_prob [...])`,
      precise where `log_prob` of an action is not: near bounds. Gradients reach
      the prediction through actions that are continuous.
  """

  sample: Callable[[Mapping[str, jax.Array], jax.Array], jax.Array]
  mode: Callable[[Mapping[str, jax.Array]], jax.Array]
  log_prob: Callable[[Mapping[str, jax.Array], jax.Array], jax.Array]
  entropy: Callable[[Mapping[str, jax.Array], jax.Array], jax.Array]
  divergence: Callable[
    [Mapping[str, jax.Array], Mapping[str, jax.Array]], jax.Array
  ]
  sample_with_log_prob: Callable[
    [Mapping[str, jax.Array], jax.Array], tuple[jax.Array, jax.Array]
  ]
