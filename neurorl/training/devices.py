"""Which devices a run uses, and how what it carries lies on them.

Seeds are split over devices first, since they have nothing to tell each other;
then environments, and with them the buffer and the batches. Parameters are
whole on every device that works on their seed, and XLA averages the gradients:
a program says what the whole batch is, and what is drawn and learned does not
depend on how many devices there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from neurorl.ops import placing
from neurorl.types import Array, Tree

_SEEDS, _ENVS = "seeds", "envs"
_MOST_OFFERED = 256  # a number that was mistyped is refused, not served


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a run lies on devices.

  Attributes:
    mesh: its devices, `[seeds, envs]`; None for one, whose programs know
      nothing of all this.
  """

  mesh: Mesh | None = None

  @property
  def num_devices(self) -> int:
    """Devices in use."""
    return self.mesh.size if self.mesh else 1

  @property
  def seed_devices(self) -> int:
    """Parts into which seeds are split."""
    return self.mesh.shape[_SEEDS] if self.mesh else 1

  @property
  def env_devices(self) -> int:
    """Parts into which the environments of a seed are split."""
    return self.mesh.shape[_ENVS] if self.mesh else 1

  def split(self, tree: Tree, axis: int) -> Tree:
    """Splits a batch over devices; for use within what `over_seeds` runs.

    Args:
      tree: of arrays of one seed.
      axis: of the batch. Arrays that it does not divide stay as they are.

    Returns:
      The same values.
    """

    def constrain(x):
      if x.ndim <= axis or x.shape[axis] % self.env_devices:
        return x
      spec = PartitionSpec(*[None] * axis, _ENVS)
      return jax.lax.with_sharding_constraint(x, spec)

    return jax.tree.map(constrain, tree) if self._is_split() else tree

  def share(self, tree: Tree) -> Tree:
    """Gives every device all of some arrays; within what `over_seeds` runs."""
    if not self._is_split():
      return tree
    return jax.lax.with_sharding_constraint(tree, PartitionSpec())

  def _is_split(self) -> bool:
    # Shapes alone may be asked of a program outside of any mesh.
    inside = not jax.sharding.get_abstract_mesh().empty
    return inside and self.env_devices > 1

  def over_seeds(
    self,
    function: Callable,
    batched: Callable[[Callable, int], Callable],
    num_seeds: int,
  ) -> Callable:
    """Runs a function of one seed for several, on their devices.

    Args:
      function: takes one seed's tree first; the rest is shared.
      batched: `(function, seeds) -> function` of a leading axis of seeds.
      num_seeds: how many.

    Returns:
      The same over a leading axis of all seeds, results included.
    """
    local = batched(function, num_seeds // self.seed_devices)
    if self.mesh is None:
      return local

    def call(first, *shared):
      mine, all_ = PartitionSpec(_SEEDS), PartitionSpec()
      return jax.shard_map(
        local,
        mesh=self.mesh,
        in_specs=(mine, *[all_] * len(shared)),
        out_specs=mine,
        axis_names={_SEEDS},
        check_vma=False,  # seeds exchange nothing
      )(first, *shared)

    return call

  def place(self, shapes: Tree, size: int = 0, axis: int = 1) -> Tree:
    """Says where the arrays of all seeds lie.

    Args:
      shapes: of arrays with a leading axis of seeds.
      size: of the batch axis that is split over devices; 0 for none.
      axis: where that axis is, the one of seeds counted.

    Returns:
      The shapes, with their sharding.
    """
    if self.mesh is None:
      return shapes

    def put(x):
      spec = [_SEEDS] + [None] * (x.ndim - 1)
      divides = size and size % self.env_devices == 0
      if divides and x.ndim > axis and x.shape[axis] == size:
        spec[axis] = _ENVS
      sharding = NamedSharding(self.mesh, PartitionSpec(*spec))
      return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return jax.tree.map(put, shapes)

  def place_keys(self, keys: Array) -> Array:
    """Puts the random keys of all seeds where their seeds lie."""
    if self.mesh is None:
      return keys
    sharding = NamedSharding(self.mesh, PartitionSpec(_SEEDS))
    data = np.asarray(jax.random.key_data(keys))
    return jax.random.wrap_key_data(placing.on_devices(data, sharding))

  def everywhere(self, shapes: Tree) -> Tree:
    """Returns shapes with the sharding of what every device holds."""
    if self.mesh is None:
      return shapes
    whole = NamedSharding(self.mesh, PartitionSpec())
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), shapes
    )

  def told(self) -> NamedSharding | None:
    """Returns how what the host reads lies: whole where it reads a part."""
    if self.mesh is None:
      return None
    several = jax.process_count() > 1
    spec = PartitionSpec() if several else PartitionSpec(_SEEDS)
    return NamedSharding(self.mesh, spec)


def shardings(shapes: Tree) -> Tree:
  """Returns where arrays of these shapes lie."""
  return jax.tree.map(lambda x: x.sharding, shapes)


def cores() -> int:
  """Returns how many cores this process may use."""
  try:
    return len(os.sched_getaffinity(0))
  except AttributeError:  # not on every system
    return os.cpu_count() or 1


def offer_cores(least: int = 1) -> None:
  """Has every core count as a device, where devices are cores.

  Nothing happens once JAX has looked for devices, as it does when it first
  computes, or if `JAX_NUM_CPU_DEVICES` says how many there are.

  Args:
    least: devices that there are to be, be there fewer cores.
  """
  if os.environ.get("JAX_NUM_CPU_DEVICES"):
    return
  with contextlib.suppress(RuntimeError):
    count = max(min(least, _MOST_OFFERED), cores())
    jax.config.update("jax_num_cpu_devices", count)


def layout(num_devices: int | None, num_seeds: int, num_envs: int) -> Layout:
  """Lays a run out on the devices there are.

  Args:
    num_devices: that are to share it; None for all that can.
    num_seeds: of the run.
    num_envs: of each seed.

  Returns:
    The layout.

  Raises:
    ValueError: if there are fewer devices than wanted, or they cannot share
      the work equally.
  """
  devices = jax.devices()
  there, kind = len(devices), devices[0].device_kind
  if num_devices is not None and num_devices > there:
    raise ValueError(
      f"train.num_devices = {num_devices}, but there are {there} ({kind}); "
      "of a CPU, JAX_NUM_CPU_DEVICES says how many there are"
    )
  hosts = jax.process_count()
  count = num_devices or there
  shares_envs = num_devices is not None or hosts > 1
  if devices[0].platform != "cpu":
    shares_envs = True
  elif not shares_envs:
    # Cores that share environments would mostly wait for each other.
    count = min(cores(), there)
  shape = shares(count, num_seeds, num_envs if shares_envs else 1)
  used = shape[0] * shape[1]
  if hosts > 1 and count < there:
    raise ValueError(
      f"train.num_devices = {count} leaves out some of the {there} devices of "
      f"{hosts} processes; leave it out, or start fewer"
    )
  if used < count and (num_devices is not None or hosts > 1):
    wanted = "" if num_devices is None else "train.num_devices = "
    raise ValueError(
      f"{wanted}{count} devices cannot share train.num_seeds = {num_seeds} and "
      f"train.num_envs = {num_envs} equally; {used} could"
    )
  if used == 1:
    return Layout()
  return Layout(
    Mesh(
      np.array(devices[:used]).reshape(shape),
      (_SEEDS, _ENVS),
      axis_types=(AxisType.Auto, AxisType.Auto),
    )
  )


def shares(num_devices: int, num_seeds: int, num_envs: int) -> tuple[int, int]:
  """Says into how many equal parts seeds, and then environments, are split.

  Args:
    num_devices: at most so many parts in all.
    num_seeds: of the run.
    num_envs: of each seed.

  Returns:
    The parts of the seeds, and the parts of a seed's environments.
  """
  parts = [
    (seeds, envs)
    for seeds in _divisors(num_seeds, num_devices)
    for envs in _divisors(num_envs, num_devices)
    if seeds * envs <= num_devices
  ]
  return max(parts, key=lambda part: (part[0] * part[1], part[0]))


def _divisors(number: int, most: int) -> list[int]:
  return [i for i in range(1, min(number, most) + 1) if number % i == 0]
