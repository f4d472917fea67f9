"""Measures speed, start-up and memory, and what each is held against.

python binaries/benchmark.py --workload=loop
python binaries/benchmark.py --workload=search
python binaries/benchmark.py --workload=startup
python binaries/benchmark.py --workload=replay_memory

loop: recurrent Q-learning on Catch (32 environments, rollouts of 10, LSTM 128,
torso 128, head 512, 32 sequences of 20 steps from a prioritized replay of
10,000) against the sum of straightforward parts, measured in turn in one
process: ten acting forwards, ten environment steps, and one update by plain
Haiku and optax, each repeated within one compiled program.

search: alphazero.gin on Catch at 2 and at 16 simulations, 32 environments, and
one update of 32 sequences of 20 steps per rollout of 10: acting alone, the
whole loop, and the network's forwards and the simulated environment steps that
such acting takes at least; beside them the straightforward parts of the loop
workload, by which machines differ.
"""

import functools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

_TRAIN = str(pathlib.Path(__file__).resolve().parent / "train.py")

_WORKLOAD = flags.DEFINE_enum(
  "workload",
  "loop",
  ["loop", "search", "startup", "replay_memory"],
  "What to measure.",
)
_ENVIRONMENT = flags.DEFINE_string(
  "environment", "Catch-bsuite", "Of the loop workload: a name of gymnax."
)
_REPEATS = flags.DEFINE_integer("repeats", 7, "Measurements; medians are told.")

_UNROLL, _BATCH, _SEQUENCE, _ENVS = 10, 32, 20, 32
_SETTINGS = f"""
train.unroll_length = {_UNROLL}
NUM_ENVS = {_ENVS}
prioritized_replay:
  capacity = 10_000
  min_size = 2_000
  batch_size = {_BATCH}
  sequence_length = {_SEQUENCE - 1}
  period = 10
  updates_per_add = 1
train.target_params = @periodic_copy()
periodic_copy.period = 200
"""


def _time(functions) -> dict[str, float]:
  """Seconds per call of each: medians, all measured in turn in each repeat."""
  import jax

  seconds = {name: [] for name in functions}
  for repeat in range(_REPEATS.value + 1):
    for name, function in functions.items():
      begun = time.perf_counter()
      jax.block_until_ready(function())
      if repeat:  # the first warms up
        seconds[name].append(time.perf_counter() - begun)
  return {name: statistics.median(found) for name, found in seconds.items()}


def _loop() -> dict[str, float]:
  """Times whole iterations and the parts, interleaved by the repeats."""
  import jax
  import jax.numpy as jnp

  from neurorl import config, training
  from neurorl.training import executables

  bindings = [_SETTINGS, f"ENVIRONMENT = {_ENVIRONMENT.value!r}"]
  experiment = config.load(["qlearning.gin"], bindings).call()
  program = training.build(experiment)
  state = jax.jit(program.init)(jax.random.key(0))
  learns, collects = jnp.bool_(True), jnp.bool_(False)
  run_chunk = jax.jit(program.run_chunk, donate_argnums=0)
  chunk = executables.compile_(run_chunk.lower(state, jnp.int32(0), learns))
  filling = jnp.int32(program.warm_up_iterations + 40)
  state, _ = chunk(state, filling, collects)
  iterations = 50
  held = [state]

  def run():
    held[0], output = chunk(held[0], jnp.int32(iterations), learns)
    return output

  parts = _parts(experiment.environment)
  seconds = _time({"loop": run, **parts})
  # Each part is repeated as often as a loop's call repeats it.
  seconds = {name: s / iterations for name, s in seconds.items()}
  loop = seconds.pop("loop")
  total = sum(seconds.values())
  steps = _UNROLL * _ENVS
  return {
    "environment": _ENVIRONMENT.value,
    **{f"{name} (ms per 320 steps)": 1e3 * s for name, s in seconds.items()},
    "sum of parts (ms per 320 steps)": 1e3 * total,
    "loop (ms per 320 steps)": 1e3 * loop,
    "loop (slots per second)": steps / loop,
    "parts / loop": total / loop,
  }


def _parts(environment):
  """Plain Haiku and optax, as a single-file script would have them."""
  import haiku as hk
  import jax
  import jax.numpy as jnp
  import optax

  from neurorl import environments

  key = jax.random.key(0)
  shape = environment.spec.observation.shape
  actions = environment.spec.actions.num_actions

  def network(observation, first, state):
    x = jax.nn.relu(hk.Linear(128)(hk.Flatten(-len(shape))(observation)))
    x, state = hk.dynamic_unroll(hk.ResetCore(hk.LSTM(128)), (x, first), state)
    x = jax.nn.relu(hk.Linear(512)(x))
    return hk.Linear(actions)(x), state

  transformed = hk.without_apply_rng(hk.transform(network))
  zeros = jnp.zeros((_BATCH, 128))
  memory = hk.LSTMState(zeros, zeros)
  observation = jax.random.uniform(key, (_SEQUENCE, _BATCH, *shape))
  first = jnp.zeros((_SEQUENCE, _BATCH), bool)
  action = jax.random.randint(key, (_SEQUENCE, _BATCH), 0, actions)
  reward = jax.random.uniform(key, (_SEQUENCE - 1, _BATCH))
  params = transformed.init(key, observation, first, memory)
  optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(1e-3))

  def choose(q, a):
    return jnp.take_along_axis(q, a[..., None], -1)[..., 0]

  def loss(params, target_params):
    q, _ = transformed.apply(params, observation, first, memory)
    target, _ = transformed.apply(target_params, observation, first, memory)
    value = choose(target, jnp.argmax(q, -1))[1:]

    def back(g, rv):
      g = rv[0] + 0.99 * (0.1 * rv[1] + 0.9 * g)
      return g, g

    _, returns = jax.lax.scan(back, value[-1], (reward, value), reverse=True)
    error = choose(q, action)[:-1] - jax.lax.stop_gradient(returns)
    return jnp.mean(jnp.square(error))

  # Everything depends on what went before, so that nothing is hoisted out of
  # the repetition.
  def update(carry):
    new, old, opt_state = carry
    gradients = jax.grad(loss)(new, old)
    updates, opt_state = optimizer.update(gradients, opt_state, new)
    return optax.apply_updates(new, updates), new, opt_state

  def forward(carry):
    seen, state = carry
    q, state = transformed.apply(params, seen, first[:1], state)
    chosen = jnp.argmax(q, -1).reshape(1, _BATCH, *[1] * len(shape))
    return observation[:1] + 0.1 * chosen, state

  batched = environments.batch(environment)

  def step(carry):
    key, state, timestep = carry
    key, now = jax.random.split(key)
    keys = jax.random.split(now, _ENVS)
    return key, *batched.step(keys, state, timestep, action[0])

  started = jax.jit(batched.reset)(jax.random.split(key, _ENVS))
  return {
    "acting forwards": _repeat(
      forward, (observation[:1], memory), 50 * _UNROLL
    ),
    "environment steps": _repeat(step, (key, *started), 50 * _UNROLL),
    "update": _repeat(update, (params, params, optimizer.init(params)), 50),
  }


def _repeat(function, carry, times: int):
  """Compiles a function's repetition, with the options the loop gets."""
  import jax

  from neurorl.training import executables

  def repeated(carry):
    return jax.lax.fori_loop(0, times, lambda _, x: function(x), carry)

  compiled = executables.compile_(jax.jit(repeated).lower(carry))
  return lambda: compiled(carry)


_SEARCH_SETTINGS = f"""
train.unroll_length = {_UNROLL}
NUM_ENVS = {_ENVS}
uniform_replay:
  capacity = 10_000
  batch_size = {_BATCH}
  sequence_length = {_SEQUENCE - 1}
  updates_per_add = 1
"""


def _search() -> dict[str, float]:
  """Times acting and learning with search, and what acting takes at least."""
  from neurorl import config, training

  found = {}
  for simulations in (2, 16):
    bindings = [
      _SEARCH_SETTINGS,
      f"search_actor.num_simulations = {simulations}",
      f"ENVIRONMENT = {_ENVIRONMENT.value!r}",
    ]
    experiment = config.load(["alphazero.gin"], bindings).call()
    program = training.build(experiment)
    seconds = _time(_search_functions(experiment, program, simulations))
    steps = _UNROLL * _ENVS
    for name, s in seconds.items():
      found[f"{simulations:>2}: {name} (ms per 320 steps)"] = 1e3 * s / _TIMES
    found[
      f"{simulations:>2}: learning, loop less acting (ms per 320 steps)"
    ] = 1e3 * (seconds["loop"] - seconds["acting"]) / _TIMES
    for name in ("acting", "loop"):
      found[f"{simulations:>2}: {name} (slots per second)"] = (
        steps * _TIMES / seconds[name]
      )
    found[f"{simulations:>2}: forwards / acting"] = (
      seconds["forwards"] / seconds["acting"]
    )
  straightforward = _time(_parts(experiment.environment))
  total = sum(straightforward.values()) / 50
  found["straightforward parts of Q-learning (ms per 320 steps)"] = 1e3 * total
  return found


_TIMES = 20  # iterations per measurement


def _search_functions(experiment, program, simulations: int):
  """Chunks that act, chunks that learn too, and the parts of acting."""
  import jax
  import jax.numpy as jnp

  from neurorl import environments
  from neurorl.training import executables

  run_chunk = jax.jit(program.run_chunk, donate_argnums=0)
  learns = {"acting": jnp.bool_(False), "loop": jnp.bool_(True)}
  held = [jax.jit(program.init)(jax.random.key(0))]
  chunk = executables.compile_(
    run_chunk.lower(held[0], jnp.int32(0), learns["loop"])
  )
  filling = jnp.int32(program.warm_up_iterations + 10)
  held[0], _ = chunk(held[0], filling, learns["acting"])

  def run(name):
    held[0], output = chunk(held[0], jnp.int32(_TIMES), learns[name])
    return output

  # One forward for the root, one for every simulation.
  repeats = _TIMES * _UNROLL * (simulations + 1)
  params, acting = held[0].learning.params["agent"], held[0].acting
  # The loop's state is donated, its parts are kept.
  params, acting = jax.tree.map(jnp.copy, (params, acting))
  environment = environments.batch(experiment.environment)

  def forward(carry):
    timestep, state = carry
    outputs, state = program.agent.step(
      params, jax.random.key(0), timestep, state, "acting"
    )
    # All that a search reads goes on, so that nothing is left out.
    read = outputs["value"]["mean"].mean() + outputs["policy"]["logits"].mean()
    seen = jax.tree.map(lambda x: x + 1e-9 * read, timestep.observation)
    return timestep._replace(observation=seen), state

  def step(carry):
    key, state, timestep = carry
    key, action_key, step_key = jax.random.split(key, 3)
    num_actions = experiment.environment.spec.actions.num_actions
    action = jax.random.randint(action_key, (_ENVS,), 0, num_actions)
    return key, *environment.step(
      jax.random.split(step_key, _ENVS), state, timestep, action
    )

  return {
    **{name: functools.partial(run, name) for name in learns},
    "forwards": _repeat(
      forward, (acting.timestep, acting.agent_state), repeats
    ),
    "environment steps": _repeat(
      step, (jax.random.key(0), acting.env_state, acting.timestep), repeats
    ),
  }


def _startup() -> dict[str, float]:
  """Times command to first update with an empty and with a warm cache."""
  found = {}
  with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "XDG_CACHE_HOME": folder}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    for name in ("cold", "warm 1", "warm 2"):
      run_dir = pathlib.Path(folder) / name
      begun = time.time()
      subprocess.run(
        [
          sys.executable,
          _TRAIN,
          "--gin_file=qlearning.gin",
          "--gin.TOTAL_STEPS=10_000",
          f"--run_dir={run_dir}",
        ],
        check=True,
        capture_output=True,
        env=environment,
      )
      summary = json.loads((run_dir / "summary.json").read_text())
      found[f"{name}: first update (s)"] = summary["seconds_to_first_update"]
      found[f"{name}: whole command (s)"] = time.time() - begun
      for stage, seconds in summary["startup"].items():
        found[f"{name}: {stage} (s)"] = seconds
  return found


def _replay_memory() -> dict[str, float]:
  """Trains DQN on Breakout with a million steps of bytes; measures the peak."""
  found = {}
  for capacity in (20_000, 1_000_000):
    child = (
      "import resource, runpy, sys; sys.argv = sys.argv[1:]; code = 0\n"
      "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
      "except SystemExit as end: code = end.code\n"
      "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
      "sys.exit(code)"
    )
    with tempfile.TemporaryDirectory() as folder:
      done = subprocess.run(
        [
          sys.executable,
          "-c",
          child,
          _TRAIN,
          "--gin_file=dqn.gin",
          "--gin_file=env_minatar_breakout.gin",
          f"--gin.uniform_replay.capacity={capacity}",
          "--gin.uniform_replay.store_as=uint8",
          "--gin.uniform_replay.updates_per_add=1",
          "--gin.train.unroll_length=50",
          "--gin.TOTAL_STEPS=1_100_000",
          "--gin.evaluator.episodes=8",
          "--gin.evaluator.every_steps=0",
          "--gin.train.steps_per_chunk=100_000",
          f"--run_dir={folder}/run",
        ],
        check=True,
        capture_output=True,
        text=True,
      )
    peak = int(done.stdout.split()[-1]) * 1024
    found[f"peak of the process, capacity {capacity:,} (MB)"] = peak / 1e6
  small, large = found.values()
  found["peak of a million steps less that of 20,000 (MB)"] = large - small
  # Observation 400, action 4, reward 4, discount 4, two flags 2.
  found["bytes of 980,000 steps (MB)"] = 980_000 * 414 / 1e6
  return found


def _main(_) -> None:
  """Runs a workload and prints its figures."""
  workloads = {
    "loop": _loop,
    "search": _search,
    "startup": _startup,
    "replay_memory": _replay_memory,
  }
  for name, value in workloads[_WORKLOAD.value]().items():
    shown = value if isinstance(value, str) else f"{value:,.3f}"
    print(f"{name:<55} {shown:>14}")
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  print(f"{'peak memory of this process (MB)':<55} {peak / 1e3:>14,.0f}")


def main() -> None:
  """Runs the program; the console script `neurorl-benchmark`."""
  app.run(_main)


if __name__ == "__main__":
  main()
