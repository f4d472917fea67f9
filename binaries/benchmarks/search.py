"""AlphaZero at 2 and 16 simulations, and what its acting takes at least.

The network's forwards and the simulated steps of the environment are measured
beside acting, and the straightforward parts of Q-learning, by which machines
differ.
"""

import functools

import jax
import jax.numpy as jnp

from neurorl import config, environments, training
from neurorl.training import executables

from . import straightforward, timing
from .straightforward import BATCH, ENVS, SEQUENCE, STEPS, UNROLL

_TIMES = 20  # iterations per measurement
_SETTINGS = f"""
train.unroll_length = {UNROLL}
NUM_ENVS = {ENVS}
uniform_replay:
  capacity = 10_000
  batch_size = {BATCH}
  sequence_length = {SEQUENCE - 1}
  updates_per_add = 1
"""


def measure(environment: str, repeats: int) -> dict[str, float]:
  """Times acting and learning with search, and what acting takes at least."""
  found = {}
  for simulations in (2, 16):
    bindings = [
      _SETTINGS,
      f"search_actor.num_simulations = {simulations}",
      f"ENVIRONMENT = {environment!r}",
    ]
    experiment = config.load(["alphazero.gin"], bindings).call()
    program = training.build(experiment)
    seconds = timing.medians(
      _functions(experiment, program, simulations), repeats
    )
    for name, s in seconds.items():
      found[f"{simulations:>2}: {name} (ms per 320 steps)"] = 1e3 * s / _TIMES
    found[
      f"{simulations:>2}: learning, loop less acting (ms per 320 steps)"
    ] = 1e3 * (seconds["loop"] - seconds["acting"]) / _TIMES
    for name in ("acting", "loop"):
      found[f"{simulations:>2}: {name} (slots per second)"] = (
        STEPS * _TIMES / seconds[name]
      )
    found[f"{simulations:>2}: forwards / acting"] = (
      seconds["forwards"] / seconds["acting"]
    )
  found["straightforward parts of Q-learning (ms per 320 steps)"] = (
    straightforward.milliseconds(experiment.environment, repeats)
  )
  return found


def _functions(experiment, program, simulations: int):
  """Chunks that act, chunks that learn too, and the parts of acting."""
  run_chunk = jax.jit(program.run_chunk, donate_argnums=0)
  learns = {"acting": jnp.bool_(False), "loop": jnp.bool_(True)}
  held = [jax.jit(program.init)(jax.random.key(0))]
  chunk = executables.compile_(
    run_chunk.lower(held[0], jnp.int32(0), learns["loop"])
  )
  filling = jnp.int32(program.warm_up_iterations + 10)
  held[0], _ = chunk(held[0], filling, learns["acting"])

  def run(name):
    held[0], output = chunk(held[0], jnp.int32(_TIMES), learns[name])
    return output

  # One forward for the root, one for every simulation.
  repeats = _TIMES * UNROLL * (simulations + 1)
  params, acting = held[0].learning.params["agent"], held[0].acting
  # The loop's state is donated, its parts are kept.
  params, acting = jax.tree.map(jnp.copy, (params, acting))
  environment = environments.batch(experiment.environment)

  def forward(carry):
    timestep, state = carry
    outputs, state = program.agent.step(
      params, jax.random.key(0), timestep, state, "acting"
    )
    # All that a search reads goes on, so that nothing is left out.
    read = outputs["value"]["mean"].mean() + outputs["policy"]["logits"].mean()
    seen = jax.tree.map(lambda x: x + 1e-9 * read, timestep.observation)
    return timestep._replace(observation=seen), state

  def step(carry):
    key, state, timestep = carry
    key, action_key, step_key = jax.random.split(key, 3)
    num_actions = experiment.environment.spec.actions.num_actions
    action = jax.random.randint(action_key, (ENVS,), 0, num_actions)
    return key, *environment.step(
      jax.random.split(step_key, (ENVS, 2)), state, timestep, action
    )

  return {
    **{name: functools.partial(run, name) for name in learns},
    "forwards": timing.repeated(
      forward, (acting.timestep, acting.agent_state), repeats
    ),
    "environment steps": timing.repeated(
      step, (jax.random.key(0), acting.env_state, acting.timestep), repeats
    ),
  }
