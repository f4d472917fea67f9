"""Sequences of steps for tests, written as strings.

One character is one step of one environment: `f` begins an episode, `m` is in
its middle, `t` terminates it, `o` is where time ran out.
"""

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import loss_types, types
from neurorl.ops import episodes
from neurorl.ops.codecs import SCALAR


def timesteps(*columns, reward=None, observation=None):
  """Builds timesteps `[T+1, B]`, one string per environment."""
  kinds = np.array([list(column) for column in columns]).T
  if reward is None:
    reward = np.zeros(kinds.shape)
  if observation is None:
    observation = np.zeros((*kinds.shape, 1), np.float32)
  return types.TimeStep(
    observation=jax.tree.map(jnp.asarray, observation),
    reward=jnp.asarray(reward, jnp.float32).reshape(kinds.shape),
    discount=jnp.asarray(kinds != "t", jnp.float32),
    first=jnp.asarray(kinds == "f"),
    last=jnp.asarray((kinds == "t") | (kinds == "o")),
  )


def random_params(init, *arguments, scale=0.5):
  """Fills the parameters that `init` makes: nowhere zero, quick to compile."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: jnp.asarray(scale * rng.normal(size=x.shape), x.dtype),
    jax.eval_shape(init, *arguments),
  )


def loss_inputs(
  timestep,
  gamma,
  online=None,
  target=None,
  action=None,
  fraction=0.0,
  codecs=None,
  extras=None,
  depth=0,
):
  """Builds what a loss reads, with mask and discounts as learning has them."""
  if action is None:
    action = np.zeros(timestep.reward.shape, np.int32)
  mask = episodes.valid_transitions(timestep)
  agent = types.Agent(*[None] * 5, codecs or {"q": SCALAR})
  return loss_types.LossInputs(
    steps=types.Step(
      timestep, jnp.asarray(action, jnp.int32), extras or {}, ()
    ),
    mask=mask,
    discount=episodes.discounts(timestep, gamma),
    online=online or {},
    target=target or {},
    absorbing=jnp.zeros_like(mask),
    depth=jnp.int32(depth),
    agent=agent,
    params=(),
    target_params=(),
    key=jax.random.key(0),
    progress=types.Progress(jnp.float32(fraction), jnp.int32(0)),
  )
