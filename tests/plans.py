"""Small environments whose values are known, and an agent that says them."""

import jax
import jax.numpy as jnp

from neurorl.environments import timesteps
from neurorl.ops.codecs import SCALAR
from neurorl.search.models import Heads, Root
from neurorl.types import (
  Agent,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Task,
)

GAMMA = 0.9
HEADS = Heads("policy", "value")


def spec(num_actions):
  """Observations are one number, actions are discrete."""
  return EnvironmentSpec(
    "small",
    jax.ShapeDtypeStruct((1,), jnp.float32),
    jax.ShapeDtypeStruct((), jnp.int32),
    DiscreteActions(num_actions),
  )


def chain(length, ends="termination", num_actions=1, noise=0.0):
  """Each step pays 1, and goes on paying if it is stepped beyond the end."""

  def observe(place):
    return place[None].astype(jnp.float32)

  def reset(key):
    del key
    return jnp.int32(0), timesteps.restart(observe(jnp.int32(0)))

  def step(key, place, action):
    del action
    place = place + 1
    over = place == length
    reward = 1.0 + noise * jax.random.normal(key)
    timestep = timesteps.transition(
      observe(place),
      reward,
      over & (ends == "termination"),
      over & (ends == "timeout"),
    )
    return place, timestep

  return Environment(reset, step, spec(num_actions))


def bandit(pays):
  """One step; each arm pays what it pays."""
  pays = jnp.asarray(pays, jnp.float32)

  def reset(key):
    del key
    return jnp.int32(0), timesteps.restart(jnp.zeros(1))

  def step(key, state, action):
    del key
    end = jnp.bool_(True)
    reward = pays[action]
    return state, timesteps.transition(jnp.zeros(1), reward, end, ~end)

  return Environment(reset, step, spec(len(pays)))


def agent(num_actions, value=None):
  """Uniform priors, values of 0 or as told; its state counts its steps."""

  def step(params, key, timestep, state, mode):
    del params, key, mode
    batch = timestep.last.shape
    worth = value(timestep.observation) if value else jnp.zeros(batch)
    outputs = {
      "policy": {"logits": jnp.zeros((*batch, num_actions))},
      "value": {"mean": worth},
    }
    return outputs, state + 1

  def initial_state(params, batch_size):
    del params
    return jnp.zeros(batch_size, jnp.int32)

  codecs = {"value": SCALAR}
  return Agent(lambda key: (), initial_state, step, None, None, codecs)


def begin(environment, planner, batch_size):
  """Returns a task and a root of episodes' beginnings."""
  keys = jax.random.split(jax.random.key(0), batch_size)
  env_state, timestep = jax.vmap(environment.reset)(keys)
  state = planner.initial_state((), batch_size)
  outputs, state = planner.step((), keys[0], timestep, state, "acting")
  return Task(environment, GAMMA), Root(outputs, timestep, env_state, state)
