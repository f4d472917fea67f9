"""Where arrays lie."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from neurorl.types import Array


def on_devices(
  array: np.ndarray, sharding: jax.sharding.Sharding | None
) -> Array:
  """Copies an array of the host to devices, each its part.

  Args:
    array: the whole of it; every process has it.
    sharding: where it is to lie; None for the first device.

  Returns:
    The array. It shares nothing with the host's, so it may be donated.
  """
  if sharding is None:
    return jnp.array(array, copy=True)
  places = sharding.addressable_devices_indices_map(array.shape)
  parts = [
    jax.device_put(array[index], device, may_alias=False)
    for device, index in places.items()
  ]
  return jax.make_array_from_single_device_arrays(array.shape, sharding, parts)


def batch_is_split() -> bool:
  """Says, while a program is traced, whether devices share its batches.

  A batch that they share cannot be merged with time.
  """
  mesh = jax.sharding.get_abstract_mesh()
  kinds = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
  return any(size > 1 and kind == AxisType.Auto for size, kind in kinds)
