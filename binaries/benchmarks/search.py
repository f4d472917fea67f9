"""AlphaZero at 2 and 16 simulations, and what its acting takes at least.

Milliseconds of an iteration of 320 steps: of acting, and of the whole loop; of
the network's forwards and the simulated steps of the environment that acting
needs, alone. The straightforward parts of Q-learning, by which machines differ,
are beside them.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from neurorl import environments

from . import looping, straightforward, timing, workloads

_TIMES = 20  # iterations per measurement


def measure(
  environment: str, repeats: int, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
  """Times acting and learning with search, and what acting takes at least.

  Args:
    environment: a name of gymnax.
    repeats: measurements of each.
    only: ignored.

  Returns:
    A row for each number of simulations.
  """
  del only
  return [_row(environment, repeats, simulations) for simulations in (2, 16)]


def _row(environment: str, repeats: int, simulations: int) -> dict[str, Any]:
  timed = workloads.find(f"alphazero catch {simulations} simulations")
  bindings = [*timed.bindings, f"ENVIRONMENT = {environment!r}"]
  loop = looping.start([timed.gin_file], bindings)
  parts = straightforward.reference()
  seconds = timing.samples({**_functions(loop, simulations), **parts}, repeats)
  reference = sum(seconds.pop(name) for name in parts)
  found = {"simulations": simulations}
  for name, s in seconds.items():
    found[f"{name} ms"] = 1e3 * s / _TIMES
  found["learning ms"] = found["loop ms"] - found["acting ms"]
  for name in ("acting", "loop"):
    found[f"{name} steps/s"] = loop.steps * _TIMES / seconds[name]
  found["forwards / acting"] = seconds["forwards"] / seconds["acting"]
  found["reference ms"] = 1e3 * reference / straightforward.ITERATIONS
  return found


def _functions(loop: looping.Loop, simulations: int):
  """Chunks that act, chunks that learn too, and the parts of acting."""
  # One forward for the root, one for every simulation.
  repeats = _TIMES * loop.experiment.unroll_length * (simulations + 1)
  agent, envs = loop.program.agent, loop.experiment.num_envs
  state = loop.chunks.state
  # The loop's state is donated, its parts are kept.
  params, acting = jax.tree.map(
    lambda x: jnp.copy(x[0]), (state.learning.params["agent"], state.acting)
  )
  environment = environments.batch(loop.experiment.environment)

  def forward(carry):
    timestep, state = carry
    outputs, state = agent.step(
      params, jax.random.key(0), timestep, state, "acting"
    )
    # All that a search reads goes on, so that nothing is left out.
    read = outputs["value"]["mean"].mean() + outputs["policy"]["logits"].mean()
    seen = jax.tree.map(lambda x: x + 1e-9 * read, timestep.observation)
    return timestep._replace(observation=seen), state

  def step(carry):
    key, state, timestep = carry
    key, action_key, step_key = jax.random.split(key, 3)
    num_actions = loop.experiment.environment.spec.actions.num_actions
    action = jax.random.randint(action_key, (envs,), 0, num_actions)
    return key, *environment.step(
      jax.random.split(step_key, (envs, 2)), state, timestep, action
    )

  return {
    "acting": lambda: loop.run(_TIMES, learn=False),
    "loop": lambda: loop.run(_TIMES),
    "forwards": timing.repeated(
      forward, (acting.timestep, acting.agent_state), repeats
    ),
    "environment": timing.repeated(
      step, (jax.random.key(0), acting.env_state, acting.timestep), repeats
    ),
  }
