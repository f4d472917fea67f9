"""The parts of recurrent Q-learning, as a single-file script would have them.

32 environments, rollouts of 10, LSTM or GRU 128, torso 128, head 512, an update
of 32 sequences of 20 steps: ten acting forwards, ten environment steps and that
update by plain Haiku and optax. Machines are compared by their sum.
"""

from collections.abc import Callable
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import optax

from neurorl import environments
from neurorl.types import Environment

from . import timing

UNROLL, BATCH, SEQUENCE, ENVS = 10, 32, 20, 32
STEPS = UNROLL * ENVS  # of an iteration
ITERATIONS = 50  # that each part repeats
# By name: the module, and what makes a state of it.
CORES = {
  "lstm": (hk.LSTM, lambda zeros: hk.LSTMState(zeros, zeros)),
  "gru": (hk.GRU, lambda zeros: zeros),
}


def functions(
  environment: Environment, core: str = "lstm"
) -> dict[str, Callable[[], Any]]:
  """Makes the parts of 50 iterations, each a compiled program.

  Args:
    environment: one environment with discrete actions.
    core: one of `CORES`.

  Returns:
    By name, what runs a part.
  """
  key = jax.random.key(0)
  shape = environment.spec.observation.shape
  actions = environment.spec.actions.num_actions
  make_core, make_state = CORES[core]

  def network(observation, first, state):
    x = jax.nn.relu(hk.Linear(128)(hk.Flatten(-len(shape))(observation)))
    x, state = hk.dynamic_unroll(
      hk.ResetCore(make_core(128)), (x, first), state
    )
    x = jax.nn.relu(hk.Linear(512)(x))
    return hk.Linear(actions)(x), state

  transformed = hk.without_apply_rng(hk.transform(network))
  memory = make_state(jnp.zeros((BATCH, 128)))
  observation = jax.random.uniform(key, (SEQUENCE, BATCH, *shape))
  first = jnp.zeros((SEQUENCE, BATCH), bool)
  action = jax.random.randint(key, (SEQUENCE, BATCH), 0, actions)
  reward = jax.random.uniform(key, (SEQUENCE - 1, BATCH))
  params = transformed.init(key, observation, first, memory)
  optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(1e-3))

  def choose(q, a):
    return jnp.take_along_axis(q, a[..., None], -1)[..., 0]

  def loss(params, target_params):
    q, _ = transformed.apply(params, observation, first, memory)
    target, _ = transformed.apply(target_params, observation, first, memory)
    value = choose(target, jnp.argmax(q, -1))[1:]

    def back(g, rv):
      g = rv[0] + 0.99 * (0.1 * rv[1] + 0.9 * g)
      return g, g

    _, returns = jax.lax.scan(back, value[-1], (reward, value), reverse=True)
    error = choose(q, action)[:-1] - jax.lax.stop_gradient(returns)
    return jnp.mean(jnp.square(error))

  # Everything depends on what went before, so that nothing is hoisted out of
  # the repetition.
  def update(carry):
    new, old, opt_state = carry
    gradients = jax.grad(loss)(new, old)
    updates, opt_state = optimizer.update(gradients, opt_state, new)
    return optax.apply_updates(new, updates), new, opt_state

  def forward(carry):
    seen, state = carry
    q, state = transformed.apply(params, seen, first[:1], state)
    chosen = jnp.argmax(q, -1).reshape(1, BATCH, *[1] * len(shape))
    return observation[:1] + 0.1 * chosen, state

  batched = environments.batch(environment)

  def step(carry):
    key, state, timestep = carry
    key, now = jax.random.split(key)
    keys = jax.random.split(now, (ENVS, 2))
    return key, *batched.step(keys, state, timestep, action[0])

  started = jax.jit(batched.reset)(jax.random.split(key, ENVS))
  return {
    "acting forwards": timing.repeated(
      forward, (observation[:1], memory), ITERATIONS * UNROLL
    ),
    "environment steps": timing.repeated(
      step, (key, *started), ITERATIONS * UNROLL
    ),
    "update": timing.repeated(
      update, (params, params, optimizer.init(params)), ITERATIONS
    ),
  }


def milliseconds(environment: Environment, repeats: int) -> float:
  """Returns the sum of the parts of one iteration, in milliseconds."""
  seconds = timing.medians(functions(environment), repeats)
  return 1e3 * sum(seconds.values()) / ITERATIONS
