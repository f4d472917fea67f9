"""The parts of a loop, as a single-file script would have them.

Acting forwards, environment steps and updates in plain Haiku and optax, each
compiled alone and timed alone; nothing else that a loop does is in them:
replay, returns over a rollout, statistics. Losses are the plainest of their
kind: squared errors, and cross-entropies for whatever has logits.

`REFERENCE` is recurrent Q-learning: 32 environments, rollouts of 10, LSTM 128,
torso 128, head 512, one update of 32 sequences of 20 steps. By the sum of its
parts on Catch, compiled as JAX does unless told otherwise, machines are
compared: peers were measured so.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from neurorl import environments
from neurorl.training import executables
from neurorl.types import Environment, EnvironmentSpec

from . import plain, timing
from .plain import Work

ITERATIONS = 50  # that each part repeats, of the reference's size


REFERENCE = Work()


def reference() -> dict[str, Callable[[], Any]]:
  """Makes the parts by which machines are compared, `ITERATIONS` of them."""
  catch = environments.gymnax("Catch-bsuite")
  return functions(catch, compile_=lambda lowered: lowered.compile())


def functions(
  environment: Environment,
  work: Work = REFERENCE,
  iterations: int = ITERATIONS,
  compile_: timing.Compile = executables.compile_,
) -> dict[str, Callable[[], Any]]:
  """Makes the parts of many iterations, each a compiled program.

  Args:
    environment: one environment with discrete actions.
    work: what an iteration does.
    iterations: how many.
    compile_: with which options; those of the loop unless said.

  Returns:
    By name, what runs a part.
  """
  acts = iterations * work.unroll * work.forwards
  updates = iterations * work.updates
  spec = environment.spec
  return {
    "acting forwards": timing.repeated(*_forward(spec, work), acts, compile_),
    "environment steps": timing.repeated(
      *_step(environment, work), acts, compile_
    ),
    "update": timing.repeated(*_update(spec, work), updates, compile_),
  }


# Everything depends on what went before, so that nothing is hoisted out of the
# repetition.
def _forward(spec: EnvironmentSpec, work: Work):
  observation, first = plain.seen(spec, 1, work.envs)
  memory = plain.memory(work, work.envs)
  network = plain.network(spec, work)
  params = network.init(jax.random.key(0), observation, first, memory)

  def forward(carry):
    seen, state = carry
    outputs, state = network.apply(params, seen, first, state)
    chosen = sum(jnp.argmax(x, -1) for x in outputs)
    ones = [1] * (observation.ndim - 2)
    return observation + 0.1 * chosen.reshape(1, work.envs, *ones), state

  return forward, (observation, memory)


def _step(environment: Environment, work: Work):
  if environment.slow_reset:
    step_all = environments.batch(environment).step
  else:
    step_all = jax.vmap(functools.partial(_step_or_begin, environment))
  action = plain.actions(environment.spec, work.envs)

  def step(carry):
    key, state, timestep = carry
    key, now = jax.random.split(key)
    keys = jax.random.split(now, (work.envs, 2))
    return key, *step_all(keys, state, timestep, action)

  key = jax.random.key(0)
  reset = jax.jit(environments.batch(environment).reset)
  started = reset(jax.random.split(key, work.envs))
  return step, (key, *started)


def _step_or_begin(environment: Environment, keys, state, timestep, action):
  """Begins an episode at every step, and keeps it after a last one."""
  stepped = environment.step(keys[0], state, action)
  begun = environment.reset(keys[1])
  return jax.tree.map(
    lambda x, y: jnp.where(timestep.last, x, y), begun, stepped
  )


def _update(spec: EnvironmentSpec, work: Work):
  observation, first = plain.seen(spec, work.length, work.batch)
  memory = plain.memory(work, work.batch)
  network = plain.network(spec, work)
  params = network.init(jax.random.key(0), observation, first, memory)
  optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(1e-3))
  loss = plain.loss(spec, work)

  def update(carry):
    new, old, opt_state = carry
    gradients = jax.grad(loss)(new, old)
    updates, opt_state = optimizer.update(gradients, opt_state, new)
    return optax.apply_updates(new, updates), new, opt_state

  return update, (params, params, optimizer.init(params))
