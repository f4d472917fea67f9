import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import schedules
from neurorl.types import Progress


def at(schedule, *fractions):
  return [
    float(schedule(Progress(jnp.float32(f), jnp.int32(0)))) for f in fractions
  ]


def test_a_number_is_constant_and_a_schedule_stays_itself():
  assert at(schedules.as_schedule(0.25), 0.0, 0.7, 1.0) == [0.25] * 3
  schedule = schedules.linear_schedule(1.0, 0.0)
  assert schedules.as_schedule(schedule) is schedule


def test_linear_schedule():
  schedule = schedules.linear_schedule(1.0, 0.2, begin=0.25, until=0.75)
  np.testing.assert_allclose(
    at(schedule, 0.0, 0.25, 0.375, 0.5, 0.75, 1.0),
    [1.0, 1.0, 0.8, 0.6, 0.2, 0.2],
    rtol=1e-6,
  )


def test_cosine_schedule():
  schedule = schedules.cosine_schedule(2.0, 1.0, begin=0.2, until=0.8)
  # cos(pi/3) = 1/2 a third of the way: 1 + 1 * .5 * (1 + .5) = 1.75
  np.testing.assert_allclose(
    at(schedule, 0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0),
    [2.0, 2.0, 1.75, 1.5, 1.25, 1.0, 1.0],
    rtol=1e-5,
  )


def test_warmup_multiplies_a_number_or_a_schedule():
  np.testing.assert_allclose(
    at(schedules.warmup_schedule(3.0, until=0.5), 0.0, 0.25, 0.5, 1.0),
    [0.0, 1.5, 3.0, 3.0],
  )
  falling = schedules.linear_schedule(1.0, 0.0)
  np.testing.assert_allclose(
    at(schedules.warmup_schedule(falling, until=0.5), 0.0, 0.25, 0.5, 0.75),
    [0.0, 0.375, 0.5, 0.25],
  )


@pytest.mark.parametrize(
  "make",
  [
    lambda: schedules.linear_schedule(1.0, 0.0, begin=0.5, until=0.5),
    lambda: schedules.linear_schedule(1.0, 0.0, begin=-0.1),
    lambda: schedules.cosine_schedule(1.0, until=1.5),
    lambda: schedules.warmup_schedule(1.0, until=0.0),
  ],
)
def test_intervals_are_checked(make):
  with pytest.raises(ValueError, match="needs 0 <= begin < until <= 1"):
    make()


def test_schedules_trace():
  schedule = schedules.warmup_schedule(
    schedules.cosine_schedule(1.0), until=0.5
  )
  progress = Progress(jnp.float32(0.25), jnp.int32(0))
  np.testing.assert_allclose(
    jax.jit(schedule)(progress), schedule(progress), rtol=1e-6
  )


@pytest.mark.parametrize(
  "value",
  [-0.1, 1.1, float("nan"), float("inf"), schedules.linear_schedule(0.0, 2.0)],
)
def test_check_refuses_what_leaves_the_range(value):
  with pytest.raises(ValueError, match="epsilon must be in \\[0, 1\\], got"):
    schedules.check("epsilon", value, 0.0, 1.0)


@pytest.mark.parametrize(
  "value", [0, 1.0, 0.3, schedules.linear_schedule(1.0, 0.0)]
)
def test_check_lets_the_rest_pass(value):
  schedules.check("epsilon", value, 0.0, 1.0)
