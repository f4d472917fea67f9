import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from tests.networks.core_cases import (
  CORES,
  GATED,
  INPUTS,
  LEARNED,
  MEMORIES,
  NEVER,
  RESET_AT,
  SOMETIMES,
  B,
  D,
  H,
  Methods,
  T,
  assert_close,
  make,
  run_plainly,
  weights,
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


@pytest.mark.parametrize(("name", "tau"), [("rnn", 1.0), ("ctrnn", 3.0)])
def test_rate_cores_equal_a_plain_loop(name, tau):
  core = make(name)
  w_i, w_h, b = [w.astype(np.float64) for w in weights(core)]

  def step(x, h):
    h = h + (np.tanh(x @ w_i + h @ w_h + b) - h) / tau
    return h, h

  run_plainly(core, step)


@pytest.mark.parametrize(
  ("build", "message"),
  [
    (lambda: networks.rnn(0), "rnn.hidden_size must be >= 1, got 0"),
    (lambda: networks.gru(max_memory=2.0), "gru.max_memory must be > 2"),
    (lambda: networks.lstm(max_memory=1), "lstm.max_memory must be > 2"),
    (lambda: networks.ctrnn(0), "ctrnn.hidden_size must be >= 1, got 0"),
    (lambda: networks.ctrnn(time_constant=0.5), "time_constant .* got 0.5"),
    (lambda: networks.min_gru(0), "min_gru.hidden_size must be >= 1, got 0"),
    (lambda: networks.min_gru(max_memory=1.0), "max_memory must be > 1"),
    (lambda: networks.lru(state_size=0), r"positive, got \[128, 0\]"),
    (lambda: networks.lru(min_radius=1.0), "got 1.0 and 0.999"),
    (lambda: networks.lru(max_phase=7.0), r"\(0, 2 pi\], got 7.0"),
    (lambda: networks.s5(num_blocks=0), r"positive, got \[128, 64, 0\]"),
    (lambda: networks.s5(num_blocks=3), "got 3 for 64 units"),
    (lambda: networks.s5(min_step=0.2), "got 0.2 and 0.1"),
    (lambda: networks.linear_attention(9, 2), "got 2 for 9 units"),
    (lambda: networks.gtrxl(9, 2), "gtrxl.num_heads .* got 2 for 9 units"),
    (lambda: networks.gtrxl(memory_size=0), r"positive, got \[0, 256\]"),
    (lambda: networks.stacked([]), "stacked.cores is empty; bind"),
    (lambda: networks.stacked([networks.rnn()], 0), "repeats must be >= 1"),
  ],
)
def test_bad_hyperparameters_are_refused(build, message):
  with pytest.raises(ValueError, match=message):
    build()


def test_a_gru_with_a_max_memory_holds_its_units_for_as_long():
  core = Methods(networks.gru(200, max_memory=50))
  (params,) = core.init(jax.random.key(0)).values()
  z, r, candidate = np.split(np.asarray(params["b"]), 3)
  # The part that is overwritten is 1 / (1 + steps), for 1 to 49 steps.
  steps = np.exp(-z)
  assert 1 <= steps.min() < 3 and 47 < steps.max() <= 49
  assert not r.any() and not candidate.any()


def test_an_lstm_with_a_max_memory_holds_its_units_for_as_long():
  core = Methods(networks.lstm(200, max_memory=50))
  (params,) = core.init(jax.random.key(0)).values()
  i, g, f, o = np.split(np.asarray(params["b"]), 4)
  steps = np.exp(f + 1)  # 1 is always added; what is kept: s / (1 + s)
  assert 1 <= steps.min() < 3 and 47 < steps.max() <= 49
  np.testing.assert_allclose(np.exp(-i), steps, rtol=1e-4)
  assert not g.any() and not o.any()
