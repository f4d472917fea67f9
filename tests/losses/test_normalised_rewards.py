import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import losses
from neurorl.loss_types import Loss
from tests.sequences import loss_inputs, timesteps

GAMMA = 0.5
FIRST = timesteps("fmtfm", "fmmof", reward=np.arange(10.0).reshape(5, 2))
# It begins with the step that the first ended with.
SECOND = timesteps(
  "mmmt", "fmmm", reward=np.array([8, 9, 3, -1, 2, 5, 40, 7.0]).reshape(4, 2)
)
TASK = type("Task", (), {"discount": GAMMA})


def seen(rollouts):
  """The sums that the statistics are of, by plain loops."""
  found, sums = [], np.zeros(2)
  for steps in rollouts:
    for t in range(1, len(steps.reward)):
      for b in range(2):
        if steps.first[t, b]:
          sums[b] = 0.0
          continue
        sums[b] = GAMMA * sums[b] + steps.reward[t, b]
        found.append(sums[b])
  return np.array(found)


def prepared(rollouts, **settings):
  """The loss's own sight of each rollout."""

  def inner(agent, task):
    return Loss(lambda key, num_envs: ((), ()), None)

  loss = losses.normalised_rewards(inner, **settings)(None, TASK)
  params, state = loss.init(jax.random.key(0), 2)
  found = []
  for steps in rollouts:
    steps, state = loss.prepare(params, state, loss_inputs(steps, GAMMA))
    found.append(steps.timestep)
  return found


def test_rewards_are_divided_by_the_deviation_of_what_was_seen_so_far():
  rollouts = [FIRST, SECOND]
  found = prepared(rollouts, clip=1e6)
  for i, steps in enumerate(rollouts):
    expected = steps.reward / seen(rollouts[: i + 1]).std()
    np.testing.assert_allclose(found[i].reward, expected, rtol=1e-5)


def test_nothing_but_rewards_changes_and_they_are_clipped():
  (found,) = prepared([SECOND], clip=1.5)
  assert found.reward.max() == 1.5
  for name in ("discount", "first", "last"):
    np.testing.assert_array_equal(getattr(found, name), getattr(SECOND, name))


def test_an_episode_that_ended_is_not_in_the_next_ones_sums():
  changed = FIRST._replace(reward=FIRST.reward.at[3, 0].set(99.0))
  found, other = prepared([FIRST, SECOND])[1], prepared([changed, SECOND])[1]
  # The reward of a first step answers no action.
  np.testing.assert_array_equal(found.reward, other.reward)


def test_terms_and_returns_read_what_was_divided():
  recipe = losses.losses(
    {"value": lambda inputs: None},
    prepare={"reward": losses.rewards()},
  )
  loss = losses.normalised_rewards(recipe)(None, TASK)
  params, state = loss.init(jax.random.key(0), 2)
  steps, _ = loss.prepare(params, state, loss_inputs(FIRST, GAMMA))
  expected = FIRST.reward[1:] / seen([FIRST]).std()
  np.testing.assert_allclose(steps.extras["reward"][:-1], expected, rtol=1e-5)
  assert jnp.isfinite(steps.timestep.reward).all()


def test_what_is_refused():
  with pytest.raises(ValueError, match=r"normalised_rewards\.clip must be"):
    losses.normalised_rewards(None, clip=0.0)
