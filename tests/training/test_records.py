import csv

import jax.numpy as jnp
import numpy as np
import pytest

from neurorl import environments
from neurorl.training import recording, records
from neurorl.training.stay_probabilities import stay_probabilities
from neurorl.types import Actor, ActorOutput, Agent, Task
from tests.training.test_recording import COUNTING, counting

WRAPPED = environments.observation_action_reward(
  environments.probe("discounting")
)


@pytest.fixture(scope="module")
def rows():
  return recording.play(
    Task(WRAPPED, 0.5),
    COUNTING,
    [jnp.float32(0.1), jnp.float32(2.0)],
    [3, 4],
    recording.Settings(counting(1), 2, 2, value_head="q"),
  ).rows


def test_the_table_by_hand(rows, tmp_path):
  records.write(tmp_path / "mine.csv", rows)
  with (tmp_path / "mine.csv").open() as file:
    names, *lines = csv.reader(file)
  assert names == [
    "subject",
    "environment",
    "episode",
    "step",
    "first",
    "last",
    "observation_action_0",
    "observation_action_1",
    "observation_observation_0",
    "observation_observation_1",
    "observation_observation_2",
    "observation_reward",
    "action",
    "reward",
    "discount",
    "probability_0",
    "probability_1",
    "value",
    "q_0",
    "q_1",
    "td_error",
  ]
  assert len(lines) == 2 * 2 * 4
  # The second subject's first episode: Q of action 1 is 6 a step.
  begin, _, _, end = lines[8:12]
  assert ",".join(begin) == "4,0,0,0,True,False,0,0,1,-1,0,0,1,0,1,0,1,6,2,6,0"
  assert ",".join(end) == "4,0,0,3,False,True,0,1,1,2,0,1,,1,0,,,24,8,24,"
  # Short, and yet the very number.
  assert lines[0][names.index("q_0")] == "0.1"


def test_table_and_arrays_agree(rows, tmp_path):
  beside = records.write(tmp_path / "mine.csv", rows)
  table = records.read(tmp_path / "mine.csv")
  arrays = np.load(beside)
  last = arrays["last"]

  def same(name, wanted, blank=False):
    wanted = np.where(last, np.nan, wanted) if blank else wanted
    np.testing.assert_array_equal(table[name].astype(np.float32), wanted, name)

  for name in ("subject", "environment", "episode", "step", "first", "last"):
    same(name, arrays[name])
  for name in ("reward", "discount", "value", "td_error"):
    same(name, arrays[name])
  same("action", arrays["action"], blank=True)
  same("observation_reward", arrays["observation/reward"])
  for i in range(2):
    same(f"q_{i}", arrays["action_values"][:, i])
    same(f"q_{i}", arrays["head/q"][:, i])
    same(f"probability_{i}", arrays["probabilities"][:, i], blank=True)
    same(f"observation_action_{i}", arrays["observation/action"][:, i])
  assert arrays["hidden"].shape == last.shape
  assert arrays["search_visits"].shape == (*last.shape, 2)


def test_large_parts_of_observations_are_in_the_arrays_alone(rows):
  count = len(rows.step)
  seen = {"image": np.zeros((count, 9, 9)), "place": np.zeros((count, 2, 2))}
  drawn = rows._replace(timestep=rows.timestep._replace(observation=seen))
  names = [n for n in records.columns(drawn) if n.startswith("observation")]
  assert names == [f"observation_place_{i}" for i in range(4)]
  assert records.arrays(drawn)["observation/image"].shape == (count, 9, 9)


def test_vectors_of_actions_and_no_values(rows):
  count = len(rows.step)
  plain = rows._replace(
    action=np.ones((count, 2)), probabilities=None, value=None
  )
  names = set(records.columns(plain))
  assert {"action_0", "action_1"} <= names
  assert not names & {"probability_0", "value", "q_0", "td_error"}


@pytest.mark.parametrize(
  "text, said",
  [
    ("", "has no column 'subject'"),
    ("a,b\n1,2\n", "has no column 'subject'"),
    ("subject,last\n", "has no rows"),
    ("subject,last\n1,x\n", "could not convert"),
    ("subject,last\n1,2\n3\n", "no record"),
  ],
)
def test_what_is_no_record(text, said, tmp_path):
  path = tmp_path / "bad.csv"
  path.write_text(text)
  with pytest.raises(ValueError, match=said):
    records.read(path)


# The two-step task.


def _ruled(knows_transitions):
  """An actor that repeats its choice after a reward, and else takes another.

  One that knows the transitions takes a rare one for its opposite.
  """

  def build(agent, task):
    del agent, task

    def step(params, key, timestep, env_state, memory, state, progress):
      del params, key, env_state, progress
      choice, rare = state
      stage = timestep.observation
      led_to = stage[..., 2] > 0
      rare = jnp.where(stage[..., 0] > 0, rare, led_to != (choice == 1))
      good = timestep.reward > 0
      stay = (good != rare) if knows_transitions else good
      stay |= timestep.first
      chooses = stage[..., 0] > 0
      choice = jnp.where(chooses & ~stay, 1 - choice, choice)
      return ActorOutput(choice, {}, memory, (choice, rare))

    def init(key, size):
      del key
      return jnp.zeros(size, jnp.int32), jnp.zeros(size, bool)

    return Actor(init, step)

  return build


SILENT = Agent(None, lambda p, size: (), lambda *x: ({}, ()), None)


@pytest.mark.parametrize(
  "knows, wanted", [(False, [1, 1, 0, 0]), (True, [1, 0, 0, 1])]
)
def test_stay_probabilities_tell_who_knows_the_transitions(
  knows, wanted, tmp_path
):
  played = recording.play(
    Task(environments.two_step(num_trials=40), 0.9),
    SILENT,
    [(), ()],
    [5, 6],
    recording.Settings(_ruled(knows), 8, 8),
  )
  records.write(tmp_path / "mine.csv", played.rows)
  stay = stay_probabilities(records.read(tmp_path / "mine.csv"))
  np.testing.assert_array_equal(stay.subjects, [5, 6])
  np.testing.assert_array_equal(stay.by_subject, [wanted] * 2)
  np.testing.assert_array_equal(stay.mean, wanted)
  np.testing.assert_array_equal(stay.low, wanted)
  # All trials but an episode's last are followed by one.
  assert stay.trials.sum() == 2 * 8 * 39 and (stay.trials > 10).all()


def _trials(subject, trials, fixation=False):
  """Columns of an episode: (choice, second stage, reward) of each trial."""
  first, a, b = np.eye(3)
  seen, action, reward = [], [], [0.0]
  for choice, second, paid in trials:
    if fixation:
      seen.append(np.zeros(3))
      action.append(1.0 - choice)
      reward.append(0.0)
    seen += [first, b if second else a]
    action += [choice, 1.0 - choice]
    reward += [0.0, paid]
  seen.append(np.zeros(3) if fixation else first)
  action.append(np.nan)
  names = [f"observation_observation_{i}" for i in range(3 + fixation)]
  seen = np.array(seen)
  if fixation:
    seen = np.column_stack([seen.sum(axis=1) == 0, seen])
  return {
    "subject": np.full(len(seen), subject),
    "last": np.arange(len(seen)) == len(seen) - 1.0,
    **{name: seen[:, i] for i, name in enumerate(names)},
    "action": np.array(action),
    "reward": np.array(reward),
  }


def _joined(*episodes):
  return {n: np.concatenate([e[n] for e in episodes]) for n in episodes[0]}


@pytest.mark.parametrize("fixation", [False, True])
def test_stay_probabilities_by_hand(fixation):
  # Rewarded common, stayed; rewarded rare, stayed; unrewarded rare, left;
  # rewarded common, left; unrewarded common, stayed.
  one = [(0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 1), (0, 0, 0), (0, 0, 1)]
  # Unrewarded common, left; rewarded rare, left; unrewarded rare, stayed. That
  # another episode follows is no stay.
  two = [(1, 1, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]
  other = [(0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0), (0, 0, 1)]
  columns = _joined(
    _trials(7, one, fixation),
    _trials(7, two, fixation),
    _trials(8, other, fixation),
  )
  stay = stay_probabilities(columns)
  np.testing.assert_array_equal(
    stay.by_subject, [[0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]]
  )
  np.testing.assert_array_equal(stay.mean, [0.75] * 4)
  np.testing.assert_array_equal(stay.trials, [3, 3, 3, 3])
  np.testing.assert_array_equal([stay.low, stay.high], [[0.5] * 4, [1.0] * 4])


def test_stay_probabilities_refuse_other_records():
  columns = _trials(7, [(0, 0, 1)])
  other = {n: x for n, x in columns.items() if n[-1] != "0"}
  with pytest.raises(ValueError, match="no columns observation_0"):
    stay_probabilities(other)
  with pytest.raises(ValueError, match="no choice is followed"):
    never = np.zeros_like(columns["last"])
    stay_probabilities({**columns, "observation_observation_0": never})
