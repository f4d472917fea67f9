"""Probe environments: each isolates one piece of machinery.

All kinds are one environment, so that one compiled program can run all kinds
along the seeds axis. Every kind's values are known in closed form.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl import registry
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Array, DiscreteActions, Environment, EnvironmentSpec

# Kind -> transitions of its longest episode; a kind's place is its code.
_LENGTHS = {
  "constant_reward": 1,  # reward 1: values move at all
  "reward_from_observation": 1,  # the reward is the observation: torso
  "discounting": 3,  # reward 1 at the end: discounts, order of time
  "action_matters": 1,  # reward 1 for action 1, -1 for action 0: credit
  "memory_matters": 2,  # cue, blank, then reward 1 for repeating the cue: core
  # Reward 1 a step, cut by the clock. When is left to chance, as no state that
  # is always the last would ever be learned from.
  "timeout_is_not_death": 1_000,
}
KINDS = tuple(_LENGTHS)
_OBSERVATION, _DISCOUNTING, _MEMORY, _TIMEOUT = map(
  KINDS.index,
  (
    "reward_from_observation",
    "discounting",
    "memory_matters",
    "timeout_is_not_death",
  ),
)


class ProbeState(NamedTuple):
  """State of a probe: the time within the episode, and the cue shown."""

  time: Array
  cue: Array


@component
def probe(kind: str = "constant_reward") -> Environment:
  """Makes a probe environment with two actions and observations `[3]`.

  The observation is (1, cue, go): the cue is -1 or 1 where the kind shows one
  (in `discounting` it is the time) and 0 elsewhere; go is 1 where a remembered
  cue must be repeated.

  Args:
    kind: one of `KINDS`, or its code as a number or traced array.

  Returns:
    The environment.

  Raises:
    ValueError: if the kind is unknown.
  """
  if isinstance(kind, str):
    if kind not in KINDS:
      raise ValueError(
        f"probe.kind = '{kind}': no such probe{registry.nearest(kind, KINDS)}"
      )
    kind = KINDS.index(kind)
  code = jnp.asarray(kind, jnp.int32)
  lengths = jnp.array(list(_LENGTHS.values()))

  def observe(state):
    shows = (code == _OBSERVATION) | ((code == _MEMORY) & (state.time == 0))
    cue = jnp.where(shows, state.cue, 0.0)
    # Without a core, only a clock can tell the steps of `discounting` apart.
    cue = jnp.where(code == _DISCOUNTING, state.time - 1.0, cue)
    go = jnp.where((code == _MEMORY) & (state.time == 1), 1.0, 0.0)
    return jnp.stack([jnp.float32(1.0), cue, go])

  def reset(key):
    cue = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
    state = ProbeState(jnp.int32(0), cue)
    return state, restart(observe(state))

  def step(key, state, action):
    time = state.time + 1
    over = time >= lengths[code]
    timed_out = (code == _TIMEOUT) & (over | jax.random.bernoulli(key, 0.3))
    signed = 2.0 * action - 1.0
    rewards = jnp.stack(
      [
        1.0,
        state.cue,
        jnp.where(over, 1.0, 0.0),
        signed,
        jnp.where(over, signed * state.cue, 0.0),
        1.0,
      ]
    )
    state = ProbeState(time, state.cue)
    terminated = over & (code != _TIMEOUT)
    return state, transition(
      observe(state), rewards[code], terminated, timed_out
    )

  spec = EnvironmentSpec(
    name="probe",
    observation=jax.ShapeDtypeStruct((3,), jnp.float32),
    action=jax.ShapeDtypeStruct((), jnp.int32),
    actions=DiscreteActions(2),
  )
  return Environment(reset, step, spec)
