import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import threefry

# Of the generator's authors, for 20 rounds: key, pair, encrypted pair.
KNOWN = [
  ((0x0, 0x0), (0x0, 0x0), (0x6B200159, 0x99BA4EFE)),
  ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
  (
    (0x13198A2E, 0x03707344),
    (0x243F6A88, 0x85A308D3),
    (0xC4923A9C, 0x483DF7A0),
  ),
]
# Draws by JAX's own form first, then by the one written out.
COMPARE = """
import jax, numpy as np
from neurorl.ops import threefry

def draw(key):
  keys = jax.random.split(key, (2, 3))
  return (
    jax.random.key_data(keys),
    jax.random.key_data(jax.random.fold_in(key, 7)),
    jax.vmap(lambda k: jax.random.randint(k, (5,), 0, 1000))(keys[0]),
    jax.random.bits(key, (9,), 'uint8'),
    jax.random.normal(key, (33,)),
    jax.random.permutation(key, 20),
  )

def run():
  return jax.device_get(jax.jit(draw)(jax.random.key(3)))

before = run()
assert 'while' in jax.jit(jax.random.bits).lower(jax.random.key(0)).as_text()
threefry.write_out()
jax.clear_caches()
assert 'while' not in jax.jit(jax.random.bits).lower(
  jax.random.key(0)
).as_text()
jax.tree.map(np.testing.assert_array_equal, before, run())
"""


@pytest.mark.parametrize("key, pair, encrypted", KNOWN)
def test_known_answers(key, pair, encrypted):
  words = [jnp.full(2, word, jnp.uint32) for word in (*key, *pair)]
  found = jax.jit(threefry.rounds)(*words)
  for got, wanted in zip(found, encrypted, strict=True):
    np.testing.assert_array_equal(got, np.full(2, wanted, np.uint32))


def test_all_that_jax_draws_stays_the_same():
  done = subprocess.run(
    [sys.executable, "-c", COMPARE], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
