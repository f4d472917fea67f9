"""Optimizers: groups of parameters, and updates that are skipped."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurorl import training
from neurorl.types import Progress
from tests import small

PARAMS = {
  "agent": {
    "q/members/linear": {"w": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])},
    "q_other/linear": {"w": jnp.array([4.0])},
    "policy/linear": {"w": jnp.array([5.0])},
  },
  "loss": (jnp.array([6.0]),),
}
GRADIENTS = jax.tree.map(jnp.ones_like, PARAMS)


def adam(rate, period=1):
  return training.optimizer(rate, [optax.scale_by_adam()], period)


def sgd(rate):
  return training.optimizer(rate, [])


def progress(updates):
  return Progress(jnp.float32(0.25), jnp.int32(updates))


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_each_group_has_its_rate():
  grouped = training.grouped_optimizer(
    {"q": sgd(0.1), "policy/linear": sgd(0.2)}, sgd(0.4)
  )
  new, _ = grouped.update(GRADIENTS, grouped.init(PARAMS), PARAMS, progress(0))
  moved = jax.tree.map(lambda old, new: (old - new)[0], PARAMS, new)
  expected = {
    "agent": {
      "q/members/linear": {"w": 0.1, "b": 0.1},
      "q_other/linear": {"w": 0.4},
      "policy/linear": {"w": 0.2},
    },
    "loss": (0.4,),
  }
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), moved, expected
  )
  rates = grouped.metrics(PARAMS, progress(0))
  assert {name: round(float(x), 6) for name, x in rates.items()} == {
    "learning_rate/q": 0.1,
    "learning_rate/policy/linear": 0.2,
    "learning_rate/rest": 0.4,
  }


def test_the_longest_name_has_a_parameter():
  grouped = training.grouped_optimizer(
    {"q": sgd(0.1), "q/members": sgd(0.2), "q_other": sgd(0.3)}, sgd(0.4)
  )
  with pytest.raises(ValueError, match="no parameter is under 'q'"):
    grouped.init(PARAMS)
  params = {
    **PARAMS,
    "agent": {**PARAMS["agent"], "q/priors": {"w": jnp.array([7.0])}},
  }
  gradients = jax.tree.map(jnp.ones_like, params)
  new, _ = grouped.update(gradients, grouped.init(params), params, progress(0))
  np.testing.assert_allclose(new["agent"]["q/priors"]["w"], 7.0 - 0.1)
  np.testing.assert_allclose(new["agent"]["q/members/linear"]["b"], 3.0 - 0.2)
  np.testing.assert_allclose(new["agent"]["q_other/linear"]["w"], 4.0 - 0.3)


def test_groups_of_one_optimizer_are_that_optimizer():
  """Where no transform looks at all parameters together."""
  grouped = training.grouped_optimizer({"q": adam(0.1)}, adam(0.1))
  plain = adam(0.1)
  found, wanted = [
    (PARAMS, optimizer.init(PARAMS)) for optimizer in (grouped, plain)
  ]
  for step in range(3):
    found = grouped.update(GRADIENTS, found[1], found[0], progress(step))
    wanted = plain.update(GRADIENTS, wanted[1], wanted[0], progress(step))
  assert_equal(found[0], wanted[0])


def test_gradients_are_clipped_group_by_group():
  clipped = training.optimizer(1.0, [optax.clip_by_global_norm(1.0)])
  grouped = training.grouped_optimizer({"policy": clipped}, sgd(1.0))
  gradients = jax.tree.map(lambda x: 10.0 * x, GRADIENTS)
  new, _ = grouped.update(gradients, grouped.init(PARAMS), PARAMS, progress(0))
  np.testing.assert_allclose(new["agent"]["policy/linear"]["w"], 4.0)
  np.testing.assert_allclose(new["agent"]["q_other/linear"]["w"], -6.0)


def test_skipped_updates_change_nothing():
  every_third, each = adam(0.1, period=3), adam(0.1)
  params, state = PARAMS, every_third.init(PARAMS)
  wanted, wanted_state = PARAMS, each.init(PARAMS)
  for updates in range(7):
    gradients = jax.tree.map(lambda x, u=updates: x * (u + 1.0), GRADIENTS)
    params, state = every_third.update(
      gradients, state, params, progress(updates)
    )
    if updates in (2, 5):  # the third and the sixth
      wanted, wanted_state = each.update(
        gradients, wanted_state, wanted, progress(updates)
      )
    assert_equal(params, wanted)
    assert_equal(state, wanted_state)  # Adam's momenta and its count


def test_a_period_is_a_groups_own():
  grouped = training.grouped_optimizer(
    {"policy": adam(0.1, period=2)}, adam(0.1)
  )
  state = grouped.init(PARAMS)
  first, after = grouped.update(GRADIENTS, state, PARAMS, progress(0))
  old = PARAMS["agent"]["policy/linear"]["w"]
  np.testing.assert_array_equal(first["agent"]["policy/linear"]["w"], old)
  assert_equal(after["policy"], state["policy"])
  assert first["agent"]["q_other/linear"]["w"] != 4.0
  second, _ = grouped.update(GRADIENTS, after, first, progress(1))
  assert second["agent"]["policy/linear"]["w"] != old


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda: adam(0.1, period=0), "optimizer.period must be >= 1, got 0"),
    (lambda: training.grouped_optimizer({}, sgd(0.1)), "got none"),
    (
      lambda: training.grouped_optimizer({"rest": sgd(0.1)}, sgd(0.1)),
      "'rest' not among them; got rest",
    ),
  ],
)
def test_bad_arguments(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_a_name_of_no_parameter_is_refused_when_built():
  experiment = small.load(
    "dqn.gin",
    """
train.optimizer = @grouped_optimizer()
grouped_optimizer:
  groups = {'qq': @q/optimizer()}
  rest = @optimizer()
q/optimizer.period = 2
""",
  ).call()
  with pytest.raises(ValueError, match=r"under 'qq'.*'q'"):
    training.build(experiment)


def test_trains_by_groups(tmp_path):
  experiment = small.load(
    "dqn.gin",
    """
train.optimizer = @grouped_optimizer()
grouped_optimizer:
  groups = {'q': @q/optimizer()}
  rest = @optimizer()
q/optimizer.learning_rate = 0.5
""",
  ).call()
  program = training.build(experiment)
  summary = training.run(experiment, program, tmp_path)
  assert summary["learner_updates"] > 20
  header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
  assert {"learning_rate/q", "learning_rate/rest"} <= set(header)
