"""Successor features against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.types import Agent
from tests.sequences import loss_inputs, timesteps

GAMMA, P, A, F = 0.5, 3, 4, 2
# A middle, a termination and its reset; a middle, a time-out and its reset.
KINDS = ("fmtfm", "fmofm")
LENGTH, B = len(KINDS[0]), len(KINDS)
RNG = np.random.default_rng(0)
ONLINE, TARGET = RNG.normal(size=(2, LENGTH, B, P, A, F)).astype(np.float32)
POLICIES = RNG.normal(size=(1, B, P, F)).repeat(LENGTH, axis=0)
ACTION = RNG.integers(0, A, (LENGTH, B))
FEATURES = RNG.normal(size=(LENGTH, B, F)).astype(np.float32)


def term(policy=None, n=None):
  values = losses.expected_q(policy or losses.target_greedy("own"), "psi")
  return losses.successor_features(
    losses.regression(
      losses.action_value("psi"),
      losses.one_step_returns(values)
      if n is None
      else losses.n_step_returns(values, n),
      losses.squared_error(),
    )
  )


def predicted(psi, policies=POLICIES, **more):
  psi, policies = jnp.asarray(psi), jnp.asarray(policies, jnp.float32)
  return {"successor": {"psi": psi, "policies": policies, **more}}


def case(online=ONLINE, target=TARGET, features=FEATURES, **more):
  seen = {"task": np.zeros((LENGTH, B, F)), "features": features}
  return loss_inputs(
    timesteps(*KINDS, reward=RNG.normal(size=(LENGTH, B)), observation=seen),
    GAMMA,
    online=predicted(online, **more),
    target=predicted(target),
    action=ACTION,
    codecs={},
  )


def next_action(which, t, b, z):
  """What policy z does at a step, by its own values or by all policies'."""
  values = TARGET[t, b] @ POLICIES[t, b, z]  # [P, A]
  return np.argmax(values[z] if which == "own" else values.max(axis=0))


def by_hand(which, n=1):
  """Losses of transitions that count, by the equation."""
  expected = np.zeros((LENGTH - 1, B))
  for t, b in np.ndindex(LENGTH - 1, B):
    squares = []
    for z in range(P):
      wanted, discount, at = np.zeros(F), 1.0, t
      for _ in range(n):
        wanted += discount * FEATURES[at + 1, b]
        discount *= 0.0 if KINDS[b][at + 1] == "t" else GAMMA
        at += 1
        if KINDS[b][at] in "to" or at == LENGTH - 1:
          break
      action = next_action(which, at, b, z)
      wanted += discount * TARGET[at, b, z, action]
      squares.append((wanted - ONLINE[t, b, z, ACTION[t, b]]) ** 2 / 2)
    expected[t, b] = np.mean(squares)
  return expected


@pytest.mark.parametrize("which", ["own", "gpi"])
@pytest.mark.parametrize("n", [1, 2])
def test_the_loss_by_hand(which, n):
  inputs = case()
  found = term(losses.target_greedy(which), n)(inputs)
  counts = np.asarray(inputs.mask) > 0
  assert counts.sum() == 6
  np.testing.assert_allclose(
    found.loss[counts], by_hand(which, n)[counts], rtol=1e-4
  )


def test_own_and_improved_actions_differ_here():
  differ = [
    next_action("own", t, b, z) != next_action("gpi", t, b, z)
    for t, b, z in np.ndindex(LENGTH, B, P)
  ]
  assert any(differ) and not all(differ)


def test_the_reward_is_not_read_and_errors_are_absolute():
  inputs = case()
  timestep = inputs.steps.timestep._replace(
    reward=inputs.steps.timestep.reward + 9.0
  )
  other = inputs._replace(steps=inputs.steps._replace(timestep=timestep))
  found, again = term()(inputs), term()(other)
  np.testing.assert_array_equal(found.loss, again.loss)
  assert found.error.min() >= 0
  np.testing.assert_allclose(
    found.error, found.metrics["absolute_error"], rtol=1e-6
  )


def test_gradients_reach_the_psi_of_the_action_taken_alone():
  def loss(online, target, policies):
    inputs = case(online, target, policies=policies)
    return term(losses.online_greedy("own"))(inputs).loss.sum()

  of_online, of_target, of_policies = jax.grad(loss, (0, 1, 2))(
    jnp.asarray(ONLINE), jnp.asarray(TARGET), jnp.asarray(POLICIES)
  )
  np.testing.assert_array_equal(of_target, 0)
  np.testing.assert_array_equal(of_policies, 0)
  taken = np.arange(A) == ACTION[:-1, :, None, None]
  learned = np.all(np.asarray(of_online[:-1]) != 0, axis=-1)
  np.testing.assert_array_equal(learned, np.broadcast_to(taken, learned.shape))
  np.testing.assert_array_equal(of_online[-1], 0)


def test_drawn_policies_are_asked_of_the_target():
  """The target is unrolled anew, at the policies that were drawn online."""
  asked = []

  def unroll(params, key, timestep, state, mode):
    del key, state
    asked.append((params, mode, timestep.observation))
    return predicted(TARGET), ()

  agent = Agent(None, None, None, unroll)
  inputs = case(target=0 * TARGET, drawn=jnp.ones((LENGTH, B), bool))
  inputs = inputs._replace(agent=agent, target_params="the target's")
  found = term()(inputs)
  np.testing.assert_array_equal(found.loss, term()(case()).loss)
  [(params, mode, seen)] = asked
  assert params == "the target's" and mode == "target"
  np.testing.assert_allclose(seen["policies"], POLICIES, rtol=1e-6)
  assert set(seen) == {"task", "features", "policies"}


def test_what_is_refused():
  inputs = case()
  timestep = inputs.steps.timestep._replace(observation=jnp.zeros((5, 2)))
  other = inputs._replace(steps=inputs.steps._replace(timestep=timestep))
  with pytest.raises(ValueError, match="the observation shows no 'features'"):
    term()(other)
  with pytest.raises(ValueError, match="successor_features reads head 'succ"):
    term()(inputs._replace(online={}))
