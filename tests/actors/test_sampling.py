import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.actors import sampling, softmax
from neurorl.ops import distributions
from neurorl.types import Agent, Progress
from tests.actors.test_epsilon_greedy import CONTINUOUS, DISCRETE, task

B, A = 4000, 3
PROGRESS = Progress(jnp.float32(0.5), jnp.int32(0))
Q = np.array([0.5, -0.2, 1.0], np.float32)


def agent():
  def step(params, key, timestep, state, mode):
    assert mode == "acting"
    rows = jnp.tile(jnp.asarray(Q), (B, 1))
    policy = {"logits": rows, "mean": jax.nn.softmax(rows)}
    outputs = {
      "embedding": rows,
      "policy": policy,
      "q": {"mean": rows, "raw": rows},
      "value": {"mean": rows[:, 0]},
    }
    return outputs, state + 1

  return Agent(
    None, None, step, None, distributions={"policy": distributions.CATEGORICAL}
  )


def act(recipe, invalid=None):
  given = task(DISCRETE)
  if invalid is not None:
    environment = given.environment._replace(
      invalid_actions=lambda state: jnp.asarray(invalid)
    )
    given = given._replace(environment=environment)
  actor = recipe(agent(), given)
  state = actor.init(jax.random.key(0), B)
  zeros = jnp.zeros(B)
  return actor.step(
    (),
    jax.random.split(jax.random.key(1)),
    None,
    zeros,
    jnp.int32(0),
    state,
    PROGRESS,
  )


def softmax_of(x):
  return np.exp(x) / np.exp(x).sum()


@pytest.mark.parametrize(
  "recipe, wanted",
  [
    (sampling(), softmax_of(Q)),
    (softmax(1.0), softmax_of(Q)),
    (softmax(0.5), softmax_of(Q / 0.5)),
    (softmax(lambda p: 4.0 * p.fraction), softmax_of(Q / 2.0)),
  ],
)
def test_actions_are_drawn_and_their_probability_recorded(recipe, wanted):
  output = act(recipe)
  action = np.asarray(output.action)
  found = np.bincount(action, minlength=A) / B
  np.testing.assert_allclose(found, wanted, atol=0.03)
  np.testing.assert_allclose(
    output.extras["log_prob"], np.log(wanted)[action], rtol=1e-4
  )
  said = np.asarray(output.extras["probabilities"])
  np.testing.assert_allclose(said, np.tile(wanted, (B, 1)), rtol=1e-4)
  assert output.agent_state == 1


def test_the_means_of_all_heads_are_recorded():
  extras = act(sampling()).extras
  assert set(extras) == {"policy", "q", "value", "log_prob", "probabilities"}
  np.testing.assert_array_equal(extras["value"], Q[0])


def test_softmax_takes_no_invalid_action():
  output = act(softmax(1.0), invalid=[False, False, True])
  action = np.asarray(output.action)
  assert set(action) == {0, 1}
  wanted = softmax_of(Q[:2])
  np.testing.assert_allclose(
    output.extras["log_prob"], np.log(wanted)[action], rtol=1e-4
  )


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match=r"--gin\.pgx\.mask_illegal=False"):
    act(sampling(), invalid=[False, False, True])
  with pytest.raises(ValueError, match=r"head 'q'.*policy heads policy"):
    act(sampling("q"))
  with pytest.raises(ValueError, match=r"softmax\.temperature is 0"):
    softmax(0.0)
  with pytest.raises(ValueError, match=r"softmax needs discrete actions"):
    softmax(1.0)(agent(), task(CONTINUOUS))
