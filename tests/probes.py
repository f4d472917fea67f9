"""Training on every probe environment at once, and watching what is learned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import environments, training
from neurorl.environments.probes import KINDS


def _watch(kind, environment, agent, params, cue, head):
  """The agent's outputs along one episode whose cue is known.

  It acts by the greatest of what a head predicts for every action.
  """
  state, timestep = environment.reset(jax.random.key(0))
  state = state._replace(cue=cue)
  shows_cue = (kind == KINDS.index("reward_from_observation")) | (
    kind == KINDS.index("memory_matters")
  )
  seen = timestep.observation
  seen = seen.at[1].set(jnp.where(shows_cue, cue, seen[1]))
  timestep = timestep._replace(observation=seen)
  memory = agent.initial_state(params, 1)
  found = []
  for _ in range(3):
    batched = jax.tree.map(lambda x: x[None], timestep)
    outputs, memory = agent.step(
      params, jax.random.key(0), batched, memory, "evaluating"
    )
    outputs = {
      name: output["mean"][0]
      for name, output in outputs.items()
      if name != "embedding"
    }
    found.append(outputs)
    action = jnp.argmax(outputs[head]).astype(jnp.int32)
    state, timestep = environment.step(jax.random.key(0), state, action)
  return jax.tree.map(lambda *xs: jnp.stack(xs), *found)


def learn(base, head):
  """Trains an experiment on each kind of probe, one program for all.

  Args:
    base: the experiment; its environment is replaced.
    head: what the agent acts by when it is watched.

  Returns:
    By kind, the means of all heads, `[2, 3, ...]`: for a cue of -1 and of 1, at
    the three steps of an episode.
  """

  def run(kind, key):
    environment = environments.probe(kind)
    experiment = dataclasses.replace(base, environment=environment)
    program = training.build(experiment)
    warm_up = program.warm_up_iterations
    state, _ = program.run_chunk(program.init(key), warm_up, False)
    iterations = experiment.iterations - warm_up
    state, _ = program.run_chunk(state, iterations, True)
    params = state.learning.params["agent"]
    seen = [
      _watch(kind, environment, program.agent, params, cue, head)
      for cue in (-1.0, 1.0)
    ]
    return jax.tree.map(lambda *xs: jnp.stack(xs), *seen)

  keys = jax.random.split(jax.random.key(7), len(KINDS))
  found = jax.jit(jax.vmap(run))(jnp.arange(len(KINDS)), keys)
  found = jax.tree.map(np.asarray, found)
  return {
    kind: jax.tree.map(lambda x, i=i: x[i], found)
    for i, kind in enumerate(KINDS)
  }
