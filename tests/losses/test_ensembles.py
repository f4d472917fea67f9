import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.loss_types import TermOutput
from tests.sequences import loss_inputs, timesteps

M, A = 4, 3
STEPS = timesteps("fmof", "ftfm", reward=[[0, 0], [1, 2], [2, 0], [0, 4]])
RNG = np.random.default_rng(0)
ONLINE, TARGET = RNG.normal(size=(2, 4, 2, M, A)).astype(np.float32)
LEARNS = RNG.integers(0, 2, (4, 2, M)).astype(np.float32)
TERM = losses.regression(
  losses.action_value(),
  losses.one_step_returns(losses.double_q()),
  losses.squared_error(),
)


def predicted(values):
  return {"raw": jnp.asarray(values), "mean": jnp.asarray(values)}


def inputs(online=ONLINE, target=TARGET, members=True):
  heads = [
    {"mean": x.mean(axis=2), "members": predicted(x)}
    if members
    else predicted(x)
    for x in (online, target)
  ]
  return loss_inputs(
    STEPS,
    0.5,
    online={"q": heads[0], "other": predicted(online)},
    target={"q": heads[1], "other": predicted(target)},
    action=np.random.default_rng(1).integers(0, A, (4, 2)),
    extras={"learning": jnp.asarray(LEARNS)},
  )


def alone(member):
  return TERM(inputs(ONLINE[:, :, member], TARGET[:, :, member], members=False))


def test_an_ensemble_is_its_members_each_alone():
  output = losses.ensemble(TERM)(inputs())
  members = [alone(i) for i in range(M)]
  np.testing.assert_allclose(
    output.loss, np.mean([m.loss for m in members], axis=0), rtol=1e-5
  )
  np.testing.assert_allclose(
    output.error, np.mean([abs(m.error) for m in members], axis=0), rtol=1e-5
  )
  assert set(output.metrics) == set(members[0].metrics)
  for name, value in output.metrics.items():
    expected = np.mean([m.metrics[name] for m in members], axis=0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_members_learn_from_the_transitions_that_are_theirs():
  output = losses.ensemble(TERM, masks="learning")(inputs())
  expected = np.mean(
    [alone(i).loss * LEARNS[:-1, :, i] for i in range(M)], axis=0
  )
  np.testing.assert_allclose(output.loss, expected, rtol=1e-5)

  def loss(online):
    return losses.ensemble(TERM, masks="learning")(inputs(online)).loss.sum()

  learned = np.abs(jax.grad(loss)(jnp.asarray(ONLINE))).max(axis=-1) > 0
  np.testing.assert_array_equal(learned[:-1], LEARNS[:-1] > 0)
  assert not learned[-1].any()


def test_members_that_draw_draw_apart_and_see_other_heads():
  def term(case):
    noise = jax.random.normal(case.key, case.mask.shape)
    assert set(case.online) == {"q", "other"}
    return TermOutput(noise, noise, {"noise": noise[0, 0]})

  output = losses.ensemble(term)(inputs())
  # Means of as many numbers of variance one; alike, they would differ less.
  keys = jax.random.split(inputs().key, M)
  draws = np.stack([jax.random.normal(key, (3, 2)) for key in keys])
  np.testing.assert_allclose(output.loss, draws.mean(axis=0), rtol=1e-5)
  np.testing.assert_allclose(
    output.metrics["noise"], draws[:, 0, 0].mean(), rtol=1e-5
  )


def test_a_head_without_members_is_named():
  message = "ensemble reads 'members' of head 'q', which predicts mean, raw"
  with pytest.raises(ValueError, match=message):
    losses.ensemble(TERM)(inputs(ONLINE[:, :, 0], TARGET[:, :, 0], False))
