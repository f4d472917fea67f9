"""`reanalysed`: the searches of replayed steps, done again."""

import jax.numpy as jnp
import mctx
import numpy as np
import pytest

from neurorl import losses, search
from neurorl.loss_types import Loss, LossOutput
from neurorl.ops.codecs import SCALAR
from neurorl.types import Agent, Task
from tests import plans
from tests.sequences import loss_inputs, timesteps

PAYS = jnp.array([0.1, 0.9, 0.5])
STEPS = timesteps("fmmm", "mmtf")
WORTH = jnp.arange(8.0).reshape(4, 2)


def imagine(params, key, embedding, action, mode):
  """One step pays, and what is beyond is worth nothing."""
  del key, mode
  batch = action.shape
  outputs = {
    "embedding": embedding,
    "policy": {"logits": jnp.zeros((*batch, 3))},
    "value": {"mean": jnp.zeros(batch)},
    "reward": {"mean": params * PAYS[action] + embedding[..., 0]},
    "goes_on": {"mean": jnp.zeros(batch)},
  }
  return outputs, embedding


AGENT = Agent(None, None, None, None, imagine, {"value": SCALAR})


def spying(read):
  """A loss that shows what it is given."""

  def apply(params, state, inputs, weights):
    seen = {name: inputs.steps.extras[name] for name in read}
    return LossOutput(jnp.float32(0.0), inputs.mask, seen), state

  return lambda agent, task: Loss(lambda key, num_envs: ((), ()), apply)


def apply(recorded, read=("search_policy", "search_value"), **settings):
  target = {
    "embedding": WORTH[..., None],
    "policy": {"logits": jnp.zeros((4, 2, 3))},
    "value": {"mean": jnp.zeros((4, 2))},
  }
  inputs = loss_inputs(STEPS, 0.9, target=target, extras=recorded)
  inputs = inputs._replace(agent=AGENT, target_params=jnp.float32(1.0))
  recipe = losses.reanalysed(
    spying(read),
    search.learned_model(discount_head="goes_on"),
    mctx.gumbel_muzero_policy,
    num_simulations=30,
    **settings,
  )
  loss = recipe(AGENT, Task(plans.chain(2), 0.9))
  return loss.apply((), (), inputs, np.ones(2))[0].metrics


def test_terms_read_what_is_found_today():
  # What was recorded is not even there.
  found = apply({"other": jnp.ones(3)}, ("search_policy", "search_value"))
  assert found["search_policy"].shape == (4, 2, 3)
  np.testing.assert_array_equal(found["search_policy"].argmax(axis=-1), 1)
  # Every simulation pays what its embedding says, more or less the arm.
  low, high = WORTH * 30 / 31, (WORTH + 0.9) * 30 / 31
  value = found["search_value"]
  assert ((value > low) & (value < high)).all()


def test_the_rest_is_as_it_was_recorded():
  recorded = {
    "search_policy": jnp.full((4, 2, 3), 7.0),
    "search_value": jnp.full((4, 2), 7.0),
    "other": jnp.ones(3),
  }
  found = apply(recorded, (*recorded,), fraction=0.5)
  for name in ("search_policy", "search_value"):
    assert (found[name][:, 0] != 7.0).all()
    np.testing.assert_array_equal(found[name][:, 1], 7.0)
  np.testing.assert_array_equal(found["other"], 1.0)


def test_mistakes_are_named():
  parts = (spying(()), search.learned_model(), mctx.gumbel_muzero_policy)
  with pytest.raises(ValueError, match=r"reanalysed\.num_simulations must be"):
    losses.reanalysed(*parts, num_simulations=0)
  with pytest.raises(ValueError, match=r"reanalysed\.fraction must be in"):
    losses.reanalysed(*parts, fraction=0.0)
  task = Task(plans.chain(2), 0.9)
  environment_model = (parts[0], search.environment_model(), parts[2])
  with pytest.raises(ValueError, match=r"reanalysed\.model must be"):
    losses.reanalysed(*environment_model)(AGENT, task)
  masked = plans.chain(2)._replace(invalid_actions=lambda state: None)
  with pytest.raises(ValueError, match="cannot know the invalid actions"):
    losses.reanalysed(*parts)(AGENT, Task(masked, 0.9))
  with pytest.raises(ValueError, match=r"bind agent\.dynamics ="):
    losses.reanalysed(*parts)(AGENT._replace(imagine=None), None)
