"""Categorical distributions over given numbers."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from neurorl.types import Array


def project(values: Array, chances: Array, atoms: Array) -> Array:
  """Spreads what lies between two atoms over both, so that the mean is kept.

  It is the nearest distribution by the Cramer distance. Values beyond the atoms
  are clipped to them, as rlax's `categorical_l2_project` does, which compares
  every value with every atom.

  Bellemare et al. (2017), https://arxiv.org/abs/1707.06887

  Args:
    values: `[..., M]`.
    chances: `[..., M]`, how likely each is.
    atoms: `[N]`, ascending, at least 2.

  Returns:
    `[..., N]`, how likely each atom is.
  """
  chex.assert_equal_shape([values, chances])
  chex.assert_rank(atoms, 1)
  values = jnp.clip(values, atoms[0], atoms[-1])
  above = jnp.clip(jnp.searchsorted(atoms, values), 1, len(atoms) - 1)
  low, high = atoms[above - 1], atoms[above]
  upper = (values - low) / (high - low) * chances

  def spread(above, upper, chances):
    nothing = jnp.zeros(len(atoms))
    return nothing.at[above].add(upper).at[above - 1].add(chances - upper)

  rows = [x.reshape(-1, x.shape[-1]) for x in (above, upper, chances)]
  return jax.vmap(spread)(*rows).reshape(*values.shape[:-1], len(atoms))
