"""Probe environments: each isolates one piece of machinery.

All kinds are one environment, so that one compiled program can run all kinds
along the seeds axis. Every kind has values in closed form (`expected_values`),
and every one is at most three steps long.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from neurorl import registry
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import Array, DiscreteActions, Environment, EnvironmentSpec

# A kind's index is its code.
KINDS = (
  "constant_reward",  # one step, reward 1: values move at all
  "reward_from_observation",  # one step, reward is the observation: torso
  "discounting",  # three steps, reward 1 at the end: discounts, order of time
  "action_matters",  # one step, reward 1 for action 1, -1 for 0: credit
  "memory_matters",  # cue, blank, then reward 1 for repeating the cue: core
  "timeout_is_not_death",  # reward 1 a step, cut after 3 steps by the clock
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
  lengths = jnp.array([1, 1, 3, 1, 2, 3])

  def observe(state):
    shows = (code == 1) | ((code == 4) & (state.time == 0))
    cue = jnp.where(shows, state.cue, 0.0)
    # Without a core, only a clock can tell the steps of `discounting` apart.
    cue = jnp.where(code == 2, state.time - 1.0, cue)
    go = jnp.where((code == 4) & (state.time == 1), 1.0, 0.0)
    return jnp.stack([jnp.float32(1.0), cue, go])

  def reset(key):
    cue = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)
    state = ProbeState(jnp.int32(0), cue)
    return state, restart(observe(state))

  def step(key, state, action):
    del key
    time = state.time + 1
    over = time >= lengths[code]
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
    timed_out = code == KINDS.index("timeout_is_not_death")
    return state, transition(
      observe(state), rewards[code], over & ~timed_out, over & timed_out
    )

  spec = EnvironmentSpec(
    name="probe",
    observation=jax.ShapeDtypeStruct((3,), jnp.float32),
    action=jax.ShapeDtypeStruct((), jnp.int32),
    actions=DiscreteActions(2),
  )
  return Environment(reset, step, spec)
