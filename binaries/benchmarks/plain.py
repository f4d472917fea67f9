"""What the straightforward parts compute: a network and its loss."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from neurorl.types import Array, EnvironmentSpec


class Head(NamedTuple):
  """An output of the network.

  Attributes:
    hidden: units of its layers before the last.
    size: of the last; None for one per action.
    logits: whether it is learned by cross-entropy.
  """

  hidden: tuple[int, ...] = ()
  size: int | None = None
  logits: bool = False


@dataclasses.dataclass(frozen=True)
class Work:
  """What an iteration does.

  Attributes:
    envs: in lockstep.
    unroll: steps of each in an iteration.
    updates: in an iteration.
    batch: sequences of an update.
    length: rows of a sequence.
    torso: units of its layers, after a MinAtar convolution if `image`.
    core: `'lstm'`, `'gru'` or None.
    width: units of the core.
    heads: what it predicts.
    target: whether a target network says what is learned: action values by
      double Q-learning; otherwise that is given.
    norm: whether layers of the torso are normalised.
    image: whether observations are images.
    activation: of all layers.
    forwards: of the network for a step in an environment, each with a step of
      the environment: 1 and the simulations.
  """

  envs: int = 32
  unroll: int = 10
  updates: int = 1
  batch: int = 32
  length: int = 20
  torso: tuple[int, ...] = (128,)
  core: str | None = "lstm"
  width: int = 128
  heads: tuple[Head, ...] = (Head((512,)),)
  target: bool = True
  norm: bool = False
  image: bool = False
  activation: Callable = jax.nn.relu
  forwards: int = 1

  @property
  def steps(self) -> int:
    """Environment steps of an iteration."""
    return self.envs * self.unroll


def network(spec: EnvironmentSpec, work: Work) -> hk.Transformed:
  """Makes the network, `(observation, first, memory) -> (outputs, memory)`.

  Args:
    spec: of the environment.
    work: sizes.

  Returns:
    The network; observations are `[T, B, ...]`.
  """

  def layer(x, size, norm=False):
    x = hk.Linear(size)(x)
    return work.activation(hk.LayerNorm(-1, True, True)(x) if norm else x)

  def apply(observation, first, state):
    x = observation
    if work.image:
      convolve = hk.Conv2D(16, 3, padding="VALID")
      x = work.activation(hk.BatchApply(convolve)(x))
    x = x.reshape(*x.shape[:2], -1)
    for size in work.torso:
      x = layer(x, size, work.norm)
    if work.core:
      core = {"lstm": hk.LSTM, "gru": hk.GRU}[work.core](work.width)
      x, state = hk.dynamic_unroll(hk.ResetCore(core), (x, first), state)
    outputs = []
    for head in work.heads:
      y = x
      for size in head.hidden:
        y = layer(y, size)
      outputs.append(hk.Linear(head.size or spec.actions.num_actions)(y))
    return outputs, state

  return hk.without_apply_rng(hk.transform(apply))


def memory(work: Work, batch: int) -> Any:
  """Returns an empty memory of the core."""
  zeros = jnp.zeros((batch, work.width))
  return hk.LSTMState(zeros, zeros) if work.core == "lstm" else zeros


def seen(spec: EnvironmentSpec, length: int, batch: int) -> tuple[Array, Array]:
  """Draws observations, and says that no episode begins, `[length, batch]`."""
  shape = (length, batch, *spec.observation.shape)
  observation = jax.random.uniform(jax.random.key(0), shape)
  return observation, jnp.zeros((length, batch), bool)


def actions(spec: EnvironmentSpec, *shape: int) -> Array:
  """Draws actions."""
  return jax.random.randint(
    jax.random.key(1), shape, 0, spec.actions.num_actions
  )


def loss(spec: EnvironmentSpec, work: Work) -> Callable[[Any, Any], Array]:
  """Makes the loss of one batch.

  Args:
    spec: of the environment.
    work: sizes.

  Returns:
    `(params, target params) -> loss`.
  """
  apply = network(spec, work).apply
  observation, first = seen(spec, work.length, work.batch)
  state = memory(work, work.batch)
  # Without a memory the first row needs no target.
  at = slice(None) if work.core else slice(1, None)

  def call(params, target_params):
    outputs, _ = apply(params, observation, first, state)
    if not work.target:
      return sum(map(_given, work.heads, outputs))
    targets, _ = apply(target_params, observation[at], first[at], state)
    targets = [x[1:] if work.core else x for x in targets]
    return sum(
      _distilled(x, y) if head.logits else _double_q(x, y)
      for head, x, y in zip(work.heads, outputs, targets, strict=True)
    )

  return call


def _given(head: Head, x: Array) -> Array:
  """Learns what was recorded."""
  if head.logits:
    return -jnp.mean(jax.nn.log_softmax(x)[..., 0])
  return jnp.mean(jnp.square(x[..., 0] - 1.0))


def _distilled(x: Array, target: Array) -> Array:
  """Learns `[T+1, B, N]` from the target's logits of the last T rows."""
  logs = jax.nn.log_softmax(x[:-1])
  return -jnp.mean(jnp.sum(jax.nn.softmax(target) * logs, -1))


def _double_q(q: Array, target: Array) -> Array:
  """Learns `[T+1, B, A]` from returns by the target's last T rows."""

  def back(g, rv):
    g = rv[0] + 0.99 * (0.1 * rv[1] + 0.9 * g)
    return g, g

  reward = jax.random.uniform(jax.random.key(2), target.shape[:2])
  action = jax.random.randint(
    jax.random.key(1), reward.shape, 0, target.shape[2]
  )
  value = _choose(target, jnp.argmax(q[1:], -1))
  _, returns = jax.lax.scan(back, value[-1], (reward, value), reverse=True)
  error = _choose(q[:-1], action) - jax.lax.stop_gradient(returns)
  return jnp.mean(jnp.square(error))


def _choose(q: Array, action: Array) -> Array:
  return jnp.take_along_axis(q, action[..., None], -1)[..., 0]
