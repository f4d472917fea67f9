"""Small experiments that train in seconds."""

from neurorl import config

# Without a picture at the end, which takes a third of a second.
COMMON = """
NUM_ENVS = 8
train.loggers = [@terminal(), @metrics_file()]
train.unroll_length = 5
mlp.hidden_sizes = (16,)
evaluator.episodes = 4
train.steps_per_chunk = 400
TOTAL_STEPS = 1_200
"""
SEQUENCES = """
  capacity = 2_000
  min_size = 200
  batch_size = 8
  sequence_length = 5
  period = 5
  updates_per_add = 1
"""
QLEARNING = f"""{COMMON}
{{core}}.hidden_size = 16
q_head.hidden_sizes = (16,)
prioritized_replay:{SEQUENCES}"""
DQN = f"""{COMMON}
uniform_replay:
  capacity = 2_000
  min_size = 200
  batch_size = 16
  updates_per_add = 1
"""
PRIORITIZED_DQN = DQN.replace("uniform", "prioritized")
SEARCH = f"""{COMMON}
{{core}}.hidden_size = 16
policy_head.hidden_sizes = (16,)
scalar_head.hidden_sizes = (16,)
search_actor.num_simulations = 4
uniform_replay:{SEQUENCES}"""
# Variants of the same size.
DQNS = [
  "double_dqn.gin",
  "dueling_dqn.gin",
  "n_step_dqn.gin",
  "c51.gin",
  "qr_dqn.gin",
  "iqn.gin",
  "munchausen_dqn.gin",
  "conservative_dqn.gin",
  "dqn_reg.gin",
]
SUCCESSORS = ["successor_features.gin", "usfa.gin"]
QLEARNINGS = [
  "watkins_q_lambda.gin",
  "peng_q_lambda.gin",
  "sarsa_lambda.gin",
  "expected_sarsa.gin",
  "retrace.gin",
]
# The library of an environment that only an extra installs.
LIBRARIES = {
  "env_craftax.gin": "craftax",
  "env_craftax_classic.gin": "craftax",
  "env_navix.gin": "navix",
  "env_pgx.gin": "pgx",
  "env_xland_minigrid.gin": "xminigrid",
}
SAC = f"""{DQN}
scalar_head.hidden_sizes = (16,)
gaussian_policy_head.hidden_sizes = (16,)
""".replace("mlp.hidden_sizes = (16,)", "")
DISCRETE_SAC = f"""{DQN}
q_head.hidden_sizes = (16,)
policy_head.hidden_sizes = (16,)
""".replace("mlp.hidden_sizes = (16,)", "")
VMPO = f"""{COMMON}
policy_head.hidden_sizes = (16,)
scalar_head.hidden_sizes = (16,)
rollout.epochs = 2
periodic_copy.period = 4
"""
PPO = f"""{COMMON}
train.unroll_length = 16
rollout:
  epochs = 2
  num_minibatches = 2
policy_head.hidden_sizes = (16,)
scalar_head.hidden_sizes = (16,)
"""
CONTINUOUS_PPO = PPO.replace("policy_head", "gaussian_policy_head")
A2C = f"""{COMMON}
policy_head.hidden_sizes = (16,)
scalar_head.hidden_sizes = (16,)
"""
RECURRENT_A2C = f"""{COMMON}
lstm.hidden_size = 16
"""
PQN = f"""{COMMON}
rollout:
  epochs = 2
  num_minibatches = 2
"""
ROLLOUTS = {
  "ppo.gin": PPO,
  "recurrent_ppo.gin": PPO + "gru.hidden_size = 16\n",
  "ppo_continuous.gin": CONTINUOUS_PPO,
  "a2c.gin": A2C,
  "reinforce.gin": A2C,
  "impala.gin": A2C + "lstm.hidden_size = 16\n",
  "recurrent_a2c.gin": RECURRENT_A2C,
  "pqn.gin": PQN,
  "recurrent_pqn.gin": PQN + "gru.hidden_size = 16\n",
}
MUZERO = f"""{SEARCH}
residual_dynamics.hidden_sizes = (16,)
unrolled.steps = 2
"""


def sizes(file, core="lstm"):
  """Bindings that make a shipped algorithm small."""
  text = {
    "qlearning.gin": QLEARNING,
    **dict.fromkeys(QLEARNINGS, QLEARNING),
    "dqn.gin": DQN,
    **dict.fromkeys(DQNS, DQN),
    **dict.fromkeys(SUCCESSORS, DQN),
    "ppo_rnd.gin": PPO.replace("mlp.hidden_sizes = (16,)\n", ""),
    "prioritized_dqn.gin": PRIORITIZED_DQN,
    "rainbow.gin": PRIORITIZED_DQN,
    "bootstrapped_dqn.gin": DQN + "ensemble_head.size = 3\n",
    "alphazero.gin": SEARCH,
    "alphazero_puct.gin": SEARCH,
    "muzero.gin": MUZERO,
    "gumbel_muzero.gin": MUZERO,
    "alphazero_deep_sea.gin": SEARCH,
    **ROLLOUTS,
    "sac.gin": SAC,
    "td3.gin": SAC,
    "discrete_sac.gin": DISCRETE_SAC,
    "vmpo.gin": VMPO,
    "muzero_reanalyse.gin": MUZERO + "reanalysed.num_simulations = 4\n",
  }[file]
  return text.replace("{core}", core)


def load(file, *bindings, core="lstm", **macros):
  """Loads a shipped gin file at a small size."""
  named = [f"{name} = {value!r}" for name, value in macros.items()]
  return config.load([file], [sizes(file, core), *bindings, *named])
