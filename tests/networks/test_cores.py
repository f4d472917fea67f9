import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


@pytest.mark.parametrize("name", CORES)
def test_unroll_equals_steps_with_resets_in_the_middle(name):
  core = make(name)
  start = state = core.some_state()
  outputs = []
  for t in range(T):
    output, state = core.step(INPUTS[t], SOMETIMES[t], state)
    outputs.append(output)
  unrolled, final = core.unroll(INPUTS, SOMETIMES, start)
  assert_close(unrolled, jnp.stack(outputs))
  assert_close(final, state)


@pytest.mark.parametrize("name", CORES)
def test_shapes(name):
  core = make(name)
  state = core.initial_state(B)
  assert all(leaf.shape[0] == B for leaf in jax.tree.leaves(state))
  size = D if name == "none" else H
  output, after = core.step(INPUTS[0], NEVER[0], state)
  outputs, final = core.unroll(INPUTS, NEVER, state)
  assert output.shape == (B, size) and outputs.shape == (T, B, size)
  for other in (after, final):
    assert jax.tree.map(lambda x: (x.shape, x.dtype), other) == (
      jax.tree.map(lambda x: (x.shape, x.dtype), state)
    )


@pytest.mark.parametrize("method", ["unroll", "step"])
@pytest.mark.parametrize("name", MEMORIES)
def test_after_a_reset_the_state_is_a_fresh_one(name, method):
  core = make(name)
  used, fresh = core.some_state(), core.initial_state(B)
  if method == "step":
    x, always, never = INPUTS[0], ~NEVER[0], NEVER[0]
  else:
    x, always, never = INPUTS, NEVER.at[0].set(True), NEVER
  call = getattr(core, method)
  expected = call(x, never, fresh)
  assert_close(call(x, always, used), expected)
  without_reset = call(x, never, used)[0]
  assert np.abs(without_reset - expected[0]).max() > 1e-3


@pytest.mark.parametrize("name", MEMORIES)
def test_only_the_rows_that_are_told_to_are_reset(name):
  core = make(name)
  used = core.some_state()
  after, _ = core.unroll(INPUTS, SOMETIMES, used)
  without, _ = core.unroll(INPUTS, NEVER, used)
  differs = np.abs(after - without).max(axis=-1) > 1e-4
  expected = np.zeros((T, B), bool)
  expected[RESET_AT:, 0] = expected[:, 2] = True
  np.testing.assert_array_equal(differs, expected)


@pytest.mark.parametrize("name", MEMORIES)
def test_no_gradient_crosses_a_reset(name):
  core = make(name)
  reset = NEVER.at[RESET_AT, 0].set(True)
  start = core.some_state()

  def after(x, state, reset):
    """What row 0 puts out from the reset on."""
    outputs, _ = core.unroll(x, reset, state)
    return jnp.sum(outputs[RESET_AT:, 0] * jnp.arange(1.0, H + 1))

  gradient = jax.jit(jax.grad(after, argnums=(0, 1)))
  by_input, by_state = gradient(INPUTS, start, reset)
  np.testing.assert_array_equal(by_input[:RESET_AT], 0.0)
  assert (np.abs(by_input[RESET_AT:, 0]).max(axis=-1) > 0).all()
  for leaf in jax.tree.leaves(by_state):
    np.testing.assert_array_equal(leaf, 0.0)
  # Without the reset it does flow: the zeros above are the reset's.
  by_input, by_state = gradient(INPUTS, start, NEVER)
  assert (np.abs(by_input[:, 0]).max(axis=-1) > 0).all()
  for leaf in jax.tree.leaves(by_state):
    # One number per row is the length of a window, which is no memory.
    assert leaf.ndim == 1 or np.abs(leaf[0]).max() > 0


@pytest.mark.parametrize("name", CORES)
def test_no_gradient_goes_back_in_time_or_across_rows(name):
  core = make(name)

  def at(x):
    outputs, _ = core.unroll(x, SOMETIMES, core.initial_state(B))
    return jnp.sum(outputs[2, 1] * jnp.arange(1.0, outputs.shape[-1] + 1))

  gradient = np.array(jax.jit(jax.grad(at))(INPUTS))
  assert np.abs(gradient[2, 1]).max() > 0
  np.testing.assert_array_equal(gradient[3:], 0.0)
  np.testing.assert_array_equal(gradient[:, [0, 2]], 0.0)


@pytest.mark.parametrize("name", CORES)
def test_rows_are_independent(name):
  core = make(name)
  start = core.some_state()
  together, final = core.unroll(INPUTS, SOMETIMES, start)
  for b in range(B):
    row = functools.partial(jax.tree.map, lambda s, b=b: s[b : b + 1])
    alone, state = core.unroll(
      INPUTS[:, b : b + 1], SOMETIMES[:, b : b + 1], row(start)
    )
    assert_close(alone, together[:, b : b + 1])
    assert_close(state, row(final))


@pytest.mark.parametrize("name", MEMORIES)
def test_the_initial_state_is_zeros_or_learned(name):
  core = make(name)
  state = core.initial_state(B)
  learned = name in LEARNED
  for leaf in jax.tree.leaves(state):
    assert bool((leaf != 0).all()) == learned
    assert bool((leaf == leaf[0]).all())
  # At the beginning of learning it is zeros in any case.
  initial = core.init(jax.random.key(0))
  for leaf in jax.tree.leaves(core.initial_state_with(initial, B)):
    np.testing.assert_array_equal(leaf, 0.0)


@pytest.mark.parametrize("name", MEMORIES)
def test_every_parameter_learns(name):
  core = make(name)
  start = core.some_state()

  def loss(params):
    outputs, _ = core.unroll_with(params, INPUTS, SOMETIMES, start)
    return jnp.sum(jnp.square(outputs))

  gradients = jax.jit(jax.grad(loss))(core.params)
  leaves = jax.tree.leaves(gradients)
  if name in GATED:
    extra = len(jax.tree.leaves(start)) if name in LEARNED else 0
    assert len(leaves) == 3 + extra  # input, recurrent, bias; initial states
  assert all(np.abs(leaf).max() > 0 for leaf in leaves)


def weights(core):
  (params,) = core.params.values()
  return [np.asarray(params[name]) for name in ("w_i", "w_h", "b")]


def test_lstm_equals_haikus_with_the_same_weights():
  core = make("lstm")
  w_i, w_h, b = weights(core)
  state = core.some_state()
  haiku = hk.without_apply_rng(
    hk.transform(lambda x, s: hk.LSTM(H)(x, hk.LSTMState(*s)))
  )
  params = {"lstm/linear": {"w": np.concatenate([w_i, w_h]), "b": b}}
  theirs = tuple(state)
  for t in range(T):
    output, state = core.step(INPUTS[t], NEVER[t], state)
    expected, theirs = haiku.apply(params, INPUTS[t], theirs)
    assert_close(output, expected)
    assert_close(tuple(state), tuple(theirs))


def test_gru_equals_a_plain_loop():
  core = make("gru")
  w_i, w_h, b = [w.astype(np.float64) for w in weights(core)]
  state = core.some_state()
  outputs, final = core.unroll(INPUTS, NEVER, state)

  def sigmoid(x):
    return 1 / (1 + np.exp(-x))

  for row in range(B):
    h = np.asarray(state[row], np.float64)
    for t in range(T):
      x = np.asarray(INPUTS[t, row], np.float64) @ w_i + b
      z = sigmoid(x[:H] + h @ w_h[:, :H])
      r = sigmoid(x[H : 2 * H] + h @ w_h[:, H : 2 * H])
      candidate = np.tanh(x[2 * H :] + (r * h) @ w_h[:, 2 * H :])
      h = (1 - z) * h + z * candidate
      np.testing.assert_allclose(outputs[t, row], h, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(final[row], h, rtol=1e-4, atol=1e-6)


def test_no_core_passes_its_input_on():
  core = make("none")
  outputs, state = core.unroll(INPUTS, SOMETIMES, core.initial_state(B))
  np.testing.assert_array_equal(outputs, INPUTS)
  assert jax.tree.leaves(state) == []


@pytest.mark.parametrize("recipe", [networks.lstm, networks.gru])
def test_hidden_size_must_be_positive(recipe):
  with pytest.raises(ValueError, match="hidden_size must be >= 1, got 0"):
    recipe(hidden_size=0)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_gradient_written_by_hand_is_that_of_the_steps(name):
  core = make(name)
  by_output = jax.random.normal(jax.random.key(5), (T, B, H))
  state = core.some_state()

  def steps(params, x, reset, state):
    outputs = []
    for t in range(T):
      output, state = core.step_with(params, x[t], reset[t], state)
      outputs.append(output)
    return jnp.stack(outputs), state

  def weighted(unroll, params, x, state):
    outputs, final = unroll(params, x, SOMETIMES, state)
    # The final state counts too: acting goes on from it, and so may a loss.
    final = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(final))
    return jnp.sum(outputs * by_output) + final

  def gradient(unroll):
    by_hand = jax.grad(functools.partial(weighted, unroll), argnums=(0, 1, 2))
    return jax.jit(by_hand)(core.params, INPUTS, state)

  assert_close(gradient(core.unroll_with), gradient(steps))
