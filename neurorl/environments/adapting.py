"""What adapters of other libraries share: imports, names, spaces, dtypes."""

from __future__ import annotations

import dataclasses
import importlib
import types as python_types
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurorl import registry
from neurorl.types import ActionSpace, ContinuousActions, DiscreteActions, Tree


def library(module: str, extra: str) -> python_types.ModuleType:
  """Imports a library that only its own extra installs.

  Args:
    module: its dotted name.
    extra: of this package, by which pip installs it.

  Returns:
    The module.

  Raises:
    ValueError: if it is not installed.
  """
  top = module.partition(".")[0]
  try:
    importlib.import_module(top)
  except ModuleNotFoundError as error:
    # One that lacks a library of its own is broken, not missing.
    if error.name != top:
      raise
    raise ValueError(
      f"{top} is not installed: pip install 'neurorl[{extra}]'"
    ) from None
  return importlib.import_module(module)


def by_path(where: str, path: str) -> Any:
  """Imports what a dotted path names.

  Args:
    where: the binding, for messages.
    path: a module and a name within it, such as 'my_lab.envs.MyEnv'.

  Returns:
    What it names.

  Raises:
    ValueError: if there is no such module or name.
  """
  module_name, _, name = path.rpartition(".")
  if not module_name:
    raise ValueError(
      f"{where} = '{path}' must be a module and a name within it, such as "
      "'my_lab.envs.MyEnv'"
    )
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if not f"{module_name}.".startswith(f"{error.name}."):
      raise
    raise ValueError(f"{where} = '{path}': no module '{error.name}'") from None
  if not hasattr(module, name):
    hint = registry.nearest(name, [n for n in vars(module) if n[0] != "_"])
    raise ValueError(f"{where} = '{path}': {module_name} has no {name}{hint}")
  return getattr(module, name)


def made(where: str, function: Any, arguments: dict[str, Any]) -> Any:
  """Calls what makes an environment.

  Args:
    where: the binding of its arguments, for messages.
    function: such as its class.
    arguments: by name.

  Returns:
    What it returns.

  Raises:
    ValueError: if it takes no such arguments.
  """
  try:
    return function(**arguments)
  except TypeError as error:
    raise ValueError(f"{where}: {error}") from error


def check_name(where: str, name: str, names: Iterable[str]) -> None:
  """Raises `ValueError` for a name that is not among those of a library."""
  names = list(names)
  if name not in names:
    hint = registry.nearest(name, names)
    raise ValueError(f"{where} = '{name}': no such environment{hint}")


def replaced(where: str, params: Any, changes: dict[str, Any]) -> Any:
  """Changes fields of a dataclass of parameters.

  Args:
    where: the binding and what it is bound for, for messages.
    params: the dataclass.
    changes: by the names of its fields.

  Returns:
    The changed copy.

  Raises:
    ValueError: if there is no such field.
  """
  fields = [field.name for field in dataclasses.fields(params)]
  for field in changes:
    if field not in fields:
      hint = registry.nearest(field, fields)
      raise ValueError(f"{where} has no parameter '{field}'{hint}")
  return dataclasses.replace(params, **changes)


def action_space(where: str, space: Any) -> ActionSpace:
  """Reads an action space of a library, by what it has.

  Args:
    where: the binding that chose the environment, for messages.
    space: has `n`, or `num_values`, or `low` and `high`, or `minimum` and
      `maximum`.

  Returns:
    Our own.

  Raises:
    ValueError: if it is of another kind.
  """
  for size in ("n", "num_values"):
    if np.ndim(getattr(space, size, [])) == 0:
      return DiscreteActions(int(getattr(space, size)))
  for low, high in (("low", "high"), ("minimum", "maximum")):
    whole = np.issubdtype(getattr(space, "dtype", np.float32), np.integer)
    if hasattr(space, low) and not whole:
      shape = tuple(space.shape)
      return ContinuousActions(
        np.broadcast_to(np.asarray(getattr(space, low), np.float32), shape),
        np.broadcast_to(np.asarray(getattr(space, high), np.float32), shape),
      )
  raise ValueError(f"{where}: cannot handle actions {space}")


def action_spec(space: ActionSpace) -> jax.ShapeDtypeStruct:
  """Returns the shape of one action."""
  if isinstance(space, DiscreteActions):
    return jax.ShapeDtypeStruct((), jnp.int32)
  return jax.ShapeDtypeStruct(space.low.shape, jnp.float32)


def strong(spec: Tree) -> Tree:
  """Drops weak types from shapes: the dtype is what it happens to be now."""
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), spec)


def held(spec: Tree, tree: Tree) -> Tree:
  """Holds a tree to its spec: libraries let dtypes drift, a scan does not."""

  def hold(leaf, like):
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
      return leaf
    return jnp.asarray(leaf, like.dtype).reshape(like.shape)

  return jax.tree.map(hold, tree, spec)
