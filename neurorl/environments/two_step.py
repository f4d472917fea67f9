"""The two-step task, which tells model-based from model-free choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Array, DiscreteActions, Environment, EnvironmentSpec

# The stages of a trial.
_FIXATION, _FIRST, _SECOND = range(3)


class TwoStepState(NamedTuple):
  """State of the task.

  Attributes:
    stage: `[]` int32, fixation, first or second.
    second: `[]` int32, the second-stage state of the newest choice.
    good: `[]` int32, the second-stage state that mostly pays.
    trial: `[]` int32, trials that are over.
    paid: `[]` bool, whether the newest of them was rewarded.
  """

  stage: Array
  second: Array
  good: Array
  trial: Array
  paid: Array


@component
def two_step(
  num_trials: int = 100,
  common: float = 0.8,
  rewards: Sequence[float] = (0.9, 0.1),
  reversal: float = 0.025,
  fixation: bool = False,
) -> Environment:
  """A choice leads mostly to one of two states, of which one mostly pays.

  A trial has two transitions. At the first stage, action 0 leads with the
  probability `common` to state A and else to B; action 1 the other way round.
  At the second stage either action ends the trial, and its reward of 1 or 0
  comes with the first stage of the next one. Which of A and B is the good one
  is drawn for an episode and swapped after a trial now and then; nothing shows
  it. An episode terminates with its last trial.

  The observation is one-hot: the first stage, A, B; with `fixation`, that one
  before them. Only by `@observation_action_reward()` does the agent see what
  it did and got, and only with a core can it keep that in mind.

  Daw et al. (2011), https://doi.org/10.1016/j.neuron.2011.02.027
  Wang et al. (2018), https://doi.org/10.1038/s41593-018-0147-8

  Args:
    num_trials: of an episode, at least 1.
    common: the probability of a choice's common transition.
    rewards: the probabilities that the good and the other state pay.
    reversal: the probability that the two are swapped after a trial.
    fixation: whether a trial begins with one more step, where nothing is
      chosen.

  Returns:
    The environment, with two actions.

  Raises:
    ValueError: if a probability is none, or there are no trials.
  """
  if num_trials < 1:
    raise ValueError(f"two_step.num_trials must be >= 1, got {num_trials}")
  if len(rewards) != 2:
    raise ValueError(
      "two_step.rewards must be two probabilities, of the good state and of "
      f"the other, got {rewards}"
    )
  for name, value in [
    ("common", common),
    ("rewards", rewards),
    ("reversal", reversal),
  ]:
    if not np.all((np.asarray(value) >= 0.0) & (np.asarray(value) <= 1.0)):
      raise ValueError(f"two_step.{name} must be in [0, 1], got {value}")
  begins = _FIXATION if fixation else _FIRST

  def observe(state: TwoStepState):
    place = state.stage + state.second * (state.stage == _SECOND)
    return jax.nn.one_hot(place - begins, 4 - begins)

  def reset(key):
    good = jax.random.bernoulli(key).astype(jnp.int32)
    none = jnp.int32(0)
    state = TwoStepState(jnp.int32(begins), none, good, none, jnp.bool_(False))
    return state, restart(observe(state))

  def step(key, state, action):
    common_key, pay_key, swap_key = jax.random.split(key, 3)
    chooses, ends = state.stage == _FIRST, state.stage == _SECOND
    usual = jax.random.bernoulli(common_key, common)
    led_to = jnp.where(usual, action, 1 - action).astype(jnp.int32)
    pays = jnp.where(state.second == state.good, *rewards)
    paid = jax.random.bernoulli(pay_key, pays)
    swapped = ends & jax.random.bernoulli(swap_key, reversal)
    state = TwoStepState(
      jnp.where(ends, begins, state.stage + 1),
      jnp.where(chooses, led_to, state.second),
      jnp.where(swapped, 1 - state.good, state.good),
      state.trial + ends,
      jnp.where(ends, paid, state.paid),
    )
    return state, transition(
      observe(state),
      1.0 * (ends & paid),
      state.trial >= num_trials,
      False,
    )

  spec = EnvironmentSpec(
    name="two_step",
    observation=jax.ShapeDtypeStruct((4 - begins,), jnp.float32),
    action=jax.ShapeDtypeStruct((), jnp.int32),
    actions=DiscreteActions(2),
  )
  return Environment(reset, step, spec, render=_render)


# Colours that the colour-blind tell apart: fixation, first stage, A, B.
_COLOURS = np.array(
  [[240, 240, 240], [204, 187, 68], [68, 119, 170], [238, 102, 119]], np.uint8
)
_SIZE = 16  # pixels of a cell


def _render(state: TwoStepState) -> np.ndarray:
  """Draws where the trial is: first stage above, A and B below, and the pay."""
  stage, second = int(state.stage), int(state.second)
  picture = np.full((3 * _SIZE, 4 * _SIZE, 3), 255, np.uint8)

  def box(row, column, colour, lit):
    inner = slice(row + 2, row + _SIZE - 2), slice(column + 2, column + 22)
    picture[inner] = colour if lit else 255 - (255 - colour) // 6

  box(_SIZE // 4, 5 * _SIZE // 4, _COLOURS[_FIRST], stage == _FIRST)
  for state_ in range(2):
    lit = stage == _SECOND and second == state_
    box(5 * _SIZE // 4, 5 + 30 * state_, _COLOURS[_SECOND + state_], lit)
  if bool(state.paid) and stage != _SECOND:  # what the last trial brought
    picture[-_SIZE // 2 :, 8:-8] = (34, 136, 51)
  return picture
