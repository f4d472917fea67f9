"""Our loop at the settings of peers whose speed was measured elsewhere.

A peer's figure is scaled by the straightforward parts of Q-learning on Catch:
8.0 ms on the machine that measured it, and what they take here, measured in
turn with our loops. Evaluation and logging are off on both sides.
"""

import dataclasses

import jax
import jax.numpy as jnp

from neurorl import config, training
from neurorl.training import executables

from . import straightforward, timing

_THEIR_PARTS = 8.0  # milliseconds


@dataclasses.dataclass(frozen=True)
class Peer:
  """What a peer does, in our terms.

  Attributes:
    name: of the peer and what it runs.
    steps_per_second: the middle of what was measured of it.
    gin_file: ours.
    bindings: that make it the peer's work.
    chunk: environment steps per measurement.
  """

  name: str
  steps_per_second: float
  gin_file: str
  bindings: str
  chunk: int = 50_000


_PEERS = [
  Peer(
    "purejaxrl PPO, CartPole, 4 x 128",
    237_500,
    "ppo.gin",
    """
ENVIRONMENT = 'CartPole-v1'
NUM_ENVS = 4
train.unroll_length = 128
""",
  ),
  Peer(
    "purejaxrl PPO, Breakout, 64 x 128",
    135_500,
    "ppo.gin",
    """
ENVIRONMENT = 'Breakout-MinAtar'
NUM_ENVS = 64
train.unroll_length = 128
rollout.num_minibatches = 8
""",
  ),
  Peer(
    "rejax PPO, CartPole, 5 x 100",
    169_000,
    "ppo.gin",
    """
ENVIRONMENT = 'CartPole-v1'
NUM_ENVS = 5
train.unroll_length = 100
rollout.epochs = 5
rollout.num_minibatches = 5
""",
  ),
  Peer(
    "purejaxrl recurrent PPO, CartPole, GRU 128, 4 x 128",
    8_300,
    "recurrent_ppo.gin",
    """
ENVIRONMENT = 'CartPole-v1'
NUM_ENVS = 4
train.unroll_length = 128
policy_head.hidden_sizes = (128,)
scalar_head.hidden_sizes = (128,)
policy_head.activation = @jax.nn.relu()
scalar_head.activation = @jax.nn.relu()
""",
    chunk=10_000,
  ),
  Peer(
    "purejaxrl DQN, CartPole, 10 environments",
    76_500,
    "dqn.gin",
    """
ENVIRONMENT = 'CartPole-v1'
NUM_ENVS = 10
train.unroll_length = 1
mlp.hidden_sizes = (120, 84)
uniform_replay:
  capacity = 10_000
  batch_size = 128
  updates_per_add = 1
train.target_params = @periodic_copy()
periodic_copy.period = 50
optimizer.transforms = [@optax.scale_by_adam()]
""",
  ),
  Peer(
    "rejax PQN, CartPole, 16 x 128",
    127_000,
    "pqn.gin",
    """
ENVIRONMENT = 'CartPole-v1'
NUM_ENVS = 16
train.unroll_length = 128
mlp.hidden_sizes = (64, 64)
rollout.epochs = 5
rollout.num_minibatches = 16
""",
  ),
]


def measure(environment: str, repeats: int) -> dict[str, float]:
  """Times our loops and the parts, in turn."""
  catch = config.load(["qlearning.gin"], []).call().environment
  del environment
  loops = {peer.name: _loop(peer) for peer in _PEERS}
  functions = {name: run for name, (run, _) in loops.items()}
  parts = straightforward.functions(catch)
  seconds = timing.medians({**functions, **parts}, repeats)
  ours = sum(seconds[name] for name in parts) / straightforward.ITERATIONS * 1e3
  found = {"straightforward parts (ms per 320 steps)": ours}
  for peer in _PEERS:
    speed = loops[peer.name][1] / seconds[peer.name]
    scaled = peer.steps_per_second * _THEIR_PARTS / ours
    found[f"{peer.name}: slots per second"] = speed
    found[f"{peer.name}: peer's, scaled"] = scaled
    found[f"{peer.name}: ours / peer's"] = speed / scaled
  return found


def _loop(peer: Peer):
  """Returns what runs a chunk that learns, and its environment steps."""
  experiment = config.load([peer.gin_file], [peer.bindings]).call()
  program = training.build(experiment)
  learns = jnp.bool_(True)
  state = jax.jit(program.init)(jax.random.key(0))
  run_chunk = jax.jit(program.run_chunk, donate_argnums=0)
  chunk = executables.compile_(run_chunk.lower(state, jnp.int32(0), learns))
  filling = jnp.int32(program.warm_up_iterations)
  held = [chunk(state, filling, jnp.bool_(False))[0]]
  iterations = peer.chunk // experiment.steps_per_iteration

  def run():
    held[0], output = chunk(held[0], jnp.int32(iterations), learns)
    return output

  return run, iterations * experiment.steps_per_iteration
