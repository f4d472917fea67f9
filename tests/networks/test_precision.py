"""Computing in bfloat16: for every core, near to float32 and cheaper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import networks
from tests.networks import core_cases
from tests.networks.test_agent import KEY, SPEC, STEPS, B


def make(core, dtype, **more):
  recipe = networks.agent(
    networks.mlp((6,)),
    {"q": networks.q_head((4,))},
    core_cases.CORES[core],
    compute_dtype=dtype,
    **more,
  )
  return recipe(SPEC)


def run(agent, params):
  def total(params):
    state = agent.initial_state(params, B)
    outputs, state = agent.unroll(params, KEY, STEPS, state, "online")
    return jnp.square(outputs["q"]["mean"]).sum(), (outputs, state)

  return jax.jit(jax.value_and_grad(total, has_aux=True))(params)


@pytest.mark.parametrize("core", core_cases.CORES)
def test_bfloat16_is_near_and_all_that_is_kept_is_float32(core):
  exact, lower = make(core, None), make(core, "bfloat16")
  params = exact.init(jax.random.key(0))
  for x, y in zip(
    *map(jax.tree.leaves, (params, lower.init(jax.random.key(0)))), strict=True
  ):
    np.testing.assert_array_equal(x, y)
  (_, wanted), _ = run(exact, params)
  (_, found), gradient = run(lower, params)
  for x, y in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
    assert x.dtype == y.dtype
    np.testing.assert_allclose(x, y, rtol=0.1, atol=0.1)
  assert np.any(found[0]["q"]["mean"] != wanted[0]["q"]["mean"])
  for x in jax.tree.leaves(gradient):
    assert x.dtype == jnp.float32
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_torso_and_core_multiply_in_bfloat16_and_heads_in_float32():
  agent = make("lstm", "bfloat16")
  params = jax.eval_shape(agent.init, KEY)

  def unroll(params):
    state = agent.initial_state(params, B)
    return agent.unroll(params, KEY, STEPS, state, "online")[0]

  text = str(jax.make_jaxpr(unroll)(params))
  # Torso, input and recurrent projection; two layers of a head.
  assert text.count("preferred_element_type=float32") == 5
  assert text.count("convert_element_type[new_dtype=bfloat16") == 6


def test_a_model_imagines_in_bfloat16():
  models = [
    make("gru", dtype, dynamics=networks.residual_dynamics((7,)))
    for dtype in (None, "bfloat16")
  ]
  params = models[0].init(KEY)
  embedding = jnp.linspace(-1.0, 1.0, B * core_cases.H).reshape(B, -1)
  action = jnp.arange(B) % 3
  found, wanted = (
    agent.imagine(params, KEY, embedding, action, "online")[1]
    for agent in reversed(models)
  )
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, wanted, rtol=0.1, atol=0.1)
  assert np.any(found != wanted)


def test_a_precision_that_there_is_not():
  with pytest.raises(ValueError, match=r"agent\.compute_dtype must be None or"):
    make("lstm", "float8")
