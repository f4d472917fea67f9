import os
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
from jax.extend.random import threefry2x32_p
from neurorl.training import executables

def draw(key):
  keys = jax.random.split(key, (2, 3))
  return (
    jax.random.key_data(keys),
    jax.random.key_data(jax.random.fold_in(key, 7)),
    jax.vmap(lambda k: jax.random.randint(k, (5,), 0, 1000))(keys[0]),
    jax.random.bits(key, (9,), 'uint8'),
    jax.random.normal(key, (33,)),
    jax.random.permutation(key, 20),
    threefry2x32_p.bind(*[np.arange(6, dtype=np.uint32)] * 4),
  )

def run():
  return jax.device_get(jax.jit(draw)(jax.random.key(3)))

before = run()
assert 'while' in jax.jit(jax.random.bits).lower(jax.random.key(0)).as_text()
executables.write_generator_out()
jax.clear_caches()
assert 'while' not in jax.jit(jax.random.bits).lower(
  jax.random.key(0)
).as_text()
jax.tree.map(np.testing.assert_array_equal, before, run())
"""

# A chunk's loops are its iterations, steps and updates, and none a generator's.
LEARN = """
import jax, jax.numpy as jnp
from neurorl import training
from neurorl.training import executables
from tests import small

lowered = []
executables.compile_ = lambda program, *_: lowered.append(program)
experiment = small.load('dqn.gin').call()
program = training.build(experiment)
keys = jnp.stack([jax.random.key(0)])
functions, _, _ = executables.compile_program(experiment, program, keys)
assert functions['evaluate'].wait(300)
loops = lowered[1].as_text().count('stablehlo.while')
assert loops == 3, loops
"""


@pytest.mark.parametrize("key, pair, encrypted", KNOWN)
def test_known_answers(key, pair, encrypted):
  words = [jnp.full(2, word, jnp.uint32) for word in (*key, *pair)]
  found = jax.jit(threefry.rounds)(*words)
  for got, wanted in zip(found, encrypted, strict=True):
    np.testing.assert_array_equal(got, np.full(2, wanted, np.uint32))


def test_words_are_broadcast():
  words = np.random.default_rng(0).integers(
    2**32, size=(4, 3, 5), dtype=np.uint32
  )
  key_0, key_1, x_0, x_1 = words
  narrow = (key_0[0, 0], key_1[:1], x_0[:, :1], x_1)
  full = [np.broadcast_to(word, (3, 5)) for word in narrow]
  for got, wanted in zip(
    threefry.rounds(*narrow), threefry.rounds(*full), strict=True
  ):
    np.testing.assert_array_equal(got, wanted)


def in_a_process(program):
  # What JAX lowers is changed for a whole process.
  done = subprocess.run(
    [sys.executable, "-c", program],
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr


def test_all_that_jax_draws_stays_the_same():
  in_a_process(COMPARE)


def test_learning_has_it_written_out():
  in_a_process(LEARN)
