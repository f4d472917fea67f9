"""Buffers of sequences against a ring that only counts.

One table of buffers, many properties. Environment `e` at time `t` observes,
acts and remembers numbers made of `t` and `e`, so that a sample says where it
comes from.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.buffers import prioritized_replay, uniform_replay
from neurorl.types import Progress, Step, TimeStep

PROGRESS = Progress(jnp.float32(0.5), jnp.int32(7))
BATCH = 1024


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
  """Programs here are many and small: compiling them is what takes time."""
  before = jax.config.read("jax_disable_most_optimizations")
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", before)


@dataclasses.dataclass(frozen=True)
class Case:
  """A buffer and the loop around it; `rows` is what it should keep."""

  name: str
  rows: int
  capacity: int
  num_envs: int
  unroll_length: int
  sequence_length: int
  burn_in: int = 0
  period: int = 1
  store_as: str | None = None

  @property
  def length(self):
    return self.burn_in + self.sequence_length + 1

  def starts(self, now):
    """Times at which a whole sequence begins when `now` steps were added."""
    oldest = max(now - self.rows, 0)
    times = range(oldest, now - self.length + 1)
    return {t for t in times if t % self.period == 0}

  def index(self, time, env):
    return (time % self.rows) // self.period * self.num_envs + env


CASES = [
  Case("one_step", 16, 48, 3, 4, 1),
  Case("capacity_rounds_down", 16, 58, 3, 4, 2),
  Case("burn_in", 16, 48, 3, 4, 3, burn_in=2),
  Case("burn_in_longer_than_unroll", 12, 24, 2, 2, 3, burn_in=5),
  Case("period_is_two_unrolls", 16, 48, 3, 4, 4, period=8),
  Case("period_is_three_unrolls", 18, 36, 2, 2, 6, burn_in=1, period=6),
  Case("single_steps_with_period", 9, 18, 2, 1, 4, period=3),
  Case("room_for_one_sequence", 4, 8, 2, 1, 3),
  Case("room_for_one_period", 8, 8, 1, 4, 7, period=4),
  Case("one_environment", 12, 12, 1, 3, 2, period=3),
  Case("as_bytes", 16, 48, 3, 4, 3, period=2, store_as="uint8"),
]
KINDS = {"uniform": uniform_replay, "prioritized": prioritized_replay}
TABLE = [
  pytest.param(kind, case, id=f"{kind}-{case.name}")
  for kind in KINDS
  for case in (CASES if kind == "uniform" else CASES[2::3])
]


def shapes(observation=None):
  """Shapes of one environment's step."""

  def scalar(dtype):
    return jax.ShapeDtypeStruct((), dtype)

  pair = jax.ShapeDtypeStruct((2,), jnp.float32)
  timestep = TimeStep(
    observation={"where": pair, "id": scalar(jnp.int32)}
    if observation is None
    else observation,
    reward=scalar(jnp.float32),
    discount=scalar(jnp.float32),
    first=scalar(jnp.bool_),
    last=scalar(jnp.bool_),
  )
  state = {"h": pair, "c": scalar(jnp.int32)}
  return Step(timestep, scalar(jnp.int32), {"q": pair}, state)


def steps(begin, count, num_envs):
  """Steps `[count, num_envs]` that say their time and environment."""
  time, env = np.meshgrid(
    np.arange(begin, begin + count), np.arange(num_envs), indexing="ij"
  )
  pair = np.stack([time, env], axis=-1).astype(np.float32)
  timestep = TimeStep(
    observation={"where": pair, "id": (time * 8 + env).astype(np.int32) % 256},
    reward=time.astype(np.float32),
    discount=(env / 8).astype(np.float32),
    first=time % 5 == 0,
    last=time % 5 == 4,
  )
  state = {"h": pair + 0.25, "c": (time * 100 + env).astype(np.int32)}
  action = (1000 * env + time).astype(np.int32)
  return Step(timestep, action, {"q": pair * 3}, state)


def make(kind, case, **settings):
  recipe = KINDS[kind](
    capacity=case.capacity,
    batch_size=BATCH,
    sequence_length=case.sequence_length,
    burn_in=case.burn_in,
    period=case.period,
    store_as=case.store_as,
    **settings,
  )
  return recipe(shapes(), case.num_envs, case.unroll_length)


@functools.cache
def history(kind, case):
  """Samples after each add, over more than two turns of the ring."""
  buffer = make(kind, case)
  unroll = case.unroll_length
  adds = 2 * (case.rows + case.period) // unroll + 1
  new = steps(0, adds * unroll, case.num_envs)
  new = jax.tree.map(lambda x: x.reshape(adds, unroll, *x.shape[1:]), new)
  keys = jax.random.split(jax.random.key(len(case.name)), adds)

  def step(state, inputs):
    state = buffer.add(state, inputs[0])
    batch, state = buffer.sample(state, inputs[1], PROGRESS)
    return state, (batch, buffer.metrics(state))

  run = jax.jit(lambda: jax.lax.scan(step, buffer.init(), (new, keys))[1])
  outputs = jax.device_get(run())
  return [
    ((i + 1) * unroll, *jax.tree.map(lambda x, i=i: x[i], outputs))
    for i in range(adds)
    if (i + 1) * unroll >= buffer.min_steps
  ]


def origin(batch):
  """Where sequences come from: first times, environments, each `[B]`."""
  where = batch.steps.timestep.observation["where"]
  return where[0, :, 0].astype(int), where[0, :, 1].astype(int)


@pytest.mark.parametrize("kind, case", TABLE)
def test_history_covers_before_and_after_the_ring_is_full(kind, case):
  nows = [now for now, _, _ in history(kind, case)]
  assert nows[0] <= case.rows
  assert nows[-1] > 2 * case.rows


@pytest.mark.parametrize("kind, case", TABLE)
def test_sequences_are_contiguous_in_one_environment(kind, case):
  for _, batch, _ in history(kind, case):
    begins, envs = origin(batch)
    expected = jax.tree.map(
      lambda *x: np.stack(x, axis=1),
      *[
        jax.tree.map(
          lambda x, env=env: x[:, env], steps(t, case.length, env + 1)
        )
        for t, env in zip(begins[:8], envs[:8], strict=True)
      ],
    )
    found = jax.tree.map(
      lambda x: x[:, :8], batch.steps._replace(agent_state=())
    )
    for a, b in zip(
      jax.tree.leaves(found),
      jax.tree.leaves(expected._replace(agent_state=())),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, case", TABLE)
def test_all_drawn_sequences_are_whole(kind, case):
  for _, batch, _ in history(kind, case):
    where = batch.steps.timestep.observation["where"]
    assert where.shape == (case.length, BATCH, 2)
    times, envs = where[..., 0], where[..., 1]
    assert (np.diff(times, axis=0) == 1).all()
    assert (envs == envs[0]).all()


@pytest.mark.parametrize("kind, case", TABLE)
def test_every_valid_start_is_drawn_and_no_other(kind, case):
  for now, batch, _ in history(kind, case):
    drawn = set(zip(*map(np.ndarray.tolist, origin(batch)), strict=True))
    wanted = {(t, e) for t in case.starts(now) for e in range(case.num_envs)}
    assert drawn == wanted, f"after {now} steps"


@pytest.mark.parametrize("kind, case", TABLE)
def test_agent_state_is_that_of_the_first_step(kind, case):
  for _, batch, _ in history(kind, case):
    begins, envs = origin(batch)
    state = batch.steps.agent_state
    np.testing.assert_array_equal(
      state["h"], np.stack([begins, envs], axis=1) + 0.25
    )
    np.testing.assert_array_equal(state["c"], begins * 100 + envs)


@pytest.mark.parametrize("kind, case", TABLE)
def test_indices_say_where_and_weights_are_one(kind, case):
  for _, batch, _ in history(kind, case):
    begins, envs = origin(batch)
    np.testing.assert_array_equal(batch.indices, case.index(begins, envs))
    assert batch.indices.dtype == np.int32
    # No priority was set: prioritized replay is uniform, too.
    np.testing.assert_allclose(batch.weights, np.ones(BATCH), rtol=1e-5)


@pytest.mark.parametrize("kind, case", TABLE)
def test_dtypes_are_those_of_the_environment(kind, case):
  wanted = shapes()
  for _, batch, _ in history(kind, case)[-1:]:
    found = jax.tree.map(lambda x: x.dtype, batch.steps)
    assert found == jax.tree.map(lambda x: np.dtype(x.dtype), wanted)


@pytest.mark.parametrize("kind, case", TABLE)
def test_metrics_count_steps(kind, case):
  for now, _, metrics in history(kind, case):
    assert metrics["buffer/size"] == min(now, case.rows) * case.num_envs
    assert metrics["buffer/lossy_adds"] == 0


@pytest.mark.parametrize("kind, case", TABLE)
def test_draws_are_uniform_before_and_after_the_wrap(kind, case):
  samples = history(kind, case)
  for now, batch, _ in [samples[0], samples[len(samples) // 2], samples[-1]]:
    begins, envs = origin(batch)
    starts = sorted(case.starts(now))
    counts = np.array(
      [
        np.sum((begins == t) & (envs == e))
        for t in starts
        for e in range(case.num_envs)
      ]
    )
    expected = BATCH / counts.size
    statistic = np.sum((counts - expected) ** 2 / expected)
    freedom = counts.size - 1
    assert statistic <= freedom + 5 * np.sqrt(2 * max(freedom, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_keys_decide_what_is_drawn(kind):
  buffer = make(kind, CASES[0])
  state = buffer.add(buffer.init(), steps(0, 4, 3))
  sample = jax.jit(buffer.sample)
  draws = [
    np.asarray(sample(state, jax.random.key(k), PROGRESS)[0].indices)
    for k in (0, 0, 1)
  ]
  np.testing.assert_array_equal(draws[0], draws[1])
  assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize("kind, case", TABLE)
def test_memory_is_that_of_the_parts(kind, case):
  state = jax.eval_shape(make(kind, case).init)
  per_observation = {None: 12, "uint8": 3, "float16": 6}[case.store_as]
  # reward, discount, first, last, action, extras
  per_row = per_observation + 4 + 4 + 1 + 1 + 4 + 8
  slots = case.rows // case.period
  wanted = case.num_envs * (case.rows * per_row + slots * 12) + 3 * 4
  if kind == "prioritized":
    width = math.ceil(math.sqrt(slots))
    blocks = math.ceil(slots / width)
    wanted += (case.num_envs * slots + blocks * width + blocks) * 4 + 4
  found = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
  assert found == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [1, 20])
def test_add_is_in_place_when_donated(kind, period):
  case = Case("", 50_000, 200_000, 4, 10, 5, period=period)
  buffer = make(kind, case)
  state, new = jax.eval_shape(buffer.init), steps(0, 10, 4)
  compiled = jax.jit(buffer.add, donate_argnums=0).lower(state, new).compile()
  memory = compiled.memory_analysis()
  ring = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
  assert memory.alias_size_in_bytes >= 0.99 * ring
  assert memory.temp_size_in_bytes < 0.01 * ring

  state = buffer.init()
  where = _ring_of(state).steps.packed["small"]["float32"]
  before = where.unsafe_buffer_pointer()
  state = compiled(state, jax.tree.map(jnp.asarray, new))
  where = _ring_of(state).steps.packed["small"]["float32"]
  assert where.unsafe_buffer_pointer() == before


def _ring_of(state):
  return state if hasattr(state, "steps") else state.ring


# `store_as`: what is kept, what comes back, what is counted.
ROUND_TRIPS = [
  ("bool", jnp.float32, [0.0, 1.0]),
  ("bool", jnp.int32, [0, 1]),
  ("uint8", jnp.float32, [0.0, 1.0, 255.0]),
  ("uint8", jnp.int32, [0, 17, 255]),
  ("uint8", jnp.bool_, [False, True]),
  ("int8", jnp.float32, [-128.0, 127.0]),
  ("int16", jnp.float32, [-32768.0, 32767.0]),
  ("int32", jnp.float32, [-65536.0, 65536.0]),
  ("float16", jnp.float32, [-0.5, 0.25, 2048.0]),
  ("bfloat16", jnp.float32, [-0.5, 0.25, 2.0**100]),
  (None, jnp.float32, [0.1, 1e30, float("nan")]),
]
LOSSES = [
  ("bool", jnp.float32, 2.0),
  ("bool", jnp.int32, -1),
  ("uint8", jnp.float32, 0.5),
  ("uint8", jnp.float32, 256.0),
  ("uint8", jnp.float32, -1.0),
  ("uint8", jnp.float32, float("nan")),
  ("uint8", jnp.int32, 256),
  ("int8", jnp.int32, 128),
  ("int16", jnp.float32, 32768.0),
  ("int32", jnp.float32, 0.5),
  ("float16", jnp.float32, 0.1),
  ("float16", jnp.float32, 1e6),
  ("bfloat16", jnp.float32, 257.0),
]


def _observing(store_as, dtype, values, size=1):
  """A full buffer of one environment that observed the values in turn."""
  spec = shapes({"a": jax.ShapeDtypeStruct((size,), dtype)})
  recipe = uniform_replay(
    capacity=len(values), batch_size=64, sequence_length=1, store_as=store_as
  )
  buffer = recipe(spec, 1, 1)
  add = jax.jit(buffer.add)
  state = buffer.init()
  for time, value in enumerate(values):
    new = steps(time, 1, 1)
    observation = {"a": jnp.full((1, 1, size), value, dtype)}
    new = new._replace(timestep=new.timestep._replace(observation=observation))
    state = add(state, new)
  return buffer, state


@pytest.mark.parametrize("size", [1, 300])  # with others, and apart
@pytest.mark.parametrize("store_as, dtype, values", ROUND_TRIPS)
def test_what_store_as_can_hold_comes_back(store_as, dtype, values, size):
  buffer, state = _observing(store_as, dtype, values, size)
  large = _ring_of(state).steps.packed["large"]
  kept = [jnp.dtype(store_as or dtype)] if size > 64 else []
  assert [x.dtype for x in large] == kept
  batch, _ = jax.jit(buffer.sample)(state, jax.random.key(0), PROGRESS)
  found = batch.steps.timestep.observation["a"]
  assert found.dtype == dtype
  begins = np.asarray(batch.steps.timestep.reward[0]).astype(int)
  assert set(begins) == set(range(len(values) - 1))
  np.testing.assert_array_equal(
    found[0, :, 0], np.asarray(values, found.dtype)[begins]
  )
  assert buffer.metrics(state)["buffer/lossy_adds"] == 0


@pytest.mark.parametrize("store_as, dtype, value", LOSSES)
def test_adds_that_store_as_spoils_are_counted(store_as, dtype, value):
  good = jnp.zeros((), dtype).item()
  values = [good, value, value, good, value]
  buffer, state = _observing(store_as, dtype, values)
  assert buffer.metrics(state)["buffer/lossy_adds"] == 3


def test_one_spoilt_leaf_spoils_the_add():
  case = dataclasses.replace(CASES[0], store_as="uint8")
  buffer = make("uniform", case)
  good = steps(0, 4, 3)
  bad = jax.tree.map(np.copy, good)
  bad.timestep.observation["id"][2, 1] = 256
  state = buffer.add(buffer.add(buffer.init(), good), bad)
  assert buffer.metrics(state)["buffer/lossy_adds"] == 1


def test_only_observations_are_cast():
  buffer = make("uniform", dataclasses.replace(CASES[0], store_as="uint8"))
  new = steps(0, 4, 3)
  timestep = new.timestep._replace(reward=new.timestep.reward + 0.1)
  state = buffer.add(buffer.init(), new._replace(timestep=timestep))
  batch, _ = buffer.sample(state, jax.random.key(0), PROGRESS)
  begins, _ = origin(batch)
  np.testing.assert_allclose(batch.steps.timestep.reward[0], begins + 0.1)


OBSERVATIONS = [
  jax.ShapeDtypeStruct((), jnp.int32),
  jax.ShapeDtypeStruct((2, 3, 1), jnp.uint8),
  (jax.ShapeDtypeStruct((2,), jnp.float32),),
  {"a": {"b": [jax.ShapeDtypeStruct((1,), jnp.bool_)]}},
  (),
]


@pytest.mark.parametrize("observation", OBSERVATIONS, ids=str)
@pytest.mark.parametrize("store_as", [None, "int16"])
def test_observations_may_have_any_structure(observation, store_as):
  recipe = uniform_replay(
    capacity=12, batch_size=5, sequence_length=2, store_as=store_as
  )
  buffer = recipe(shapes(observation), 2, 3)
  new = steps(0, 3, 2)
  ones = jax.tree.map(
    lambda x: jnp.ones((3, 2, *x.shape), x.dtype), observation
  )
  new = new._replace(timestep=new.timestep._replace(observation=ones))
  state = buffer.add(buffer.init(), new)
  batch, _ = jax.jit(buffer.sample)(state, jax.random.key(0), PROGRESS)
  found = batch.steps.timestep.observation
  assert jax.tree.structure(found) == jax.tree.structure(observation)
  for x, spec in zip(
    jax.tree.leaves(found), jax.tree.leaves(observation), strict=True
  ):
    assert (x.shape, x.dtype) == ((3, 5, *spec.shape), spec.dtype)
    assert bool((x == 1).all())


def test_seeds_are_an_axis():
  case = CASES[4]
  buffer = make("prioritized", case)

  def run(key):
    state = buffer.init()
    for begin in range(0, 8, 4):
      state = buffer.add(state, steps(begin, 4, case.num_envs))
    return buffer.sample(state, key, PROGRESS)[0]

  keys = jax.random.split(jax.random.key(0), 2)
  together = jax.jit(jax.vmap(run))(keys)
  for i, key in enumerate(keys):
    alone = jax.jit(run)(key)
    for a, b in zip(
      jax.tree.leaves(together), jax.tree.leaves(alone), strict=True
    ):
      np.testing.assert_array_equal(a[i], b)


MIN_STEPS = [
  # min_size, num_envs, capacity, sequence_length, burn_in -> steps
  (0, 4, 400, 3, 0, 4),
  (0, 4, 400, 3, 5, 9),
  (16, 4, 400, 3, 0, 4),
  (17, 4, 400, 3, 0, 5),
  (200, 4, 400, 3, 0, 50),
  (403, 4, 403, 3, 0, 100),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  "min_size, num_envs, capacity, sequence_length, burn_in, wanted", MIN_STEPS
)
def test_min_steps(
  kind, min_size, num_envs, capacity, sequence_length, burn_in, wanted
):
  recipe = KINDS[kind](
    capacity=capacity,
    batch_size=2,
    sequence_length=sequence_length,
    burn_in=burn_in,
    min_size=min_size,
    updates_per_add=3,
  )
  buffer = recipe(shapes(), num_envs, 2)
  assert buffer.min_steps == wanted
  assert buffer.burn_in == burn_in
  assert buffer.updates_per_add == 3


WRONG = [
  ({"capacity": 0}, ["capacity must be >= 1", "got 0"]),
  ({"batch_size": 0}, ["batch_size must be >= 1", "got 0"]),
  ({"sequence_length": 0}, ["sequence_length must be >= 1", "got 0"]),
  ({"period": 0}, ["period must be >= 1", "got 0"]),
  ({"updates_per_add": -2}, ["updates_per_add must be >= 1", "got -2"]),
  ({"burn_in": -1}, ["burn_in must be >= 0", "got -1"]),
  ({"min_size": -1}, ["min_size must be >= 0", "got -1"]),
  ({"min_size": 101}, ["min_size = 101", "capacity = 100", "never start"]),
  ({"store_as": "uint7"}, ["store_as = 'uint7'", "allowed", "uint8"]),
]
WRONG_PRIORITIES = [
  ({"priority_exponent": -0.1}, ["priority_exponent must be >= 0", "-0.1"]),
  ({"max_error_weight": 1.5}, ["max_error_weight must be in [0, 1]", "1.5"]),
  ({"max_error_weight": -0.5}, ["max_error_weight must be in [0, 1]", "-0.5"]),
]


@pytest.mark.parametrize(
  "kind, settings, words",
  [
    *((kind, *wrong) for kind in KINDS for wrong in WRONG),
    *(("prioritized", *wrong) for wrong in WRONG_PRIORITIES),
  ],
)
def test_wrong_hyperparameters_are_refused_at_once(kind, settings, words):
  right = {"capacity": 100, "batch_size": 2, "sequence_length": 3}
  KINDS[kind](**right)
  with pytest.raises(ValueError) as error:
    KINDS[kind](**{**right, **settings})
  for word in [f"{kind}_replay.", *words]:
    assert word in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  "settings, num_envs, unroll_length, words",
  [
    ({"period": 3}, 2, 4, ["period = 3", "train.unroll_length = 4"]),
    ({"period": 4}, 2, 6, ["period = 4", "train.unroll_length = 6"]),
    (
      {"capacity": 99, "sequence_length": 20, "burn_in": 5},
      4,
      4,
      ["capacity = 99", "num_envs = 4", "keeps 24", "26", "burn_in 5", "112"],
    ),
    ({"capacity": 3}, 4, 1, ["capacity = 3", "num_envs = 4", "keeps 0", "16"]),
    (
      {"capacity": 64, "sequence_length": 7, "period": 8},
      8,
      4,
      ["capacity = 64", "keeps 8", "takes 8", "128"],
    ),
  ],
)
def test_sizes_that_do_not_fit_the_loop_are_refused_at_build(
  kind, settings, num_envs, unroll_length, words
):
  right = {"capacity": 100, "batch_size": 2, "sequence_length": 3}
  recipe = KINDS[kind](**{**right, **settings})
  with pytest.raises(ValueError) as error:
    recipe(shapes(), num_envs, unroll_length)
  for word in [f"{kind}_replay.", *words]:
    assert word in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
  "num_envs, unroll_length, period", [(4, 4, 1), (1, 1, 1), (8, 4, 8)]
)
def test_the_capacity_that_a_refusal_names_is_the_least(
  kind, num_envs, unroll_length, period
):
  def build(capacity):
    settings = {"batch_size": 2, "sequence_length": 25, "period": period}
    recipe = KINDS[kind](capacity=capacity, **settings)
    return recipe(shapes(), num_envs, unroll_length)

  with pytest.raises(ValueError) as error:
    build(1)
  least = int(str(error.value).rsplit(" ", 1)[1])
  build(least)
  with pytest.raises(ValueError, match="capacity"):
    build(least - 1)
