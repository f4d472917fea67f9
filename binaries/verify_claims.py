"""What this project claims to learn: the rows of `verify.py`, by suite."""

import dataclasses
import pathlib

_ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Row:
  """One claim.

  Attributes:
    name: of the row.
    arguments: of binaries/train.py.
    least: what the score must reach; None if `most` is claimed.
    most: what it must not exceed.
    random: the mean return of random play, where it is negative.
    noisy: whether the return has noise of its own: then the upper end of the
      interval must reach `least`, the best that can be expected.
  """

  name: str
  arguments: tuple[str, ...]
  least: float | None = None
  most: float | None = None
  random: float | None = None
  noisy: bool = False

  @property
  def floor(self) -> float | None:
    """What no seed may fall short of."""
    if self.least is None:
      return None
    if self.random is None:
      return 0.8 * self.least
    return self.least - 0.2 * (self.least - self.random)

  def passes(self, score: dict) -> bool:
    """Says whether a summary's score holds the claim."""
    if self.most is not None:
      return score["iqm"] <= self.most
    if self.least is None:
      return True
    reached = score["ci95"][1] if self.noisy else score["iqm"]
    return reached >= self.least and min(score["per_seed"]) >= self.floor


def _files(*names: str) -> tuple[str, ...]:
  return tuple(f"--gin_file={name}" for name in names)


def _variant(name: str, *bindings: str) -> Row:
  arguments = (*_files("qlearning.gin"), "--gin.TOTAL_STEPS=100_000")
  text = "\n".join(bindings)
  return Row(name, (*arguments, f"--gin_bindings={text}"), least=0.95)


_DQN_CARTPOLE = Row(
  "dqn_cartpole", _files("dqn.gin", "env_cartpole.gin"), least=490.0
)
_LEARNING = [
  Row("catch", _files("qlearning.gin"), least=0.99),
  Row("cartpole", _files("qlearning.gin", "env_cartpole.gin"), least=475.0),
  _DQN_CARTPOLE,
  Row(
    "memory_chain_20",
    _files("qlearning.gin", "env_memory_chain.gin"),
    least=0.95,
  ),
  Row(
    "memory_chain_20_no_core",
    (
      *_files("qlearning.gin", "env_memory_chain.gin"),
      "--gin.agent.core=None",
    ),
    most=0.3,
  ),
]

_VARIANTS = [
  _variant("gru", "agent.core = @gru()"),
  _variant(
    "uniform_replay",
    "train.buffer = @uniform_replay()",
    "uniform_replay.capacity = 100_000",
    "uniform_replay.min_size = 2_000",
    "uniform_replay.batch_size = 32",
    "uniform_replay.sequence_length = 20",
    "uniform_replay.period = 10",
    "uniform_replay.updates_per_add = 4",
  ),
  _variant(
    "n_step_huber",
    "regression.target = @n_step_returns()",
    "n_step_returns.bootstrap = @double_q()",
    "n_step_returns.n = 5",
    "regression.distance = @huber()",
  ),
  _variant("dueling", "agent.heads = {'q': @dueling_q_head()}"),
  _variant("sarsa", "lambda_returns.bootstrap = @sarsa()"),
  _variant(
    "periodic_copy",
    "train.target_params = @periodic_copy()",
    "periodic_copy.period = 100",
  ),
  _variant("polyak", "polyak.step_size = 0.005"),
  _variant(
    "signed_hyperbolic",
    "q_head.codec = @scalar_codec()\n"
    "scalar_codec.transform = @signed_hyperbolic()",
  ),
  _variant(
    "adam_cosine_warm_up",
    "optimizer.learning_rate = @warmup_schedule()",
    "warmup_schedule.schedule = @cosine_schedule()",
    "warmup_schedule.until = 0.05",
  ),
  Row(
    "own_core",
    (
      f"--gin_file={_ROOT / 'docs/examples/my_lab.gin'}",
      "--gin.TOTAL_STEPS=100_000",
    ),
    least=0.95,
  ),
  Row(
    "own_core_and_environment",
    (
      f"--gin_file={_ROOT / 'docs/examples/my_lab.gin'}",
      "--gin_bindings=train.environment = @grid_walk()",
      "--gin.TOTAL_STEPS=100_000",
    ),
    least=0.95,
  ),
]


def _catch(name: str, steps: str, least: float) -> list[Row]:
  """A row for each core."""
  return [
    Row(
      f"{name}_catch_{core}",
      (
        *_files(f"{name}.gin"),
        f"--gin.TOTAL_STEPS={steps}",
        f"--gin_bindings=agent.core = {binding}",
      ),
      least=least,
    )
    for core, binding in [
      ("lstm", "@lstm()"),
      ("gru", "@gru()"),
      ("none", "None"),
    ]
  ]


# Long rows first: they run side by side.
_PLANNING = [
  Row(
    "muzero_cartpole",
    _files("muzero.gin", "env_cartpole.gin"),
    least=475.0,
  ),
  *_catch("muzero", "300_000", least=0.95),
  # The best return is 1 less the cost of eight moves to the right, 0.01.
  Row(
    "alphazero_deep_sea", _files("alphazero_deep_sea.gin"), least=0.95 * 0.99
  ),
  Row(
    "alphazero_cartpole",
    (
      *_files("alphazero.gin", "env_cartpole.gin"),
      "--gin.TOTAL_STEPS=200_000",
    ),
    least=490.0,
  ),
  *_catch("alphazero", "100_000", least=0.99),
]

_SIMULATIONS = (2, 4, 8, 16, 32)


def _by_simulations(file: str) -> Row:
  """Trains a little, then plays with few and with many simulations."""
  beside = "'policy_head': @greedy()"
  for n in _SIMULATIONS:
    beside += f", '{n}': @s{n}/search_actor()"
  bindings = [f"evaluator.beside = {{{beside}}}"]
  for n in _SIMULATIONS:
    bindings += [
      f"s{n}/search_actor.num_simulations = {n}",
      f"s{n}/search_actor.greedy = True",
    ]
  return Row(
    file.removesuffix(".gin"),
    (
      *_files(file, "env_cartpole.gin"),
      "--gin.TOTAL_STEPS=50_000",
      "--gin_bindings=" + "\n".join(bindings),
    ),
  )


_BY_SIMULATIONS = [
  _by_simulations(file)
  for file in ("alphazero.gin", "muzero.gin", "gumbel_muzero.gin")
]

_CARTPOLE = [
  _DQN_CARTPOLE,
  *(
    Row(
      f"{name}_cartpole",
      _files(f"{name}.gin", "env_cartpole.gin"),
      least=490.0,
    )
    for name in (
      "double_dqn",
      "dueling_dqn",
      "c51",
      "qr_dqn",
      "pqn",
      "ppo",
      "a2c",
    )
  ),
]
# Random play makes -499.8 of Acrobot and -1,233 of Pendulum (256 episodes).
_ACROBOT = [
  Row(
    f"{name}_acrobot",
    _files(f"{name}.gin", "env_acrobot.gin"),
    least=-90.0,
    random=-500.0,
  )
  for name in ("dqn", "c51", "ppo")
]


def _memory(file: str, core: str, length: int) -> Row:
  bindings = [
    f"agent.core = @{core}()",
    f"gymnax.parameters = {{'memory_length': {length}}}",
  ]
  steps = 300_000
  if length > 20:  # a rollout holds an episode
    bindings += ["train.unroll_length = 128"]
    steps = 200_000
    if core == "gru":  # whose units forget in a step or two
      bindings += ["gru.max_memory = 400.0"]
      # Two of the cores are to do it in 200,000.
      steps = 500_000 if file == "recurrent_pqn" else steps
  return Row(
    f"{file}_{core}_memory_{length}",
    (
      *_files(f"{file}.gin", "env_memory_chain.gin"),
      f"--gin.TOTAL_STEPS={steps}",
      "--gin_bindings=" + "\n".join(bindings),
    ),
    least=0.95,
  )


_MEMORY = [
  _memory(file, core, length)
  for length in (20, 100)
  for file in ("recurrent_ppo", "recurrent_pqn")
  for core in ("gru", "s5", "lru")
]
_DEEP_SEA_10 = (
  "--gin_bindings=gymnax.arguments = {'size': 10}",
  "--gin.TOTAL_STEPS=300_000",
)
_BREAKOUT = (
  "--gin.NUM_ENVS=64",
  "--gin.train.unroll_length=128",
  "--gin.rollout.num_minibatches=8",
)
_OTHERS = [
  Row(
    "recurrent_ppo_umbrella_chain",
    (
      *_files("recurrent_ppo.gin", "env_umbrella_chain.gin"),
      "--gin.evaluator.episodes=4096",
    ),
    least=1.0,
    noisy=True,
  ),
  Row(
    "ppo_discounting_chain",
    _files("ppo.gin", "env_discounting_chain.gin"),
    least=1.1,
  ),
  Row(
    "ppo_rnd_deep_sea_10",
    (*_files("ppo_rnd.gin", "env_deep_sea.gin"), *_DEEP_SEA_10),
    least=0.95,
  ),
  Row(
    "bootstrapped_dqn_deep_sea_10",
    (*_files("bootstrapped_dqn.gin", "env_deep_sea.gin"), *_DEEP_SEA_10),
    least=0.95,
  ),
  *(
    Row(
      f"{name}_pendulum",
      (*_files(f"{name}.gin"), f"--gin.TOTAL_STEPS={steps}"),
      least=-200.0,
      random=-1200.0,
    )
    for name, steps in [
      ("sac", "200_000"),
      ("td3", "200_000"),
      ("ppo_continuous", "1_000_000"),
    ]
  ),
  Row(
    "ppo_breakout",
    (
      *_files("ppo.gin", "env_minatar_breakout.gin"),
      *_BREAKOUT,
      "--gin.LEARNING_RATE=3e-3",
    ),
    least=26.5,
  ),
  Row(
    "pqn_breakout", _files("pqn.gin", "env_minatar_breakout.gin"), least=20.0
  ),
]

TABLES = {
  "families": [*_CARTPOLE, *_ACROBOT, *_MEMORY, *_OTHERS],
  "learning": _LEARNING,
  "variants": _VARIANTS,
  "search": _PLANNING,
  "simulations": _BY_SIMULATIONS,
}
