import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.training import contracts


def play(actions, episodes=1, **settings):
  """Timesteps `[T+1, N]` of episodes that follow the same actions."""
  environment = environments.two_step(**settings)

  def episode(key):
    reset_key, key = jax.random.split(key)
    first = environment.reset(reset_key)

    def step(carry, x):
      carry = environment.step(x[0], carry[0], x[1])
      return carry, carry[1]

    keys = jax.random.split(key, len(actions))
    _, rest = jax.lax.scan(step, first, (keys, jnp.array(actions)))
    return jax.tree.map(lambda a, b: jnp.append(a[None], b, 0), first[1], rest)

  keys = jax.random.split(jax.random.key(1), episodes)
  seen = jax.jit(jax.vmap(episode, out_axes=1))(keys)
  return jax.tree.map(np.asarray, seen)


def test_a_trial_by_hand():
  # Nothing is left to chance but which state is good in the first trial; the
  # two are swapped after each.
  sure = {"common": 1.0, "rewards": (1.0, 0.0), "reversal": 1.0}
  seen = play([0, 1, 0, 0, 1, 0], 50, num_trials=3, **sure)
  first, a, b = np.eye(3)
  np.testing.assert_array_equal(
    seen.observation,
    np.repeat(np.array([first, a, first, a, first, b, first])[:, None], 50, 1),
  )
  a_is_good = seen.reward[2] == 1
  assert 10 < a_is_good.sum() < 40
  none = np.zeros(50)
  b_is_good = 1.0 * ~a_is_good
  np.testing.assert_array_equal(
    # A, A, and B, which is good in the third trial if it was in the first.
    seen.reward,
    [none, none, 1.0 * a_is_good, none, b_is_good, none, b_is_good],
  )
  np.testing.assert_array_equal(seen.first[:, 0], [1, 0, 0, 0, 0, 0, 0])
  np.testing.assert_array_equal(seen.last[:, 0], [0, 0, 0, 0, 0, 0, 1])
  np.testing.assert_array_equal(seen.discount[:, 0], [1, 1, 1, 1, 1, 1, 0])


def test_chances():
  # Action 0 in all first stages; 20,000 trials.
  seen = play([0, 0] * 100, 200)
  second = seen.observation[1::2]
  common = second[..., 1].mean()
  assert abs(common - 0.8) < 0.02  # deviation 0.003
  rewards = seen.reward[2::2]
  # Half of the time A is good: 0.9 or 0.1, whichever state one is in.
  assert abs(rewards.mean() - 0.5) < 0.05
  # In one episode, two visits of A in a row are mostly paid alike: 0.9 ** 2 +
  # 0.1 ** 2 without a reversal, 2 * 0.9 * 0.1 with one.
  both = (second[1:, :, 1] == 1) & (second[:-1, :, 1] == 1)
  alike = (rewards[1:] == rewards[:-1])[both].mean()
  wanted = 0.975 * 0.82 + 0.025 * 0.18
  assert abs(alike - wanted) < 0.02
  # Action 1 leads mostly to B.
  assert abs(play([1, 0] * 100, 50).observation[1::2, :, 2].mean() - 0.8) < 0.03


def test_a_fixation_comes_before_each_trial():
  seen = play([0, 1, 0] * 2, num_trials=2, fixation=True, common=1.0)
  places = seen.observation[:, 0].argmax(axis=-1)
  # Only the action of the first stage counts.
  np.testing.assert_array_equal(places, [0, 1, 3, 0, 1, 3, 0])
  assert set(np.flatnonzero(seen.reward[:, 0])) <= {3, 6}
  np.testing.assert_array_equal(np.flatnonzero(seen.last[:, 0]), [6])


@pytest.mark.parametrize("fixation", [False, True])
def test_it_keeps_its_word_alone_and_wrapped(fixation):
  task = environments.two_step(fixation=fixation)
  contracts.check_environment(task)
  wrapped = environments.observation_action_reward(task)
  contracts.check_environment(wrapped)
  assert set(wrapped.spec.observation) == {"observation", "action", "reward"}


def test_it_is_drawn():
  task = environments.observation_action_reward(
    environments.two_step(rewards=(1.0, 1.0))
  )
  state, _ = task.reset(jax.random.key(0))
  pictures = []
  for _ in range(3):
    pictures.append(task.render(state))
    state, _ = task.step(jax.random.key(1), state, jnp.int32(0))
  assert all(x.dtype == np.uint8 and x.shape[2] == 3 for x in pictures)
  start, second, paid = pictures
  assert (start != second).any() and (start != paid).any()


@pytest.mark.parametrize(
  "settings, said",
  [
    ({"num_trials": 0}, r"two_step\.num_trials must be >= 1, got 0"),
    ({"common": 1.2}, r"two_step\.common must be in \[0, 1\], got 1\.2"),
    ({"rewards": (0.9, -0.1)}, r"two_step\.rewards must be in \[0, 1\]"),
    ({"rewards": (0.9,)}, r"two_step\.rewards must be two probabilities"),
    ({"reversal": -1.0}, r"two_step\.reversal must be in"),
  ],
)
def test_what_is_refused(settings, said):
  with pytest.raises(ValueError, match=said):
    environments.two_step(**settings)
