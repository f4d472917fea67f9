"""The table of cores that tests run over, and what they share."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from neurorl import networks
from neurorl.networks import cores
from tests.sequences import random_params

T, B, D, H = 7, 3, 5, 4
RESET_AT = 4
# A new core earns all tests below by one line here.
MEMORIES = {
  "lstm": networks.lstm(H),
  "lstm, learned": networks.lstm(H, learn_initial_state=True),
  "gru": networks.gru(H),
  "gru, learned": networks.gru(H, learn_initial_state=True),
  "rnn": networks.rnn(H),
  "ctrnn": networks.ctrnn(H, time_constant=3.0),
  "ctrnn, learned": networks.ctrnn(H, learn_initial_state=True),
  "min_gru": networks.min_gru(H),
  "lru": networks.lru(H, state_size=3),
  "s5": networks.s5(H, state_size=4, num_blocks=2),
  "linear_attention": networks.linear_attention(H, num_heads=2),
  "linear_attention, forgetting": networks.linear_attention(
    H, num_heads=2, forget=True
  ),
  "gtrxl": networks.gtrxl(H, num_heads=2, memory_size=2 * T, mlp_size=6),
  "stacked": networks.stacked([networks.lstm(H), networks.s5(H)]),
  "stacked, repeated": networks.stacked([networks.rnn(H)], repeats=2),
  "residual": networks.residual(networks.gru(H)),
  "residual, equal sizes": networks.stacked(
    [networks.lru(H), networks.residual(networks.min_gru(H))]
  ),
  "normalised": networks.normalised(networks.lstm(H)),
  "gtrxl, stacked": networks.stacked(
    [networks.gtrxl(H, num_heads=1, memory_size=T)], repeats=2
  ),
}
CORES = {
  **MEMORIES,
  "gtrxl, short": networks.gtrxl(H, num_heads=2, memory_size=2, mlp_size=6),
  "none": cores.FeedForward,
}
LEARNED = [name for name in MEMORIES if "learned" in name]
GATED = [
  name
  for name in MEMORIES
  if name.removesuffix(", learned") in ("lstm", "gru", "rnn", "ctrnn")
]


class Methods:
  """A core as pure functions, with parameters that are nowhere zero."""

  def __init__(self, recipe):
    def build():
      core = recipe()

      def init(x, reset):
        return core.unroll(x, reset, core.initial_state(x.shape[1]))

      return init, (core.initial_state, core.step, core.unroll)

    transformed = hk.without_apply_rng(hk.multi_transform(build))
    x, reset = jnp.zeros((T, B, D)), jnp.zeros((T, B), bool)
    self.init = functools.partial(transformed.init, x=x, reset=reset)
    self.params = random_params(self.init, jax.random.key(0))
    initial_state = transformed.apply[0]
    step, unroll = map(jax.jit, transformed.apply[1:])
    self.initial_state = functools.partial(initial_state, self.params)
    self.step = functools.partial(step, self.params)
    self.unroll = functools.partial(unroll, self.params)
    self.step_with, self.unroll_with = step, unroll
    self.initial_state_with = initial_state

  def some_state(self, seed=2):
    """A state as after some steps."""
    x = jax.random.normal(jax.random.key(seed), (T, B, D))
    return self.unroll(x, jnp.zeros((T, B), bool), self.initial_state(B))[1]


make = functools.cache(lambda name: Methods(CORES[name]))
INPUTS = jax.random.normal(jax.random.key(0), (T, B, D))
NEVER = jnp.zeros((T, B), bool)
# Row 0 is reset in the middle, row 1 never, row 2 twice, at the start too.
SOMETIMES = NEVER.at[RESET_AT, 0].set(True).at[jnp.array([0, 5]), 2].set(True)


def assert_close(x, y):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), x, y
  )


def weights(core):
  (params,) = core.params.values()
  return [np.asarray(params[name]) for name in ("w_i", "w_h", "b")]


def float64_params(core):
  """A core's parameters by the last part of their module's name."""
  return {
    name.split("/")[-1]: {k: np.asarray(v, np.float64) for k, v in p.items()}
    for name, p in core.params.items()
  }


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def linear(params, x):
  return x @ params["w"] + params.get("b", 0.0)


def run_plainly(core, step):
  """Compares an unroll with a plain step `(x, state) -> (output, state)`."""
  state = core.some_state()
  outputs, final = core.unroll(INPUTS, SOMETIMES, state)
  zeros = jax.tree.map(np.zeros_like, core.initial_state(1))
  for b in range(B):
    here = jax.tree.map(lambda s, b=b: np.asarray(s[b : b + 1]), state)
    for t in range(T):
      here = zeros if SOMETIMES[t, b] else here
      x = np.asarray(INPUTS[t, b : b + 1], np.float64)
      expected, here = step(x, here)
      np.testing.assert_allclose(
        outputs[t, b], expected[0], rtol=1e-3, atol=1e-5
      )
    np.testing.assert_allclose(final[b], here[0], rtol=1e-3, atol=1e-5)
