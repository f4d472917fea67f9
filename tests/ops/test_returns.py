import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from neurorl import losses
from neurorl.ops import episodes, returns
from tests.sequences import loss_inputs, timesteps

T, B = 9, 3


def numpy_n_step(rewards, discounts, values, last, n):
  """Forward: add up to n rewards, stop where an episode ends."""
  result = np.zeros_like(rewards)
  length, batch = rewards.shape
  for b in range(batch):
    for t in range(length):
      scale = 1.0
      for k in range(t, min(t + n, length)):
        result[t, b] += scale * rewards[k, b]
        scale *= discounts[k, b]
        if last[k, b]:
          break
      result[t, b] += scale * values[k, b]
  return result


def numpy_lambda(rewards, discounts, values, last, lambda_):
  """Forward view: n-step returns weighted by (1 - lambda) lambda^(n-1)."""
  result = np.zeros_like(rewards)
  length, batch = rewards.shape
  n_step = {
    n: numpy_n_step(rewards, discounts, values, last, n)
    for n in range(1, length + 1)
  }
  for b in range(batch):
    for t in range(length):
      end = next((k for k in range(t, length) if last[k, b]), length - 1)
      longest = end - t + 1
      for n in range(1, longest):
        result[t, b] += (1 - lambda_) * lambda_ ** (n - 1) * n_step[n][t, b]
      result[t, b] += lambda_ ** (longest - 1) * n_step[longest][t, b]
  return result


def random_case(seed, ends=True):
  """Rewards, discounts, values, and whether a transition ends an episode."""
  rng = np.random.default_rng(seed)
  rewards, values = rng.normal(size=(2, T, B))
  last = (rng.random((T, B)) < 0.3) & ends
  terminated = last & (rng.random((T, B)) < 0.5)
  discounts = rng.uniform(0.5, 1.0, (T, B)) * ~terminated
  return rewards, discounts, values, last


def arrays(*xs):
  return [jnp.asarray(x, jnp.float32) for x in xs]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 4, T])
def test_n_step_returns_equal_a_plain_loop(seed, n):
  rewards, discounts, values, last = random_case(seed)
  actual = returns.n_step_returns(
    *arrays(rewards, discounts, values, 1.0 - last), n
  )
  expected = numpy_n_step(rewards, discounts, values, last, n)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [0, T + 1])
def test_n_beyond_the_sequence_is_refused(n):
  rewards, discounts, values, last = random_case(0)
  with pytest.raises(ValueError, match=f"got {n}"):
    returns.n_step_returns(*arrays(rewards, discounts, values, 1.0 - last), n)
  with pytest.raises(ValueError, match=f"got {n}"):
    returns.n_step_sums(*arrays(rewards, discounts), jnp.asarray(~last), n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 2, 4, T])
def test_n_step_sums_are_the_parts_of_n_step_returns(seed, n):
  rewards, discounts, values, last = random_case(seed)
  sums = returns.n_step_sums(*arrays(rewards, discounts), jnp.asarray(~last), n)
  arrivals = np.asarray(sums.arrivals)
  bootstrap = np.take_along_axis(values, arrivals, axis=0)
  np.testing.assert_allclose(
    sums.rewards + sums.discounts * bootstrap,
    numpy_n_step(rewards, discounts, values, last, n),
    rtol=1e-5,
    atol=1e-6,
  )
  # They arrive n transitions on, or where the episode or the sequence ends.
  for t, b in np.ndindex(T, B):
    ends = [k for k in range(t, T) if last[k, b]]
    assert arrivals[t, b] == min(t + n - 1, T - 1, *ends)


def test_golden_n_step_sums():
  # An episode ends at the second of four transitions, in a time-out.
  columns = [[1.0, 2, 3, 4], [0.5, 0.5, 0.5, 0.25]]
  sums = returns.n_step_sums(
    *[jnp.asarray(c)[:, None] for c in columns],
    jnp.array([True, False, True, True])[:, None],
    2,
  )
  np.testing.assert_allclose(sums.rewards[:, 0], [2, 2, 5, 4])
  np.testing.assert_allclose(sums.discounts[:, 0], [0.25, 0.5, 0.125, 0.25])
  np.testing.assert_array_equal(sums.arrivals[:, 0], [1, 1, 3, 3])


def numpy_off_policy(rewards, discounts, values, action_values, traces):
  """Forward view: the sum of traced temporal differences."""
  length, batch = rewards.shape
  result = rewards + discounts * values
  for t, b in np.ndindex(length, batch):
    scale = 1.0
    for k in range(t, length - 1):
      scale *= discounts[k, b] * traces[k, b]
      error = rewards[k + 1, b] + discounts[k + 1, b] * values[k + 1, b]
      result[t, b] += scale * (error - action_values[k, b])
  return result


@pytest.mark.parametrize("seed", range(3))
def test_off_policy_returns_equal_a_plain_loop(seed):
  rewards, discounts, values, last = random_case(seed)
  rng = np.random.default_rng(10 + seed)
  traces = rng.random((T, B)) * (1.0 - last)
  case = rewards, discounts, values, rng.normal(size=(T, B)), traces
  actual = returns.off_policy_returns(*arrays(*case))
  np.testing.assert_allclose(
    actual, numpy_off_policy(*case), rtol=1e-5, atol=1e-5
  )


def test_off_policy_returns_of_one_policy_are_lambda_returns():
  # Where the action taken is worth what the state is.
  rewards, discounts, values, last = arrays(*random_case(0))
  traces = 0.8 * (1.0 - last)
  np.testing.assert_allclose(
    returns.off_policy_returns(rewards, discounts, values, values, traces),
    returns.lambda_returns(rewards, discounts, values, traces),
    rtol=1e-5,
    atol=1e-6,
  )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lambda_", [0.0, 0.3, 0.9, 1.0])
def test_lambda_returns_equal_a_plain_loop(seed, lambda_):
  rewards, discounts, values, last = random_case(seed)
  actual = returns.lambda_returns(
    *arrays(rewards, discounts, values, lambda_ * (1.0 - last))
  )
  expected = numpy_lambda(rewards, discounts, values, last, lambda_)
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_golden_lambda_returns():
  # G_2 = 3 + .5 * 40 = 23; G_1 = 2 + .5 * (.5 * 20 + .5 * 23) = 12.75;
  # G_0 = 1 + .5 * (.5 * 10 + .5 * 12.75) = 6.6875.
  column = [[1.0, 2, 3], [0.5] * 3, [10.0, 20, 40], [0.5] * 3]
  actual = returns.lambda_returns(*[jnp.asarray(c)[:, None] for c in column])
  np.testing.assert_allclose(actual[:, 0], [6.6875, 12.75, 23.0])


def test_golden_n_step_returns():
  # n = 2: 1 + .5 * (2 + .5 * 20) = 7; 2 + .5 * (3 + .5 * 40) = 13.5; the last
  # has only one reward left: 3 + .5 * 40 = 23.
  column = [[1.0, 2, 3], [0.5] * 3, [10.0, 20, 40], [1.0] * 3]
  actual = returns.n_step_returns(*[jnp.asarray(c)[:, None] for c in column], 2)
  np.testing.assert_allclose(actual[:, 0], [7.0, 13.5, 23.0])


@pytest.mark.parametrize("seed", range(3))
def test_traces_of_zero_and_one_step_are_temporal_differences(seed):
  rewards, discounts, values, last = arrays(*random_case(seed))
  one_step = rewards + discounts * values
  no_trace = returns.lambda_returns(
    rewards, discounts, values, jnp.zeros((T, B))
  )
  n_is_one = returns.n_step_returns(rewards, discounts, values, 1.0 - last, 1)
  np.testing.assert_allclose(no_trace, one_step, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(n_is_one, one_step, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lambda_", [0.6, 1.0])
def test_n_of_full_length_is_the_lambda_return_of_the_same_traces(lambda_):
  rewards, discounts, values, last = arrays(*random_case(0))
  traces = lambda_ * (1.0 - last)
  full = returns.n_step_returns(rewards, discounts, values, traces, T)
  mixed = returns.lambda_returns(rewards, discounts, values, traces)
  np.testing.assert_allclose(full, mixed, rtol=1e-5, atol=1e-6)


def test_returns_equal_rlax_where_no_episode_ends():
  rewards, discounts, values, _ = arrays(*random_case(0, ends=False))
  traces = jnp.full((T, B), 0.7)
  mixed = returns.lambda_returns(rewards, discounts, values, traces)
  summed = returns.n_step_returns(
    rewards, discounts, values, jnp.ones((T, B)), 3
  )
  for b in range(B):
    column = rewards[:, b], discounts[:, b], values[:, b]
    np.testing.assert_allclose(
      mixed[:, b], rlax.lambda_returns(*column, 0.7), rtol=1e-5
    )
    np.testing.assert_allclose(
      summed[:, b], rlax.n_step_bootstrapped_returns(*column, 3), rtol=1e-5
    )


@pytest.mark.parametrize("estimator", ["lambda_returns", "n_step_returns"])
def test_shapes_are_checked(estimator):
  x, more = jnp.ones((T, B)), {"n_step_returns": (2,)}.get(estimator, ())
  function = getattr(returns, estimator)
  with pytest.raises(AssertionError):
    function(x, x, x[:-1], x, *more)
  with pytest.raises(AssertionError):
    function(x[:, 0], x[:, 0], x[:, 0], x[:, 0], *more)


# The table of episode ends: a middle, a termination and its reset, a middle, a
# time-out and its reset, the end of the sequence. Step t has reward t-th of
# REWARDS and is worth the t-th of VALUES; gamma is a half. The second column
# never ends, and every estimator gives 2 there: 1 + .5 * 2.
ENDS = "fmmtfmmofm"
REWARDS = [0, 1, 2, 3, 0, 4, 5, 6, 0, 7]
VALUES = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
COUNTS = [0, 1, 2, 4, 5, 6, 8]
TABLE = {
  # 1 + .5*20, 2 + .5*30, 3 | 4 + .5*60, 5 + .5*70, 6 + .5*80 | 7 + .5*100
  "one_step": (losses.one_step_returns, {}, [11, 17, 3, 34, 40, 46, 57]),
  "n=1": (losses.n_step_returns, {"n": 1}, [11, 17, 3, 34, 40, 46, 57]),
  # 1 + .5*17, 2 + .5*3, 3 | 4 + .5*40, 5 + .5*46, 46 | 57
  "n=2": (losses.n_step_returns, {"n": 2}, [9.5, 3.5, 3, 24, 28, 46, 57]),
  # 1 + .5*3.5 | 4 + .5*28
  "n=3": (losses.n_step_returns, {"n": 3}, [2.75, 3.5, 3, 18, 28, 46, 57]),
  "n=7": (losses.n_step_returns, {"n": 7}, [2.75, 3.5, 3, 18, 28, 46, 57]),
  "lambda=0": (
    losses.lambda_returns,
    {"lambda_": 0.0},
    [11, 17, 3, 34, 40, 46, 57],
  ),
  # 2 + .5*(.5*30 + .5*3) = 10.25, 1 + .5*(.5*20 + .5*10.25) = 8.5625 |
  # 5 + .5*(.5*70 + .5*46) = 34, 4 + .5*(.5*60 + .5*34) = 27.5
  "lambda=.5": (
    losses.lambda_returns,
    {"lambda_": 0.5},
    [8.5625, 10.25, 3, 27.5, 34, 46, 57],
  ),
  "lambda=1": (
    losses.lambda_returns,
    {"lambda_": 1.0},
    [2.75, 3.5, 3, 18, 28, 46, 57],
  ),
}


def read_values(inputs):
  """A bootstrap: what the observation says the step is worth."""
  return inputs.steps.timestep.observation[..., 0]


@pytest.mark.parametrize("name", TABLE)
def test_every_target_at_every_kind_of_end(name):
  target, parameters, expected = TABLE[name]
  steps = timesteps(
    ENDS,
    "m" * len(ENDS),
    reward=np.stack([REWARDS, np.ones(10)], axis=1),
    observation=np.stack([VALUES, np.full(10, 2.0)], axis=1)[..., None],
  )
  inputs = loss_inputs(steps, gamma=0.5)
  actual = target(bootstrap=read_values, **parameters)(inputs)
  assert actual.shape == (9, 2)
  np.testing.assert_array_equal(np.flatnonzero(inputs.mask[:, 0]), COUNTS)
  np.testing.assert_allclose(actual[jnp.array(COUNTS), 0], expected, rtol=1e-6)
  np.testing.assert_allclose(actual[:, 1], np.full(9, 2.0), rtol=1e-6)


def sequence(boundary, seed, after=None):
  """A random sequence; from step 6 on it is that of seed `after`, if given."""
  steps = []
  for s in (seed, seed if after is None else after):
    rng = np.random.default_rng(s)
    tail = "fmmm" if s == seed else "mtfo"
    steps.append(
      timesteps(
        "fmmmm" + boundary + tail,
        reward=rng.normal(size=10),
        observation=rng.normal(size=(10, 1, 1)),
      )
    )
  return jax.tree.map(lambda x, y: jnp.concatenate([x[:6], y[6:]]), *steps)


@pytest.mark.parametrize("boundary", ["t", "o", "m"])
@pytest.mark.parametrize("name", TABLE)
def test_what_follows_a_boundary_changes_nothing_before_it(name, boundary):
  target, parameters, _ = TABLE[name]
  estimate = target(bootstrap=read_values, **parameters)
  # Five transitions lead up to the boundary, step 5. Rewards, values, discounts
  # and flags differ from step 6 on.
  one, other = [
    estimate(loss_inputs(sequence(boundary, 0, after), gamma=0.9))[:5]
    for after in (None, 1)
  ]
  looks_ahead = name not in ("one_step", "n=1", "lambda=0")
  if boundary == "m" and looks_ahead:
    assert np.abs(one - other).max() > 1e-3
  else:
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", TABLE)
def test_the_value_of_the_boundary_counts_only_at_a_timeout(name):
  target, parameters, _ = TABLE[name]
  estimate = target(bootstrap=read_values, **parameters)

  def at_boundary(boundary, value):
    steps = sequence(boundary, 0)
    steps = steps._replace(observation=steps.observation.at[5].set(value))
    return float(estimate(loss_inputs(steps, gamma=0.9))[4, 0])

  assert at_boundary("t", 100.0) == at_boundary("t", -7.0)
  difference = at_boundary("o", 100.0) - at_boundary("o", 0.0)
  np.testing.assert_allclose(difference, 90.0, rtol=1e-5)


@pytest.mark.parametrize("name", TABLE)
def test_columns_do_not_mix(name):
  target, parameters, _ = TABLE[name]
  estimate = target(bootstrap=read_values, **parameters)
  one, other = sequence("t", 0), sequence("o", 1)
  both = jax.tree.map(lambda x, y: jnp.concatenate([x, y], 1), one, other)
  together = estimate(loss_inputs(both, gamma=0.9))
  for b, alone in enumerate([one, other]):
    np.testing.assert_allclose(
      together[:, b],
      estimate(loss_inputs(alone, gamma=0.9))[:, 0],
      rtol=1e-6,
    )


@pytest.mark.parametrize("name", TABLE)
def test_targets_have_no_gradient(name):
  target, parameters, _ = TABLE[name]
  steps = sequence("o", 0)

  def total(observation):
    inputs = loss_inputs(steps._replace(observation=observation), gamma=0.9)
    estimate = target(bootstrap=read_values, **parameters)
    return estimate(inputs).sum()

  np.testing.assert_array_equal(jax.grad(total)(steps.observation), 0.0)


def test_traces_make_the_lambda_return_stop_at_a_timeout():
  steps = sequence("o", 0)
  d, v = episodes.discounts(steps, 0.9), steps.observation[1:, :, 0]
  actual = returns.lambda_returns(
    steps.reward[1:], d, v, episodes.traces(steps, 1.0)
  )
  expected = steps.reward[5, 0] + 0.9 * steps.observation[5, 0, 0]
  np.testing.assert_allclose(actual[4, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("lambda_", [-0.1, 1.1])
def test_lambda_out_of_range_is_refused(lambda_):
  with pytest.raises(ValueError, match=r"lambda_ must be in \[0, 1\], got"):
    losses.lambda_returns(bootstrap=read_values, lambda_=lambda_)


def test_n_below_one_is_refused():
  with pytest.raises(ValueError, match="n must be >= 1, got 0"):
    losses.n_step_returns(bootstrap=read_values, n=0)


def _vtrace_loop(r, d, b, v, traces, rho, limit, advantage_limit):
  """The recursion of the docstring, and advantages by what follows it."""
  length = len(r)
  found, advantages = np.zeros_like(r), np.zeros_like(r)
  beyond, baseline = v[-1], v[-1]
  for t in reversed(range(length)):
    delta = np.minimum(limit, rho[t]) * (r[t] + d[t] * v[t] - b[t])
    c = traces[t] * np.minimum(1.0, rho[t])
    found[t] = b[t] + delta + d[t] * c * (beyond - baseline)
    if t == length - 1:
      ahead = v[t]
    else:
      ahead = traces[t] * beyond + (1.0 - traces[t]) * v[t]
    advantages[t] = np.minimum(advantage_limit, rho[t]) * (
      r[t] + d[t] * ahead - b[t]
    )
    beyond, baseline = found[t], b[t]
  return found, advantages


@pytest.mark.parametrize("limit, advantage_limit", [(1.0, 1.0), (1.5, 0.7)])
def test_vtrace_equals_a_plain_loop(limit, advantage_limit):
  rng = np.random.default_rng(0)
  r, d, v, rho = rng.uniform(0.2, 1.8, size=(4, 6, 3))
  d, traces = d / 2, rng.uniform(size=(6, 3)) * 0.9
  # Where a trace is not cut the next transition begins where this one arrives.
  b = np.concatenate([rng.normal(size=(1, 3)), v[:-1]])
  traces[2, 0] = 0.0
  d[3, 1] = traces[3, 1] = 0.0
  found = returns.vtrace(
    *[jnp.asarray(x, jnp.float32) for x in (r, d, b, v, traces, rho)],
    limit,
    advantage_limit,
  )
  wanted = _vtrace_loop(r, d, b, v, traces, rho, limit, advantage_limit)
  np.testing.assert_allclose(found.returns, wanted[0], rtol=1e-4)
  np.testing.assert_allclose(found.advantages, wanted[1], rtol=1e-4, atol=1e-5)


def test_vtrace_on_policy_is_the_lambda_return():
  rng = np.random.default_rng(1)
  r, v = [jnp.asarray(x, jnp.float32) for x in rng.normal(size=(2, 6, 3))]
  d = jnp.asarray(rng.uniform(size=(6, 3)), jnp.float32)
  b = jnp.concatenate([jnp.ones((1, 3)), v[:-1]])
  traces = jnp.full((6, 3), 0.8)
  found = returns.vtrace(r, d, b, v, traces, jnp.ones((6, 3)))
  np.testing.assert_allclose(
    found.returns, returns.lambda_returns(r, d, v, traces), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    found.advantages, found.returns - b, rtol=1e-4, atol=1e-5
  )
