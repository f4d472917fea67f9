"""Cores made of cores: on top of one another, beside a skip, after a norm."""

from __future__ import annotations

from collections.abc import Sequence

import haiku as hk

from neurorl.networks.cores import Core, CoreRecipe
from neurorl.ops import products
from neurorl.registry import component
from neurorl.types import Array, Tree


class Stacked:
  """Cores of which each reads the one below."""

  def __init__(self, cores: Sequence[Core]):
    self._cores = cores

  def initial_state(self, batch_size: int) -> tuple[Tree, ...]:
    """Returns the states of all cores."""
    return tuple(core.initial_state(batch_size) for core in self._cores)

  def step(self, x: Array, reset: Array, state: tuple[Tree, ...]):
    """Advances every core by one step."""
    after = []
    for core, before in zip(self._cores, state, strict=True):
      x, core_state = core.step(x, reset, before)
      after.append(core_state)
    return x, tuple(after)

  def unroll(self, x: Array, reset: Array, state: tuple[Tree, ...]):
    """Unrolls one core after the other."""
    after = []
    for core, before in zip(self._cores, state, strict=True):
      x, core_state = core.unroll(x, reset, before)
      after.append(core_state)
    return x, tuple(after)


class Residual(hk.Module):
  """Adds a core's input to its output."""

  def __init__(self, core: Core):
    super().__init__(name="residual")
    self._core = core

  def initial_state(self, batch_size: int) -> Tree:
    """Returns the core's."""
    return self._core.initial_state(batch_size)

  def step(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Advances the core by one step."""
    y, state = self._core.step(x, reset, state)
    return y + self._skip(x, y.shape[-1]), state

  def unroll(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Unrolls the core."""
    y, state = self._core.unroll(x, reset, state)
    return y + self._skip(x, y.shape[-1]), state

  def _skip(self, x: Array, size: int) -> Array:
    width = x.shape[-1]
    if width == size:
      return x
    init = hk.initializers.TruncatedNormal(1.0 / width**0.5)
    return products.matmul(x, hk.get_parameter("w", (width, size), init=init))


class Normalised:
  """Normalises what a core reads."""

  def __init__(self, core: Core):
    self._core = core
    self._norm = hk.LayerNorm(-1, True, True, name="core_norm")

  def initial_state(self, batch_size: int) -> Tree:
    """Returns the core's."""
    return self._core.initial_state(batch_size)

  def step(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Advances the core by one step."""
    return self._core.step(self._norm(x), reset, state)

  def unroll(self, x: Array, reset: Array, state: Tree) -> tuple[Array, Tree]:
    """Unrolls the core."""
    return self._core.unroll(self._norm(x), reset, state)


@component
def stacked(cores: Sequence[CoreRecipe], repeats: int = 1) -> CoreRecipe:
  """Cores on top of one another.

  `stacked.cores = [@lstm(), @gru()]` are two layers; `stacked.cores = [@s5()]`
  with `stacked.repeats = 4` are four, and a number that a sweep can turn.

  Args:
    cores: from the lowest to the one whose output is the output.
    repeats: how many times over, each with parameters of its own.

  Returns:
    The core's recipe.

  Raises:
    ValueError: if there is no core.
  """
  if not cores:
    raise ValueError("stacked.cores is empty; bind [@lstm()], say")
  if repeats < 1:
    raise ValueError(f"stacked.repeats must be >= 1, got {repeats}")
  recipes = [*cores] * repeats
  return lambda: Stacked([core() for core in recipes])


@component
def residual(core: CoreRecipe) -> CoreRecipe:
  """Adds a core's input to its output, projected if their sizes differ.

  A layer as in a transformer is `residual.core = @normalised()` around
  `normalised.core = @s5()`, and several are `stacked.cores = [@residual()]`.

  He et al. (2016), https://arxiv.org/abs/1512.03385

  Args:
    core: whose output is added to.

  Returns:
    The core's recipe.
  """
  return lambda: Residual(core())


@component
def normalised(core: CoreRecipe) -> CoreRecipe:
  """Normalises what a core reads, over units, with learned scale and offset.

  Ba et al. (2016), https://arxiv.org/abs/1607.06450; before the layer and not
  after it, Xiong et al. (2020), https://arxiv.org/abs/2002.04745

  Args:
    core: what reads the normalised input.

  Returns:
    The core's recipe.
  """
  return lambda: Normalised(core())
