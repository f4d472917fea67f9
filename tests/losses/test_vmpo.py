import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses, types
from neurorl.ops import distributions
from tests.sequences import loss_inputs, timesteps

# Of six transitions two begin at a last step and do not count.
STEPS = timesteps("fmof", "ftfm")
T, B, A = 3, 2, 3
VALID = np.array([[1, 1], [1, 0], [0, 1]])
RNG = np.random.default_rng(0)
LOGITS, BEFORE = RNG.normal(size=(2, T + 1, B, A)).astype(np.float32)
CHOICE = RNG.integers(0, A, (T + 1, B))
# The better half of what counts: the 3 and the 2.
ADVANTAGE = np.array([[3.0, -1.0], [0.5, 99.0], [50.0, 2.0]], np.float32)
BETTER = np.array([[1, 0], [0, 0], [0, 1]])
ETA, ALPHA, EPSILON_ETA, EPSILON_ALPHA = 2.0, 0.7, 0.1, 0.02


def constant(value):
  return {"mean": jnp.full((T + 1, B), value)}


def inputs(logits=LOGITS, advantage=ADVANTAGE, eta=ETA, alpha=ALPHA):
  agent = types.Agent(
    *[None] * 5, distributions={"policy": distributions.CATEGORICAL}
  )
  advantage = jnp.concatenate([advantage, jnp.zeros((1, B))])
  return loss_inputs(
    STEPS,
    0.5,
    online={
      "policy": {"logits": jnp.asarray(logits)},
      "eta": constant(eta),
      "alpha": constant(alpha),
    },
    target={"policy": {"logits": jnp.asarray(BEFORE)}},
    action=CHOICE,
    extras={"advantage": advantage},
  )._replace(agent=agent)


TERM = losses.vmpo(losses.recorded("advantage"), EPSILON_ETA, EPSILON_ALPHA)


def total(*arguments, **settings):
  loss = losses.losses(terms={"p": TERM})(None, None)
  output, _ = loss.apply((), (), inputs(*arguments, **settings), jnp.ones(B))
  return output.loss


def log_softmax(x):
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def by_hand():
  log_policy, log_before = log_softmax(LOGITS), log_softmax(BEFORE)
  log_prob = np.take_along_axis(log_policy, CHOICE[..., None], 2)[:-1, :, 0]
  psi = np.where(BETTER, np.exp(ADVANTAGE / ETA), 0.0)
  mean = psi.sum() / 2
  psi /= psi.sum()
  d = (np.exp(log_before) * (log_before - log_policy)).sum(-1)[:-1]
  return -(psi * log_prob).sum(), np.log(mean), (d * VALID).sum() / 4, psi


def test_by_hand():
  policy, log_mean, d, _ = by_hand()
  expected = (
    policy
    + ETA * (EPSILON_ETA + log_mean)
    + ALPHA * (EPSILON_ALPHA - d)
    + ALPHA * d
  )
  np.testing.assert_allclose(total(), expected, rtol=1e-5)


def test_eta_and_alpha_learn_their_own_lines():
  _, log_mean, d, psi = by_hand()
  by_eta = jax.grad(lambda x: total(eta=x))(ETA)
  better = np.where(BETTER, ADVANTAGE, 0.0)
  np.testing.assert_allclose(
    by_eta, EPSILON_ETA + log_mean - (psi * better).sum() / ETA, rtol=1e-5
  )
  by_alpha = jax.grad(lambda x: total(alpha=x))(ALPHA)
  np.testing.assert_allclose(by_alpha, EPSILON_ALPHA - d, rtol=1e-5)


def test_actions_learn_from_the_better_half_alone():
  """Where the policy is still the target's, nothing else has a gradient."""
  gradient = jax.grad(total)(jnp.asarray(BEFORE))
  moved = np.abs(gradient).max(axis=-1)
  assert (moved[:-1][BETTER == 1] > 1e-3).all()
  assert (moved[:-1][BETTER == 0] < 1e-6).all() and not moved[-1].any()
  _, _, _, psi = by_hand()
  for t, b in np.argwhere(BETTER):
    policy = np.exp(log_softmax(BEFORE))[t, b]
    expected = psi[t, b] * (policy - np.eye(A)[CHOICE[t, b]])
    np.testing.assert_allclose(gradient[t, b], expected, rtol=1e-4, atol=1e-6)


def test_what_does_not_count_changes_nothing():
  other = np.where(VALID, ADVANTAGE, RNG.normal(size=(T, B)) * 100)
  logits = np.where(
    np.pad(VALID, ((0, 1), (0, 0)))[..., None], LOGITS, LOGITS * 5
  )
  np.testing.assert_allclose(total(logits, other), total(), rtol=1e-6)


def test_nothing_that_counts_is_no_nan():
  case = inputs()
  output = TERM(case._replace(mask=jnp.zeros_like(case.mask)))
  assert np.isfinite(output.loss).all()


def test_what_all_advantages_share_changes_no_weight():
  gradients = [
    jax.grad(lambda x, shift=shift: total(x, ADVANTAGE + shift))(
      jnp.asarray(LOGITS)
    )
    for shift in (0.0, 7.0)
  ]
  np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["epsilon_eta", "epsilon_alpha"])
def test_bad_arguments(name):
  with pytest.raises(ValueError, match=rf"vmpo.{name} must be above 0, got 0"):
    losses.vmpo(losses.recorded("advantage"), **{name: 0.0})


def test_a_missing_constant_is_named():
  case = inputs()
  online = {k: v for k, v in case.online.items() if k != "eta"}
  with pytest.raises(ValueError, match="vmpo reads head 'eta'"):
    TERM(case._replace(online=online))


def test_without_target_parameters_it_says_so():
  with pytest.raises(ValueError, match=r"bind train.target_params = @periodic"):
    TERM(inputs()._replace(has_target=False))
