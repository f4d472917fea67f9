"""A tree of arrays on disk: whole, or named as damaged.

orbax stores the arrays; a manifest of our own beside them has the path, shape,
dtype and checksum of every leaf, since one flipped byte would otherwise be read
without an error. A folder appears under its name when all of it is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from neurorl.ops import placing
from neurorl.types import Tree

_MANIFEST = "manifest.json"
_ARRAYS = "arrays"


class DamagedError(Exception):
  """What was written is not what is there."""


class MismatchError(ValueError):
  """What is there is whole, and of another program."""


class Leaf(NamedTuple):
  """One array as it is kept.

  Attributes:
    path: where in the tree, such as '.learning.params.agent.mlp/w'.
    array: on the host; of a key, its data.
    keys: the random number generator, where the leaf is of keys; else ''.
  """

  path: str
  array: np.ndarray
  keys: str


def prepare() -> None:
  """Imports what reading and writing need, which takes a second."""
  importlib.import_module("orbax.checkpoint")


def fetch(tree: Tree) -> list[Leaf]:
  """Copies a tree to the host: what happens to its buffers does not matter.

  Args:
    tree: of arrays. Where they are spread over several processes, all of these
      must call.

  Returns:
    Its leaves.
  """
  leaves = []
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    keys = jax.random.key_impl(leaf) if _is_key(leaf) else ""
    data = jax.random.key_data(leaf) if keys else leaf
    if not data.is_fully_addressable:  # each process has a part of it
      data = multihost_utils.process_allgather(data, tiled=True)
    # On a CPU the host's array would be the device's, and in the way of its
    # donation to the next chunk for as long as it is written.
    leaves.append(Leaf(_name(path), np.array(data, copy=True), str(keys)))
  return leaves


def save(
  folder: pathlib.Path, leaves: list[Leaf], about: Mapping[str, Any]
) -> None:
  """Writes leaves, and JSON beside them, so that all or nothing is there.

  Args:
    folder: what is there already is replaced, once all is written.
    leaves: from `fetch`.
    about: kept with them.

  Raises:
    OSError: if it cannot be written; what was there is there.
  """
  partial = folder.with_name(f".{folder.name}.partial")
  shutil.rmtree(partial, ignore_errors=True)
  try:
    partial.mkdir(parents=True)
    _write_arrays(partial / _ARRAYS, leaves)
    described = [_describe(leaf) for leaf in leaves]
    # As JSON gives it back, for its checksum.
    about = json.loads(json.dumps(dict(about)))
    manifest = {
      "leaves": described,
      "digest": _digest(described),
      "about": about,
      "checksum": _digest([described, about]),
    }
    with (partial / _MANIFEST).open("w") as file:
      json.dump(manifest, file)
      file.flush()
      os.fsync(file.fileno())
    _put(partial, folder)
  except Exception as error:
    shutil.rmtree(partial, ignore_errors=True)
    if isinstance(error, OSError):
      raise
    # orbax says that a disk is full by errors of other kinds.
    first = (str(error).strip().splitlines() or [""])[0]
    raise OSError(f"{type(error).__name__}: {first[:200]}") from error


def _put(partial: pathlib.Path, folder: pathlib.Path) -> None:
  """Gives a folder its name, in place of what has it."""
  old = folder.with_name(f".{folder.name}.old.partial")
  shutil.rmtree(old, ignore_errors=True)
  if folder.exists():
    folder.rename(old)
  partial.rename(folder)
  shutil.rmtree(old, ignore_errors=True)


def load(
  folder: pathlib.Path, like: Tree, part: str = ""
) -> tuple[Tree, dict[str, Any]]:
  """Reads what `save` wrote.

  Args:
    folder: as given to `save`.
    like: shapes and dtypes of the tree, and where it is to lie if that is not
      on the first device.
    part: the path of a subtree, such as 'learning/params', if `like` is of that
      alone.

  Returns:
    The tree, on its devices, and what was kept with it.

  Raises:
    DamagedError: if anything is not as it was written.
    MismatchError: if it was written of a tree of another shape.
  """
  manifest = read_manifest(folder)
  stored = {leaf["path"]: leaf for leaf in manifest["leaves"]}
  wanted = [
    f"{part}/{_name(path)}" if part else _name(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(like)
  ]
  inside = [x for x in stored.values() if x["path"].startswith(part)]
  _check_same(
    folder, inside, dict(zip(wanted, jax.tree.leaves(like), strict=True))
  )
  numbers = {path: i for i, path in enumerate(stored)}
  arrays = _read_arrays(
    folder / _ARRAYS, {numbers[path]: stored[path] for path in wanted}
  )
  arrays = dict(zip(wanted, arrays, strict=True))
  leaves = []
  for path, shape in zip(wanted, jax.tree.leaves(like), strict=True):
    described, array = stored[path], arrays[path]
    read = _describe(Leaf(described["path"], array, described["keys"]))
    if read != described:
      raise DamagedError(
        f"{folder}: {described['path']} is not what was written"
      )
    leaf = placing.on_devices(array, shape.sharding)
    if described["keys"]:
      leaf = jax.random.wrap_key_data(leaf, impl=described["keys"])
    leaves.append(leaf)
  tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
  return tree, manifest["about"]


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
  """Reads the manifest alone.

  Args:
    folder: as given to `save`.

  Returns:
    It: `'leaves'`, their `'digest'`, `'about'` and the `'checksum'` of all.

  Raises:
    DamagedError: if it is missing or not whole.
  """
  try:
    manifest = json.loads((folder / _MANIFEST).read_text())
    checked = [manifest["leaves"], manifest["about"]]
    same = manifest["digest"] == _digest(manifest["leaves"])
    if not same or manifest["checksum"] != _digest(checked):
      raise DamagedError(f"{folder}: the manifest is not what was written")
  except OSError as error:
    raise DamagedError(
      f"{folder}: no manifest can be read ({error.strerror})"
    ) from error
  except (ValueError, KeyError, TypeError) as error:
    raise DamagedError(f"{folder}: the manifest cannot be read") from error
  return manifest


def _name(path: tuple) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def _is_key(leaf: Any) -> bool:
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Leaf) -> dict[str, Any]:
  array = np.ascontiguousarray(leaf.array)
  return {
    "path": leaf.path,
    "shape": list(leaf.array.shape),
    "dtype": str(array.dtype),
    "keys": leaf.keys,
    "sha256": hashlib.sha256(array.reshape(-1).view(np.uint8)).hexdigest(),
  }


def _digest(described: Any) -> str:
  return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _write_arrays(folder: pathlib.Path, leaves: list[Leaf]) -> None:
  # By number: paths have characters that file names have not. orbax refuses
  # arrays without entries.
  arrays = {str(i): x.array for i, x in enumerate(leaves) if x.array.size}
  with _quiet(), _checkpointer() as checkpointer:
    checkpointer.save(folder.absolute(), arrays)


def _checkpointer():
  """Makes one that waits for no other process: what it is given is whole."""
  import orbax.checkpoint as ocp

  me = jax.process_index()
  options = ocp.options.MultiprocessingOptions(
    primary_host=me,
    active_processes={me},
    barrier_sync_key_prefix=f"process_{me}",
  )
  handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=options)
  return ocp.Checkpointer(handler, multiprocessing_options=options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps orbax from printing the tracebacks of what it raises as well."""
  before, hook = logging.get_verbosity(), sys.unraisablehook
  logging.set_verbosity(logging.FATAL)

  def late(unraisable):
    # Its threads that go on when a write has failed find nobody to tell.
    if "Event loop is closed" not in str(unraisable.exc_value):
      hook(unraisable)

  sys.unraisablehook = late
  try:
    yield
    # Only now: after a failure nothing says when the last of them is done.
    sys.unraisablehook = hook
  finally:
    logging.set_verbosity(before)


def _read_arrays(
  folder: pathlib.Path, wanted: Mapping[int, dict[str, Any]]
) -> list[np.ndarray]:
  """Reads arrays by their numbers, and no others."""
  import orbax.checkpoint as ocp

  args = {
    str(i): ocp.RestoreArgs(restore_type=np.ndarray)
    for i, leaf in wanted.items()
    if 0 not in leaf["shape"]
  }
  try:
    with _quiet(), _checkpointer() as checkpointer:
      arrays = checkpointer.restore(
        folder.absolute(),
        args=ocp.args.PyTreeRestore(
          item=dict.fromkeys(args, 0), restore_args=args, partial_restore=True
        ),
      )
    return [
      np.asarray(arrays[str(i)])
      if str(i) in args
      else np.zeros(leaf["shape"], leaf["dtype"])
      for i, leaf in wanted.items()
    ]
  except (MemoryError, ImportError):
    raise
  except Exception as error:  # orbax and tensorstore have many of their own
    first = (str(error).strip().splitlines() or [""])[0]
    raise DamagedError(
      f"{folder.parent}: the arrays cannot be read "
      f"({type(error).__name__}: {first[:200]})"
    ) from error


def _check_same(
  folder: pathlib.Path,
  stored: list[dict[str, Any]],
  like: Mapping[str, jax.ShapeDtypeStruct],
) -> None:
  """Names the leaves in which a stored tree and a wanted one differ."""
  found = {}
  for leaf in stored:
    # The data of a key has an axis more than the key.
    shape = leaf["shape"][:-1] if leaf["keys"] else leaf["shape"]
    found[leaf["path"]] = f"{'key' if leaf['keys'] else leaf['dtype']}{shape}"
  wanted = {}
  for path, leaf in like.items():
    kind = "key" if _is_key(leaf) else leaf.dtype
    wanted[path] = f"{kind}{list(leaf.shape)}"
  different = [
    f"{path}: {found.get(path, 'missing')}, not {wanted.get(path, 'expected')}"
    for path in {**wanted, **found}
    if found.get(path) != wanted.get(path)
  ]
  if different:
    more = len(different) - 5
    shown = [*different[:5], *([f"and {more} more"] if more > 0 else [])]
    raise MismatchError(
      f"{folder} does not fit this configuration, or is of another version of "
      "neurorl:\n  " + "\n  ".join(shown)
    )
