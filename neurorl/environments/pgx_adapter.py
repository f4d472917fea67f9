"""pgx: games of one player, or of more against fixed opponents.

Koyamada et al. (2023), https://arxiv.org/abs/2303.17503
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from neurorl.environments import adapting, pictures
from neurorl.environments.timesteps import restart, transition
from neurorl.registry import component
from neurorl.types import (
  Array,
  DiscreteActions,
  Environment,
  EnvironmentSpec,
  Key,
  Tree,
)

# (key, state of the game) -> one of the legal actions
Opponent = Callable[[Key, Tree], Array]


class PgxState(NamedTuple):
  """State of a game.

  Attributes:
    game: the library's state, at which it is our turn, or over.
    player: `[]` int32, who we are.
  """

  game: Tree
  player: Array


@component
def pgx(
  name: str = "tic_tac_toe",
  opponent: Opponent | None = None,
  mask_illegal: bool = True,
) -> Environment:
  """Makes a game of pgx by name.

  In a game of several the others are played by `opponent`, and who begins is
  drawn for each game. A step is our move and all of theirs up to our next turn;
  its reward is what we got meanwhile. The end of a game terminates.

  Koyamada et al. (2023), https://arxiv.org/abs/2303.17503

  Args:
    name: 'tic_tac_toe', 'connect_four', '2048', 'minatar-breakout', ...
    opponent: `(key, state) -> action` of the others; None for any legal action
      with equal chance.
    mask_illegal: whether actors are told which actions are illegal. Otherwise
      one loses the game, as actors that cannot be told, those of PPO, must
      learn.

  Returns:
    The environment.

  Raises:
    ValueError: if pgx is not installed or has no such game.
  """
  library = adapting.library("pgx", "pgx")
  adapting.check_name("pgx.name", name, library.available_envs())
  game = library.make(name)
  others = opponent or _any_legal

  def reset(key):
    key, player_key, others_key = jax.random.split(key, 3)
    player = jax.random.randint(player_key, (), 0, game.num_players)
    state, _ = _until_our_turn(game, others, others_key, game.init(key), player)
    return PgxState(state, player), restart(_seen(game, state, player))

  state_spec, first = adapting.strong(jax.eval_shape(reset, jax.random.key(0)))

  def step(key, state, action):
    key, others_key = jax.random.split(key)
    moved, player = game.step(state.game, action, key), state.player
    over, later = _until_our_turn(game, others, others_key, moved, player)
    timestep = transition(
      _seen(game, over, player),
      moved.rewards[player] + later,
      over.terminated,
      over.truncated,
    )
    return adapting.held(
      (state_spec, first), (PgxState(over, player), timestep)
    )

  def invalid(state):
    return ~state.game.legal_action_mask

  def render(state):
    return pictures.paint(_seen(game, state.game, state.player))

  # Every action of these is legal, always.
  masked = mask_illegal and not name.startswith("minatar")
  grid = pictures.is_grid(first.observation)
  space = DiscreteActions(int(game.num_actions))
  action = adapting.action_spec(space)
  spec = EnvironmentSpec(name, first.observation, action, space)
  return Environment(
    reset, step, spec, invalid if masked else None, render if grid else None
  )


def _any_legal(key: Key, state: Tree) -> Array:
  logits = jnp.where(state.legal_action_mask, 0.0, -jnp.inf)
  return jax.random.categorical(key, logits)


def _until_our_turn(
  game: Any, opponent: Opponent, key: Key, state: Tree, player: Array
) -> tuple[Tree, Array]:
  """Lets the others play; returns the state and what we got meanwhile."""
  if game.num_players == 1:
    return state, jnp.float32(0.0)

  def theirs(carry):
    _, state, _ = carry
    return (state.current_player != player) & ~(
      state.terminated | state.truncated
    )

  def play(carry):
    key, state, got = carry
    key, choice_key, move_key = jax.random.split(key, 3)
    state = game.step(state, opponent(choice_key, state), move_key)
    return key, state, got + state.rewards[player]

  like = adapting.strong(jax.eval_shape(lambda: state))
  carry = (key, adapting.held(like, state), jnp.float32(0.0))
  _, state, got = jax.lax.while_loop(
    theirs,
    lambda carry: adapting.held(
      adapting.strong(jax.eval_shape(lambda: carry)), play(carry)
    ),
    carry,
  )
  return state, got


def _seen(game: Any, state: Tree, player: Array) -> Array:
  """What we see: at the end it may be another's turn."""
  with warnings.catch_warnings():
    # Games are to say whose view it is otherwise, some day.
    warnings.simplefilter("ignore", DeprecationWarning)
    return game.observe(state, player)
