import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.ops import codecs, transforms
from tests.sequences import loss_inputs, timesteps

STEPS = timesteps("fmof")
# The third transition starts at a last step and does not count.
Q = np.log([[[1.0, 3.0]], [[5.0, 1.0]], [[9.0, 9.0]], [[2.0, 2.0]]])
ACTION = np.array([[0], [0], [1], [1]])


def apply(term, q, codec=codecs.SCALAR):
  inputs = loss_inputs(
    STEPS,
    0.5,
    online={"q": {"raw": q, "mean": codec.decode(q)}},
    action=ACTION,
    codecs={"q": codec},
  )
  loss = losses.losses(terms={"p": term})(None, None)
  return loss.apply((), (), inputs, jnp.ones(1))[0]


def test_conservative_by_hand():
  output = apply(losses.conservative(), jnp.asarray(Q))
  expected = [np.log(4 / 1), np.log(6 / 5)]
  np.testing.assert_allclose(output.errors[:2, 0], expected, rtol=1e-5)
  np.testing.assert_allclose(output.loss, np.mean(expected), rtol=1e-5)


def test_conservative_holds_down_what_was_not_done():
  gradient = jax.grad(lambda q: apply(losses.conservative(), q).loss)(
    jnp.asarray(Q)
  )
  expected = np.zeros((4, 1, 2))
  expected[:2, 0] = [[1 / 4 - 1, 3 / 4], [5 / 6 - 1, 1 / 6]]
  np.testing.assert_allclose(gradient, expected / 2, atol=1e-6)


@pytest.mark.parametrize(
  "codec",
  [codecs.SCALAR, codecs.scalar_codec(transforms.signed_hyperbolic(0.1))],
)
def test_low_values_are_the_values_of_the_actions_taken(codec):
  output = apply(
    losses.low_values(losses.action_value()), jnp.asarray(Q), codec
  )
  expected = np.asarray(codec.decode(Q[:2, 0, 0]))
  np.testing.assert_allclose(output.errors[:2, 0], expected, atol=1e-5)
  np.testing.assert_allclose(output.loss, expected.mean(), rtol=1e-4)


def test_dqn_reg_is_half_of_what_evolution_found():
  inputs = loss_inputs(
    timesteps("mm", reward=[[0], [3]]),
    0.5,
    online={"q": {"raw": jnp.full((2, 1, 2), 1.0)}},
    target={"q": {"mean": jnp.full((2, 1, 2), 4.0)}},
  )
  terms = {
    "q": losses.regression(
      losses.action_value(),
      losses.one_step_returns(losses.max_q()),
      losses.squared_error(),
    ),
    "low": losses.low_values(losses.action_value()),
  }
  loss = losses.losses(terms=terms, weights={"low": 0.05})(None, None)
  output = loss.apply((), (), inputs, jnp.ones(1))[0]
  # An error of 3 + .5 * 4 - 1 = 4.
  np.testing.assert_allclose(output.loss, (0.1 * 1 + 4**2) / 2, rtol=1e-6)
