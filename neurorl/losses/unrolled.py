"""`unrolled`: a loss applied to what a model imagines, step after step.

The state imagined for step t, k actions after its root, is root t - k's. So at
depth k everything is shifted by k, and terms see the steps that they always
see: what they predict is imagined, what they are held against is recorded.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl.loss_types import Loss, LossInputs, LossOutput, LossRecipe
from neurorl.ops import episodes
from neurorl.ops import outputs as outputs_lib
from neurorl.registry import component
from neurorl.types import Agent, Array, Key, Outputs, Task, TimeStep


class _Imagined(NamedTuple):
  """The states imagined at one depth, `[T+1, B, ...]`.

  Attributes:
    outputs: what is predicted for them.
    valid: bool, there is a root, and no time-out since.
    absorbing: bool, the episode of the root has terminated here or before.
  """

  outputs: Outputs
  valid: Array
  absorbing: Array


@component
def unrolled(
  loss: LossRecipe, steps: int = 5, gradient_scale: float = 0.5
) -> LossRecipe:
  """A loss on every step's state and on the states that a model imagines of it.

  Every step is a root, from which the model follows the recorded actions. A
  terminated episode goes on in absorbing states of no reward and no value; what
  lies beyond a time-out is unknown and does not count. The loss of a root and
  of the transition from it weighs 1, that of each imagined state and of the
  transition from it 1 / `steps`. Bootstraps that read the online outputs read
  what is imagined.

  Schrittwieser et al. (2020), https://arxiv.org/abs/1911.08265

  Args:
    loss: what is applied at every depth, such as `@losses()`.
    steps: states that the model imagines of each root, at least 1; it follows
      one action more, for the transition from the last.
    gradient_scale: by which a gradient is multiplied at every imagined step.

  Returns:
    The loss's recipe.

  Raises:
    ValueError: if an argument is out of range or, at build, if the agent has no
      model or sequences are too short.
  """
  if steps < 1:
    raise ValueError(f"unrolled.steps must be >= 1, got {steps}")
  if not 0.0 <= gradient_scale <= 1.0:
    raise ValueError(
      f"unrolled.gradient_scale must be in [0, 1], got {gradient_scale}"
    )

  def build(agent: Agent, task: Task) -> Loss:
    outputs_lib.require_model(agent, "unrolled")
    inner = loss(agent, task)

    def apply(params, state, inputs: LossInputs, weights):
      length = inputs.mask.shape[0]
      if length <= steps:
        raise ValueError(
          f"unrolled.steps = {steps} needs sequences of more transitions, but "
          f"these have {length}; bind the buffer's "
          "sequence_length, or rollout.chunk_length"
        )

      def body(carry, depth_and_key):
        imagined, state = carry
        depth, key = depth_and_key
        model_key, loss_key = jax.random.split(key)
        outputs, following = _follow(
          inputs, imagined, model_key, gradient_scale
        )
        here = _relabel(inputs, imagined, outputs)
        here = here._replace(depth=depth, key=loss_key)
        output, state = inner.apply(params, state, here, weights)
        return (following, state), output

      last = inputs.steps.timestep.last
      root = _Imagined(inputs.online, ~last, jnp.zeros_like(last))
      keys = jax.random.split(inputs.key, steps + 1)
      depths = (jnp.arange(steps + 1), keys)
      (_, state), outputs = jax.lax.scan(body, (root, state), depths)
      return _reduce(outputs, steps), state

    return Loss(inner.init, apply, inner.prepare)

  return build


def _follow(
  inputs: LossInputs, imagined: _Imagined, key: Key, gradient_scale: float
) -> tuple[Outputs, _Imagined]:
  """Takes the recorded actions.

  Returns:
    What is predicted of the states and of the transitions from them, and the
    states that follow, moved to the steps that they are imagined for.
  """
  embedding = imagined.outputs["embedding"]
  scaled = gradient_scale * embedding
  scaled += (1.0 - gradient_scale) * jax.lax.stop_gradient(embedding)
  predicted = _as_rows(
    lambda e, a: inputs.agent.imagine(inputs.params, key, e, a, "online")[0],
    scaled,
    inputs.steps.action,
  )
  outputs = dict(imagined.outputs)
  outputs |= {n: x for n, x in predicted.items() if n not in outputs}
  states = {name: predicted[name] for name in imagined.outputs}
  timestep = inputs.steps.timestep
  absorbing = _later(imagined.absorbing)
  timed_out = episodes.time_outs(timestep) & ~absorbing
  following = _Imagined(
    outputs=jax.tree.map(_later, states),
    valid=_later(imagined.valid) & ~timed_out,
    absorbing=absorbing | episodes.terminations(timestep),
  )
  return outputs, following


def _as_rows(function, *arguments):
  """Applies a function to rows `[T * B, ...]`: faster on a CPU."""
  leading = arguments[0].shape[:2]
  rows = [x.reshape(-1, *x.shape[2:]) for x in arguments]
  return jax.tree.map(
    lambda x: x.reshape(*leading, *x.shape[1:]), function(*rows)
  )


def _later(x: Array) -> Array:
  """Moves `[T+1, ...]` by one step; nothing is imagined for the first."""
  return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


def _relabel(
  inputs: LossInputs, imagined: _Imagined, outputs: Outputs
) -> LossInputs:
  """What the inner loss sees: beyond a termination nothing happens any more.

  Other steps' returns never read what is changed here: they stop at the
  termination, or begin behind the absorbing states.
  """
  absorbing = imagined.absorbing
  ended = absorbing[:-1]
  timestep: TimeStep = inputs.steps.timestep

  def without(x):
    return x.at[1:].set(jnp.where(ended, 0.0, x[1:]))

  timestep = timestep._replace(
    reward=without(timestep.reward),
    discount=without(timestep.discount),
    first=timestep.first & ~absorbing,
    last=timestep.last & ~absorbing,
  )
  return inputs._replace(
    steps=inputs.steps._replace(timestep=timestep),
    mask=imagined.valid[:-1].astype(jnp.float32),
    discount=jnp.where(ended, 0.0, inputs.discount),
    online=outputs,
    absorbing=ended.astype(jnp.float32),
  )


def _reduce(outputs: LossOutput, steps: int) -> LossOutput:
  """Weighs the depths; the buffer is told the errors of the roots."""
  loss = outputs.loss[0] + outputs.loss[1:].sum() / steps
  metrics = {name: value[0] for name, value in outputs.metrics.items()}
  metrics |= {
    f"imagined/{name}": value[1:].mean()
    for name, value in outputs.metrics.items()
  }
  metrics["loss/total"] = loss
  proceed = outputs.proceed
  if proceed is not None:
    proceed = jnp.all(proceed)
  return LossOutput(loss, outputs.errors[0], metrics, proceed)
