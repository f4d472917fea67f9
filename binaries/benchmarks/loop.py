"""Recurrent Q-learning against the sum of straightforward parts, by core."""

import jax
import jax.numpy as jnp

from neurorl import config, training
from neurorl.training import executables

from . import straightforward, timing
from .straightforward import BATCH, ENVS, ITERATIONS, SEQUENCE, STEPS, UNROLL

_SETTINGS = f"""
train.unroll_length = {UNROLL}
NUM_ENVS = {ENVS}
prioritized_replay:
  capacity = 10_000
  min_size = 2_000
  batch_size = {BATCH}
  sequence_length = {SEQUENCE - 1}
  period = 10
  updates_per_add = 1
train.target_params = @periodic_copy()
periodic_copy.period = 200
"""


def measure(environment: str, repeats: int) -> dict[str, float | str]:
  """Times whole iterations and the parts, in turn, for each core."""
  found = {"environment": environment}
  for core in straightforward.CORES:
    figures = _measure(environment, core, repeats)
    found |= {f"{core}: {name}": value for name, value in figures.items()}
  return found


def _measure(environment: str, core: str, repeats: int) -> dict[str, float]:
  bindings = [
    _SETTINGS,
    f"ENVIRONMENT = {environment!r}",
    f"agent.core = @{core}()\n{core}.hidden_size = 128",
  ]
  experiment = config.load(["qlearning.gin"], bindings).call()
  program = training.build(experiment)
  state = jax.jit(program.init)(jax.random.key(0))
  learns, collects = jnp.bool_(True), jnp.bool_(False)
  run_chunk = jax.jit(program.run_chunk, donate_argnums=0)
  chunk = executables.compile_(run_chunk.lower(state, jnp.int32(0), learns))
  filling = jnp.int32(program.warm_up_iterations + 40)
  state, _ = chunk(state, filling, collects)
  held = [state]

  def run():
    held[0], output = chunk(held[0], jnp.int32(ITERATIONS), learns)
    return output

  parts = straightforward.functions(experiment.environment, core)
  seconds = timing.medians({"loop": run, **parts}, repeats)
  # Each part is repeated as often as a loop's call repeats it.
  seconds = {name: s / ITERATIONS for name, s in seconds.items()}
  loop = seconds.pop("loop")
  total = sum(seconds.values())
  return {
    **{f"{name} (ms per 320 steps)": 1e3 * s for name, s in seconds.items()},
    "sum of parts (ms per 320 steps)": 1e3 * total,
    "loop (ms per 320 steps)": 1e3 * loop,
    "loop (slots per second)": STEPS / loop,
    "parts / loop": total / loop,
  }
