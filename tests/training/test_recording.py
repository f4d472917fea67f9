import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.ops.distributions import CATEGORICAL
from neurorl.training import judging, recording
from neurorl.types import Actor, ActorOutput, Agent, Task
from tests import small
from tests.training.test_evaluation import always, lasting

GAMMA = 0.5


def _step(params, key, timestep, state, mode):
  """Counts the steps of an episode; what it says is of the count alone."""
  del key, mode
  count = jnp.where(timestep.first, 0, state) + 1
  value = params * count
  return {
    "embedding": count,
    "value": {"mean": value},
    "q": {"mean": jnp.stack([value, 3.0 * value], axis=-1)},
  }, count


COUNTING = Agent(None, lambda params, size: jnp.zeros(size, int), _step, None)


def counting(action):
  """An actor that takes one action, and keeps the agent's state."""

  def build(agent, task):
    del task

    def step(params, key, timestep, env_state, agent_state, state, progress):
      _, agent_state = agent.step(params, key, timestep, agent_state, "acting")
      taken = jnp.full(timestep.last.shape, action, jnp.int32)
      extras = {
        "value": jnp.zeros(taken.shape),  # a head's: not recorded twice
        "probabilities": jax.nn.one_hot(taken, 2),
        "search_visits": 7 * jax.nn.one_hot(taken, 2),
      }
      return ActorOutput(taken, extras, agent_state, state)

    return Actor(lambda key, size: (), step)

  return build


def play(environment, params=(1.0,), action=1, **settings):
  settings = {"episodes": 1, "environments": 4, **settings}
  return recording.play(
    Task(environment, GAMMA),
    COUNTING,
    [jnp.float32(x) for x in params],
    list(range(10, 10 + len(params))),
    recording.Settings(counting(action), **settings),
  )


def test_an_episode_that_terminates_by_hand():
  rows = play(environments.probe("discounting")).rows
  np.testing.assert_array_equal(rows.step, [0, 1, 2, 3])
  np.testing.assert_array_equal(rows.timestep.first, [1, 0, 0, 0])
  np.testing.assert_array_equal(rows.timestep.last, [0, 0, 0, 1])
  np.testing.assert_array_equal(rows.timestep.reward, [0, 0, 0, 1])
  np.testing.assert_array_equal(rows.timestep.discount, [1, 1, 1, 0])
  np.testing.assert_array_equal(rows.value, [1, 2, 3, 4])
  np.testing.assert_array_equal(rows.chosen, rows.value)
  assert rows.action_values is None
  # 0.5 * 2 - 1, 0.5 * 3 - 2, and at the end the reward alone less 3.
  np.testing.assert_array_equal(rows.td_error, [0.0, -0.5, -2.0, np.nan])
  np.testing.assert_array_equal(rows.hidden, [1, 2, 3, 4])
  np.testing.assert_array_equal(rows.probabilities, [[0, 1]] * 4)
  np.testing.assert_array_equal(rows.recorded["search_visits"], [[0, 7]] * 4)
  assert set(rows.recorded) == {"search_visits"}
  assert set(rows.heads) == {"q", "value"}


def test_time_running_out_by_hand_and_values_of_actions():
  environment = environments.collect_objects(
    tasks=((2.0, -1.0),), layout=("Sab", "..a"), max_steps=2
  )
  rows = play(environment, value_head="q").rows  # to the right: a, then b
  np.testing.assert_array_equal(rows.timestep.reward, [0, 2, -1])
  np.testing.assert_array_equal(rows.timestep.discount, [1, 1, 1])
  np.testing.assert_array_equal(rows.value, [3, 6, 9])
  np.testing.assert_array_equal(rows.action_values, [[1, 3], [2, 6], [3, 9]])
  # 2 + 0.5 * 6 - 3, and -1 + 0.5 * 9 - 6 of the true final observation.
  np.testing.assert_array_equal(rows.td_error, [2.0, -2.5, np.nan])
  rows = play(environment, action=0, value_head="q").rows  # moves nowhere
  np.testing.assert_array_equal(rows.chosen, [1, 2, 3])
  np.testing.assert_array_equal(rows.td_error, [2.0, 2.5, np.nan])


def test_episodes_are_whole_and_none_is_counted_twice():
  played = play(lasting([1, 4, 90]), (1.0, 2.0), episodes=7, environments=3)
  rows = played.rows
  assert set(rows.subject) == {10, 11}
  lengths = []
  for subject in (10, 11):
    mine = rows.subject == subject
    assert set(rows.episode[mine]) == set(range(7))
    for episode in range(7):
      these = np.flatnonzero(mine & (rows.episode == episode))
      np.testing.assert_array_equal(np.diff(these), 1)
      count = these.size
      np.testing.assert_array_equal(rows.step[these], range(count))
      np.testing.assert_array_equal(
        np.flatnonzero(rows.timestep.first[these]), [0]
      )
      np.testing.assert_array_equal(
        np.flatnonzero(rows.timestep.last[these]), [count - 1]
      )
      # Whose memory begins anew with the episode, with parameters of its own.
      np.testing.assert_array_equal(rows.hidden[these], range(1, count + 1))
      np.testing.assert_array_equal(
        rows.value[these], (subject - 9) * np.arange(1.0, count + 1)
      )
      assert set(rows.environment[these]) == {episode % 3}
      lengths.append(count - 1)
  assert set(lengths) <= {1, 4, 90} and 90 in lengths and 1 in lengths


def test_states_are_those_of_the_rows():
  played = play(
    lasting([1, 4, 90]), (1.0, 2.0), episodes=7, environments=3,
    keep_states=True,
  )  # fmt: skip
  for row in range(0, len(played.rows.step), 7):
    _, length, time = played.state(row)
    assert time == played.rows.step[row]
    assert played.rows.timestep.last[row] == (time == length)


def test_an_episode_that_does_not_end_is_refused():
  with pytest.raises(ValueError, match="not ended after 20 transitions"):
    play(lasting([1_000_000]), max_steps=20)


def test_errors_are_those_of_a_loop_and_memories_those_of_an_unroll():
  experiment = small.load("qlearning.gin").call()
  agent = experiment.agent(experiment.environment.spec)
  params = [agent.init(jax.random.key(i)) for i in (1, 2)]
  rows = recording.play(
    experiment.task,
    agent,
    params,
    [1, 2],
    recording.Settings(experiment.actor, episodes=5, environments=2),
  ).rows
  q = rows.heads["q"]
  for i in range(len(q)):
    if rows.timestep.last[i]:
      assert np.isnan(rows.td_error[i])
      continue
    later = rows.timestep.discount[i + 1] * q[i + 1].max()
    error = rows.timestep.reward[i + 1] + 0.99 * later - q[i, rows.action[i]]
    np.testing.assert_allclose(rows.td_error[i], error, atol=1e-5)
    # The least of log-spaced epsilons is nearly greedy.
    epsilon = (0.4, 0.4**8)[rows.environment[i]]
    greedy = rows.probabilities[i].max()
    np.testing.assert_allclose(greedy, 1 - epsilon * 2 / 3, rtol=1e-5)
  for own, subject in zip(params, (1, 2), strict=True):
    mine = rows.subject == subject
    sequence = jax.tree.map(lambda x: x[mine][:, None], rows.timestep)  # noqa: B023
    outputs, state = agent.unroll(
      own, jax.random.key(0), sequence, agent.initial_state(own, 1), "online"
    )
    said = outputs["q"]["mean"][:, 0]
    np.testing.assert_allclose(said, q[mine], atol=1e-5)
    at_the_end = jax.tree.map(lambda x: x[mine][-1:], rows.hidden)  # noqa: B023
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
      state,
      at_the_end,
    )


SPEC = environments.probe().spec
Q = np.array([[1.0, 5.0], [4.0, 2.0]], np.float32)
POLICY = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)


def judged(outputs, agent=COUNTING, invalid=None, head=None):
  outputs = {name: {"mean": jnp.asarray(x)} for name, x in outputs.items()}
  judge = judging.judge(agent, SPEC, outputs, head)
  action = jnp.array([0, 1])
  return judge and judge((), jax.random.key(0), outputs, action, invalid)


def test_whose_values_are_read():
  found = judged({"q": Q})
  np.testing.assert_array_equal(found.value, [5, 4])
  np.testing.assert_array_equal(found.chosen, [1, 2])
  forbidden = jnp.array([[False, True], [False, False]])
  np.testing.assert_array_equal(
    judged({"successor": Q}, invalid=forbidden).value, [1, 4]
  )
  own = COUNTING._replace(distributions={"policy": CATEGORICAL})
  found = judged({"q": Q, "policy": POLICY, "temperature": Q[0]}, own)
  np.testing.assert_array_equal(found.value, [3.0, 2.5])
  both = {"q": Q, "value": Q[:, 0]}
  np.testing.assert_array_equal(judged(both).chosen, [1, 4])
  np.testing.assert_array_equal(judged(both, head="q").chosen, [1, 2])
  assert judged({"policy": POLICY, "novelty": Q[0]}, own) is None
  with pytest.raises(ValueError, match="head 'valu'; heads are q, value"):
    judged(both, head="valu")


def test_an_agent_that_judges_actions_is_asked():
  def evaluate(params, key, embedding, action, mode):
    assert mode == "evaluating"
    return {"q": {"mean": embedding + 10.0 * action}}

  agent = COUNTING._replace(
    distributions={"policy": CATEGORICAL},
    codecs={"q": None},
    evaluate_action=evaluate,
  )
  outputs = {
    "embedding": jnp.array([1.0, 2.0]),
    "policy": {"mean": POLICY, "logits": jnp.array([[0.0, 9.0], [9.0, 0.0]])},
  }
  judge = judging.judge(agent, SPEC, outputs)
  action = jnp.array([0, 1])
  found = judge((), jax.random.key(0), outputs, action, None)
  np.testing.assert_array_equal(found.value, [11.0, 2.0])  # likeliest: 1 and 0
  np.testing.assert_array_equal(found.chosen, [1.0, 12.0])
  assert found.action_values is None


def test_an_agent_of_which_nothing_is_known_is_recorded_all_the_same():
  agent = Agent(None, lambda p, size: (), lambda *x: ({}, ()), None)

  def act(agent, task):
    inner = always(1)(agent, task)

    def step(params, keys, timestep, env_state, memory, *rest):
      zeros = jnp.zeros(timestep.last.shape, int)
      decided = inner.step(params, keys, timestep, env_state, zeros, *rest)
      return decided._replace(agent_state=memory)

    return inner._replace(step=step)

  rows = recording.play(
    Task(environments.probe("constant_reward"), GAMMA),
    agent,
    [()],
    [0],
    recording.Settings(act, 2, 2),
  ).rows
  np.testing.assert_array_equal(rows.timestep.reward, [0, 1, 0, 1])
  assert rows.value is None and rows.td_error is None
  assert rows.probabilities is None
