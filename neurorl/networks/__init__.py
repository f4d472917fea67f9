"""Haiku, and nothing but: torsos, cores, heads, and the agent they make.

What lives here: recipes of modules. A torso maps observations to vectors, a
core carries memory over time, a head predicts something from the core's
output, dynamics imagine the next one; `agent` joins them and returns pure
functions (`types.Agent`).

May import: `types`, `registry`, `ops`, jax, haiku.

To add one: a torso is `(observation spec) -> module`, called with
`[..., *obs]`; a core is `() -> module` with `initial_state(B)`,
`step(x, reset, state)` and `unroll(x, reset, state)` (see `cores.Core`); a
head is a `heads.HeadRecipe`, whose `build` is `(environment spec) -> module`,
called with `(embedding, timestep, mode)` and returning a mapping with `'mean'`
(one in `agent.action_heads` finds the action behind the embedding it is given);
dynamics are `(environment spec) -> module`, called with `(embedding, action)`.
All run inside `hk.transform`; a core's state is a tree of float32 or complex64
arrays `[B, ...]`, and it builds its submodules in `__init__`, so that `step`
and `unroll` share them; a linear one names its recurrence (`linear_cores`) and
has the rest. Decorate the function of hyperparameters that returns one with
`@component`; the tables in `tests/networks` (`core_cases` for cores) then test
it by one line.
"""

from neurorl.networks.agent import agent
from neurorl.networks.constant_head import constant_head, detached_head
from neurorl.networks.core_wrappers import normalised, residual, stacked
from neurorl.networks.cores import Core, gru, lstm
from neurorl.networks.dynamics import (
  min_max_norm,
  recurrent_dynamics,
  residual_dynamics,
  rms_norm,
)
from neurorl.networks.ensembles import ensemble_head
from neurorl.networks.gaussian_head import gaussian_policy_head
from neurorl.networks.gtrxl import gtrxl
from neurorl.networks.heads import (
  HeadRecipe,
  dueling_q_head,
  policy_head,
  q_head,
  scalar_head,
)
from neurorl.networks.image_torsos import impala_resnet, minatar_cnn
from neurorl.networks.linear_attention import linear_attention
from neurorl.networks.linear_cores import lru, min_gru
from neurorl.networks.linears import noisy_linear
from neurorl.networks.novelty_heads import rnd_head
from neurorl.networks.observation_norm import normalised_observation
from neurorl.networks.quantile_heads import (
  implicit_quantile_q_head,
  quantile_q_head,
)
from neurorl.networks.rate_cores import ctrnn, rnn
from neurorl.networks.s5 import s5
from neurorl.networks.successor_heads import (
  successor_features_head,
  universal_successor_features_head,
)
from neurorl.networks.torsos import dictionary, embed, mlp

__all__ = [
  "Core",
  "HeadRecipe",
  "agent",
  "constant_head",
  "ctrnn",
  "detached_head",
  "dictionary",
  "dueling_q_head",
  "embed",
  "ensemble_head",
  "gaussian_policy_head",
  "gru",
  "gtrxl",
  "impala_resnet",
  "implicit_quantile_q_head",
  "linear_attention",
  "lru",
  "lstm",
  "min_gru",
  "min_max_norm",
  "minatar_cnn",
  "mlp",
  "noisy_linear",
  "normalised",
  "normalised_observation",
  "policy_head",
  "q_head",
  "quantile_q_head",
  "recurrent_dynamics",
  "residual",
  "residual_dynamics",
  "rms_norm",
  "rnd_head",
  "rnn",
  "s5",
  "scalar_head",
  "stacked",
  "successor_features_head",
  "universal_successor_features_head",
]
