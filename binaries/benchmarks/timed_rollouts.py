"""Runs that learn from rollouts: PPO and PQN."""

import jax

from .plain import Head, Work
from .timed import BREAKOUT, CARTPOLE, Timed

_RELU_HEADS = """
policy_head.hidden_sizes = (128,)
scalar_head.hidden_sizes = (128,)
policy_head.activation = @jax.nn.relu()
scalar_head.activation = @jax.nn.relu()
"""


def _ppo(envs, unroll, updates, minibatches, **others) -> Work:
  """The work of 2x64 networks for policy and value, on single transitions."""
  settings = {
    "torso": (),
    "heads": (Head((64, 64), logits=True), Head((64, 64), 1)),
    "activation": jax.nn.tanh,
    **others,
  }
  return Work(
    envs=envs,
    unroll=unroll,
    updates=updates,
    batch=envs * unroll // minibatches,
    length=1,
    core=None,
    target=False,
    **settings,
  )


def _pqn(envs, unroll, epochs, minibatches, **others) -> Work:
  settings = {"heads": (Head(),), "norm": True, **others}
  return Work(
    envs=envs,
    unroll=unroll,
    updates=epochs * minibatches,
    batch=envs * unroll // minibatches,
    length=1,
    core=None,
    target=False,
    **settings,
  )


# As rejax ships it for CartPole.
REJAX_PPO = Timed(
  "rejax's ppo cartpole",
  "ppo.gin",
  (
    CARTPOLE,
    """
NUM_ENVS = 5
train.unroll_length = 100
rollout.epochs = 5
rollout.num_minibatches = 5
""",
  ),
  _ppo(5, 100, 25, 5),
  "rejax",
  169_000,
)
# As rejax ships it for CartPole.
REJAX_PQN = Timed(
  "rejax's pqn cartpole",
  "pqn.gin",
  (
    CARTPOLE,
    """
NUM_ENVS = 16
train.unroll_length = 128
mlp.hidden_sizes = (64, 64)
rollout.epochs = 5
rollout.num_minibatches = 16
optimizer.transforms = [@optax.clip_by_global_norm(), @optax.scale_by_adam()]
""",
  ),
  _pqn(16, 128, 5, 16, torso=(64, 64)),
  "rejax",
  127_000,
)
TIMED = (
  Timed(
    "ppo cartpole 4x128",
    "ppo.gin",
    (CARTPOLE, "NUM_ENVS = 4", "train.unroll_length = 128"),
    _ppo(4, 128, 16, 4),
    "purejaxrl",
    237_500,
  ),
  Timed(
    "ppo breakout 64x128",
    "ppo.gin",
    (
      BREAKOUT,
      "NUM_ENVS = 64",
      "train.unroll_length = 128",
      "rollout.num_minibatches = 8",
    ),
    _ppo(64, 128, 32, 8),
    "purejaxrl",
    135_500,
  ),
  Timed(
    "recurrent ppo cartpole gru 4x128",
    "recurrent_ppo.gin",
    (CARTPOLE, "NUM_ENVS = 4", "train.unroll_length = 128", _RELU_HEADS),
    Work(
      envs=4,
      unroll=128,
      updates=16,
      batch=1,
      length=128,
      core="gru",
      heads=(Head((128,), logits=True), Head((128,), 1)),
      target=False,
    ),
    "purejaxrl",
    8_300,
  ),
  REJAX_PPO,
  REJAX_PQN,
  Timed(
    "pqn cartpole 32x64",
    "pqn.gin",
    (
      CARTPOLE,
      """
train.unroll_length = 64
mlp.hidden_sizes = (256, 256)
rollout.epochs = 4
rollout.num_minibatches = 16
""",
    ),
    _pqn(32, 64, 4, 16, torso=(256, 256)),
    "purejaxql",
    33_000,
  ),
  Timed(
    "pqn breakout 128x32",
    "pqn.gin",
    (
      BREAKOUT,
      """
NUM_ENVS = 128
train.unroll_length = 32
agent.torso = @minatar_cnn()
rollout.epochs = 2
rollout.num_minibatches = 32
""",
    ),
    _pqn(128, 32, 2, 32, image=True, norm=False),
    "purejaxql",
    6_400,
  ),
  Timed(
    "recurrent pqn memory chain gru 256",
    "recurrent_pqn.gin",
    (
      "ENVIRONMENT = 'MemoryChain-bsuite'",
      """
gymnax.parameters = {'memory_length': 100}
train.unroll_length = 128
mlp.hidden_sizes = (256, 256)
gru.hidden_size = 256
rollout.epochs = 4
rollout.num_minibatches = 16
""",
    ),
    Work(
      unroll=128,
      updates=64,
      batch=2,
      length=128,
      torso=(256, 256),
      core="gru",
      width=256,
      heads=(Head(),),
      target=False,
      norm=True,
    ),
    "purejaxql",
    3_000,
  ),
  Timed(
    "ppo cartpole 1024x32",
    "ppo.gin",
    (CARTPOLE, "NUM_ENVS = 1024", "train.unroll_length = 32"),
    _ppo(1024, 32, 16, 4),
  ),
  Timed(
    "pqn breakout 1024x32",
    "pqn.gin",
    (
      BREAKOUT,
      "NUM_ENVS = 1024",
      "agent.torso = @minatar_cnn()",
      "rollout.epochs = 2",
      "rollout.num_minibatches = 32",
    ),
    _pqn(1024, 32, 2, 32, image=True, norm=False),
  ),
)
