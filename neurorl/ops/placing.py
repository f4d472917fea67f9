"""Arrays of the host, put where they are to lie."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

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
