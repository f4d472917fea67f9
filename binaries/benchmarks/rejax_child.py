"""Times rejax; run by the Python of its environment, which has no neurorl.

`python -P rejax_child.py SETTINGS`: JSON of the algorithm's name, of how many
chunks are timed, and of what its `create` takes. A chunk is `total_timesteps`
of rejax's own `train`, with an evaluation that does nothing; one before them
compiles it and fills the buffer.
"""

import json
import sys
import time

import jax
import rejax


def _main() -> None:
  settings = json.loads(sys.argv[1])
  name, chunks = settings.pop("algorithm"), settings.pop("chunks")
  algorithm = rejax.get_algo(name).create(
    **settings,
    eval_freq=settings["total_timesteps"],
    skip_initial_evaluation=True,
  )
  algorithm = algorithm.replace(eval_callback=lambda *_: ())
  state = jax.jit(algorithm.init_state)(jax.random.key(0))
  train = jax.jit(
    lambda state: algorithm.train(train_state=state)[0], donate_argnums=0
  )
  speeds = []
  for _ in range(chunks + 1):
    steps, begun = int(state.global_step), time.perf_counter()
    state = jax.block_until_ready(train(state))
    seconds = time.perf_counter() - begun
    speeds.append((int(state.global_step) - steps) / seconds)
  print(json.dumps(speeds[1:]))


if __name__ == "__main__":
  _main()
