import jax.numpy as jnp

from neurorl import networks
from tests.networks.core_cases import (
  INPUTS,
  SOMETIMES,
  D,
  H,
  Methods,
  assert_close,
  make,
)


def test_layers_of_a_stack_have_parameters_of_their_own():
  names = set(make("stacked, repeated").params)
  assert names == {"rnn", "rnn_1"}
  core = make("stacked")
  assert {name.split("/")[0] for name in core.params} == {"lstm", "s5"}
  # One after the other, from below.
  first, second = Methods(networks.lstm(H)), Methods(networks.s5(H))
  state = core.some_state()
  lower, _ = first.unroll_with(core.params, INPUTS, SOMETIMES, state[0])
  upper, _ = second.unroll_with(core.params, lower, SOMETIMES, state[1])
  assert_close(core.unroll(INPUTS, SOMETIMES, state)[0], upper)


def test_residual_adds_its_input_projected_if_sizes_differ():
  core, inner = make("residual"), Methods(networks.gru(H))
  state = core.some_state()
  own, final = core.unroll(INPUTS, SOMETIMES, state)
  alone, expected = inner.unroll_with(core.params, INPUTS, SOMETIMES, state)
  assert_close(own, alone + INPUTS @ core.params["residual"]["w"])
  assert_close(final, expected)
  same = Methods(networks.residual(networks.gru(D)))
  inner = Methods(networks.gru(D))
  state = same.some_state()
  alone, _ = inner.unroll_with(same.params, INPUTS, SOMETIMES, state)
  assert_close(same.unroll(INPUTS, SOMETIMES, state)[0], alone + INPUTS)
  assert set(same.params) == {"gru"}


def test_normalised_reads_inputs_of_mean_0_and_variance_1():
  core, inner = make("normalised"), Methods(networks.lstm(H))
  state, norm = core.some_state(), core.params["core_norm"]
  x = INPUTS - INPUTS.mean(-1, keepdims=True)
  x = x / jnp.sqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)
  x = x * norm["scale"] + norm["offset"]
  alone, _ = inner.unroll_with(core.params, x, SOMETIMES, state)
  assert_close(core.unroll(INPUTS, SOMETIMES, state)[0], alone)
