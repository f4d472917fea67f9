"""Runs that learn from replay: Q-learning, AlphaZero, DQN, IQN."""

import dataclasses

import jax

from .plain import Head, Work
from .timed import CARTPOLE, CATCH, Timed

_Q = """
train.unroll_length = 10
NUM_ENVS = 32
prioritized_replay:
  capacity = 10_000
  min_size = 2_000
  batch_size = 32
  sequence_length = 19
  period = 10
  updates_per_add = 1
train.target_params = @periodic_copy()
periodic_copy.period = 200
"""
_GRU = """
agent.core = @gru()
gru.hidden_size = 128
"""
_ALPHAZERO = """
train.unroll_length = 10
NUM_ENVS = 32
uniform_replay:
  capacity = 10_000
  batch_size = 32
  sequence_length = 19
  updates_per_add = 1
"""


def _q(name: str, *bindings: str, work=None, peer="", peer_steps=None) -> Timed:
  bindings = (_Q, *bindings)
  return Timed(name, "qlearning.gin", bindings, work, peer, peer_steps)


def _alphazero(environment: str, simulations: int, peer_steps: float) -> Timed:
  return Timed(
    f"alphazero {environment} {simulations} simulations",
    "alphazero.gin",
    (
      _ALPHAZERO,
      {"catch": CATCH, "cartpole": CARTPOLE}[environment],
      f"search_actor.num_simulations = {simulations}",
    ),
    Work(
      heads=(Head((128,), logits=True), Head((128,), 81, logits=True)),
      forwards=simulations + 1,
    ),
    "jaxneurorl",
    peer_steps,
  )


_DQN = Work(
  envs=10, unroll=1, batch=128, length=2, core=None, torso=(120, 84),
  heads=(Head(),),
)  # fmt: skip
_REJAX_DQN = dataclasses.replace(
  _DQN,
  updates=5,
  batch=100,
  torso=(64, 64),
  heads=(Head(),),
  activation=jax.nn.swish,
)

# As rejax ships it for CartPole; its dueling layers are two.
REJAX_DQN = Timed(
  "rejax's dqn cartpole",
  "dqn.gin",
  (
    CARTPOLE,
    """
NUM_ENVS = 10
train.unroll_length = 1
mlp.hidden_sizes = (64, 64)
mlp.activation = @jax.nn.silu()
agent.heads = {'q': @dueling_q_head()}
dueling_q_head.hidden_sizes = ()
one_step_returns.bootstrap = @double_q()
uniform_replay:
  capacity = 50_000
  min_size = 5_000
  batch_size = 100
  updates_per_add = 5
""",
  ),
  _REJAX_DQN,
  "rejax",
  6_200,
)
# As rejax ships it for CartPole.
REJAX_IQN = Timed(
  "rejax's iqn cartpole",
  "iqn.gin",
  (
    CARTPOLE,
    """
NUM_ENVS = 1
train.unroll_length = 1
mlp.hidden_sizes = (64, 64)
mlp.activation = @jax.nn.silu()
implicit_quantile_q_head:
  num_samples = 64
  num_acting = 32
  num_cosines = 64
  hidden_sizes = (64,)
  activation = @jax.nn.silu()
quantile_td.policy = @online_greedy()
quantile_td.huber = 1.0
uniform_replay:
  capacity = 100_000
  min_size = 1_000
  batch_size = 1
  updates_per_add = 1
""",
  ),
  peer="rejax",
  peer_steps=1_800,
)

RECURRENT = (
  _q("qlearning catch lstm", work=Work(), peer="jaxneurorl", peer_steps=40_350),
  _q("qlearning catch gru", _GRU, work=Work(core="gru")),
  _q(
    "qlearning cartpole lstm",
    CARTPOLE,
    work=Work(),
    peer="jaxneurorl",
    peer_steps=42_450,
  ),
  _q("qlearning cartpole gru", CARTPOLE, _GRU, work=Work(core="gru")),
  _q(
    "qlearning catch lstm, 4 seeds",
    "NUM_SEEDS = 4",
    peer="demanded of 2 cores",
    peer_steps=58_000,
  ),
  _alphazero("catch", 2, 20_650),
  _alphazero("catch", 16, 7_800),
  _alphazero("cartpole", 2, 20_000),
  _alphazero("cartpole", 16, 8_500),
  _q(
    "qlearning catch lstm 256, 256 environments",
    """
NUM_ENVS = 256
lstm.hidden_size = 256
prioritized_replay.capacity = 100_000
prioritized_replay.min_size = 10_000
prioritized_replay.batch_size = 256
""",
    work=Work(envs=256, batch=256, width=256),
  ),
)
FEED_FORWARD = (
  Timed(
    "dqn cartpole 10 environments",
    "dqn.gin",
    (
      CARTPOLE,
      """
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
    _DQN,
    "purejaxrl",
    76_500,
  ),
  REJAX_DQN,
  REJAX_IQN,
)
