import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import scans

T, B, N = 9, 3, 4
# Of the decay, before it meets inputs [T, B, N, 2].
DECAYS = {
  "a number": (),
  "per unit": (N, 1),
  "per step and unit": (T, B, N, 1),
  "everywhere": (T, B, N, 2),
}


def random_case(shape, dtype):
  """Decays around 1, so that nothing is forgotten but by resets."""
  rng = np.random.default_rng(0)

  def normal(*shape):
    x = rng.normal(size=shape)
    if dtype == "complex64":
      x = x + 1j * rng.normal(size=shape)
    return x

  decay = 0.9 + 0.3 * normal(*shape)
  reset = rng.random((T, B)) < 0.3
  reset[:, 1] = False  # a row that is never reset
  reset[0, 2] = True
  return decay, normal(T, B, N, 2), reset, normal(B, N, 2)


def plain_loop(decay, inputs, reset, state):
  decay = np.broadcast_to(decay, inputs.shape)
  states = np.zeros_like(inputs)
  for b in range(B):
    h = state[b]
    for t in range(T):
      h = inputs[t, b] if reset[t, b] else decay[t, b] * h + inputs[t, b]
      states[t, b] = h
  return states


def arrays(decay, inputs, reset, state, dtype):
  decay, inputs, state = (jnp.asarray(x, dtype) for x in (decay, inputs, state))
  return decay, inputs, jnp.asarray(reset), state


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("shape", DECAYS.values(), ids=DECAYS)
def test_equals_a_plain_loop(shape, dtype, parallel):
  case = random_case(shape, dtype)
  actual = scans.linear_scan(*arrays(*case, dtype), parallel=parallel)
  assert actual.dtype == dtype
  np.testing.assert_allclose(actual, plain_loop(*case), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_gradients_do_not_depend_on_the_order(dtype):
  decay, inputs, reset, state = arrays(*random_case((T, B, N, 2), dtype), dtype)
  weights = jax.random.normal(jax.random.key(0), inputs.shape)

  def loss(parallel, decay, inputs, state):
    states = scans.linear_scan(decay, inputs, reset, state, parallel)
    return jnp.sum(weights * jnp.abs(states))

  by_parallel, by_sequential = (
    jax.grad(functools.partial(loss, parallel), (0, 1, 2))(decay, inputs, state)
    for parallel in (True, False)
  )
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4),
    by_parallel,
    by_sequential,
  )
  # Row 2 is reset at once, row 1 never.
  np.testing.assert_array_equal(by_parallel[2][2], 0.0)
  assert np.abs(by_parallel[2][1]).min() > 0


def test_two_halves_equal_the_whole():
  decay, inputs, reset, state = arrays(
    *random_case((T, B, N, 1), "float32"), "float32"
  )
  whole = scans.linear_scan(decay, inputs, reset, state, True)
  first = scans.linear_scan(decay[:4], inputs[:4], reset[:4], state, True)
  second = scans.linear_scan(decay[4:], inputs[4:], reset[4:], first[-1], True)
  halves = jnp.concatenate([first, second])
  np.testing.assert_allclose(halves, whole, rtol=1e-4, atol=1e-5)


def test_the_order_is_the_fast_one_of_the_backend():
  case = arrays(*random_case((), "float32"), "float32")
  default = str(jax.make_jaxpr(scans.linear_scan)(*case))
  assert ("scan[" in default) == (jax.default_backend() == "cpu")


def test_a_state_of_another_shape_is_refused():
  decay, inputs, reset, state = arrays(*random_case((), "float32"), "float32")
  with pytest.raises(AssertionError):
    scans.linear_scan(decay, inputs, reset, state[:, :1])
