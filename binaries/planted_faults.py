"""The faults that `verify_faults.py` plants, and the tests to notice them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
  """One line of one file, what to put in its place, and the tests to run."""

  name: str
  file: str
  old: str
  new: str
  tests: tuple[str, ...]


FAULTS = [
  Fault(
    "boundary mask removed",
    "ops/episodes.py",
    "return 1.0 - timestep.last[:-1].astype(jnp.float32)",
    "return jnp.ones_like(timestep.last[:-1], jnp.float32)",
    ("tests/ops/test_episodes.py", "tests/losses"),
  ),
  Fault(
    "bootstrap kept at termination",
    "ops/episodes.py",
    "return gamma * timestep.discount[1:].astype(jnp.float32)",
    "return gamma * jnp.ones_like(timestep.discount[1:])",
    ("tests/ops/test_episodes.py", "tests/ops/test_returns.py"),
  ),
  Fault(
    "time-out taken for death",
    "ops/episodes.py",
    "return gamma * timestep.discount[1:].astype(jnp.float32)",
    "return gamma * (1.0 - timestep.last[1:].astype(jnp.float32))",
    ("tests/ops/test_episodes.py", "tests/ops/test_returns.py"),
  ),
  Fault(
    "traces not cut at the end",
    "ops/episodes.py",
    "return lambda_ * (1.0 - timestep.last[1:].astype(jnp.float32))",
    "return lambda_ * jnp.ones_like(timestep.discount[1:])",
    ("tests/ops/test_episodes.py", "tests/ops/test_returns.py"),
  ),
  Fault(
    "core not reset in unroll",
    "networks/gated_scans.py",
    "return jnp.where(reset[..., None], 0.0, x)",
    "return jnp.where(reset[..., None] & False, 0.0, x)",
    ("tests/networks/test_cores.py",),
  ),
  Fault(
    "core not reset to its learned state in unroll",
    "networks/cores.py",
    "state = trees.where(begins, initial, state)",
    "state = trees.where(begins & False, initial, state)",
    ("tests/networks/test_cores.py",),
  ),
  Fault(
    "gradient across a reset",
    "networks/gated_scans.py",
    "return (dh, dc), dgates",
    "return (dgates @ weights.T, dc), dgates",
    ("tests/networks/test_cores.py",),
  ),
  Fault(
    "core not reset in step",
    "networks/cores.py",
    "state = trees.where(reset, self.initial_state(x.shape[0]), state)",
    "state = trees.where(reset & False, state, state)",
    ("tests/networks/test_cores.py",),
  ),
  Fault(
    "reward shifted by one step",
    "losses/rewards.py",
    "return inputs.steps.timestep.reward[1:]",
    "return inputs.steps.timestep.reward[:-1]",
    ("tests/ops/test_returns.py", "tests/losses"),
  ),
  Fault(
    "sequences across the write position",
    "buffers/ring.py",
    "rows = state.size - self.length - self._offset(state)",
    "rows = state.size - self._offset(state) - 1",
    ("tests/buffers/test_ring.py",),
  ),
  Fault(
    "sequences that are not whole are drawn by priority",
    "buffers/prioritized.py",
    "changed, ring.is_whole(after, changed)",
    "changed, jnp.ones_like(changed, bool)",
    ("tests/buffers",),
  ),
  Fault(
    "sums of priorities not kept up",
    "buffers/sums.py",
    "by_block = sums.by_block.at[block].set(by_slot[block].sum(axis=1))",
    "by_block = sums.by_block",
    ("tests/buffers",),
  ),
  Fault(
    "an episode counted twice in evaluation",
    "training/evaluation.py",
    "jnp.where(carry.done, 0.0, timestep.reward)",
    "timestep.reward",
    ("tests/training/test_evaluation.py",),
  ),
  Fault(
    "one key for every environment",
    "training/collect.py",
    "env_keys.reshape(unroll_length, num_envs, 2),",
    "env_keys.reshape(unroll_length, num_envs, 2)[:, [0] * num_envs],",
    ("tests/training/test_collect.py",),
  ),
  Fault(
    "the model resets itself inside the tree",
    "search/models.py",
    "      env_state, timestep = jax.vmap(environment.step)(\n"
    "        keys, node.env_state, action\n"
    "      )\n",
    "      env_state, timestep = jax.vmap(environment.step)(\n"
    "        keys, node.env_state, action\n"
    "      )\n"
    "      fresh = jax.vmap(environment.reset)(keys)\n"
    "      env_state = jax.tree.map(\n"
    "        lambda a, b: jnp.where(node.last, a, b), fresh[0], env_state)\n"
    "      node = node._replace(last=jnp.zeros_like(node.last))\n",
    ("tests/search",),
  ),
  Fault(
    "search goes on beyond a termination",
    "search/models.py",
    "over = node.last",
    "over = node.last & False",
    ("tests/search",),
  ),
  Fault(
    "a time-out in the tree is death",
    "search/models.py",
    "jnp.where(over, node.discount, timestep.discount),",
    "jnp.where(over, 0.0, timestep.discount * ~timestep.last),",
    ("tests/search",),
  ),
  Fault(
    "no discount in the tree",
    "search/models.py",
    "task.discount * timestep.discount",
    "timestep.discount",
    ("tests/search",),
  ),
  Fault(
    "one key for every row of a search",
    "search/models.py",
    "keys = jax.random.split(env_key, action.shape[0])",
    "keys = jnp.broadcast_to(env_key, action.shape)",
    ("tests/search",),
  ),
  Fault(
    "a model is trained across the end of an episode",
    "losses/unrolled.py",
    "absorbing=absorbing | episodes.terminations(timestep),",
    "absorbing=absorbing,",
    ("tests/losses/test_unrolled.py",),
  ),
  Fault(
    "a model is trained beyond a time-out",
    "losses/unrolled.py",
    "valid=_later(imagined.valid) & ~timed_out,",
    "valid=_later(imagined.valid),",
    ("tests/losses/test_unrolled.py",),
  ),
  Fault(
    "a key used twice in search",
    "search/models.py",
    "params, agent_key, timestep, node.agent_state, mode",
    "params, env_key, timestep, node.agent_state, mode",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "a key used twice in acting",
    "actors/epsilon_greedy.py",
    "jax.random.uniform(explore_key, (2, *batch))",
    "jax.random.uniform(agent_key, (2, *batch))",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "a key used twice in initialising",
    "training/learner.py",
    'params = {"agent": agent.init(agent_key), "loss": loss_params}',
    'params = {"agent": agent.init(key), "loss": loss_params}',
    ("tests/training/test_program.py",),
  ),
  Fault(
    "a key used twice in collecting",
    "training/collect.py",
    "        actor_keys[:unroll_length],\n",
    "        env_keys.reshape(unroll_length, -1)[:, :2],\n",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "a key used twice by the peek",
    "training/collect.py",
    "last, _ = _act(actor, extras, params, acting, actor_keys[-1], progress)",
    "last, _ = _act(actor, extras, params, acting, actor_keys[0], progress)",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "a key used twice by successor features",
    "losses/successor_features.py",
    "target = _same_policies(inputs, target_key, head,",
    "target = _same_policies(inputs, inputs.key, head,",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "linear core not reset",
    "ops/scans.py",
    "decay = jnp.where(reset, 0.0, decay)",
    "decay = jnp.where(reset & False, 0.0, decay)",
    ("tests/ops/test_scans.py", "tests/networks/test_cores.py"),
  ),
  Fault(
    "attention across a reset",
    "networks/gtrxl.py",
    "return jax.lax.cummax(jnp.where(reset, now, before))",
    "return jax.lax.cummax(jnp.where(reset & False, now, before))",
    ("tests/networks/test_cores.py",),
  ),
  Fault(
    "a chunk begins with another's memory",
    "buffers/rollout.py",
    "lambda x: x[chunks, envs], state.steps.agent_state",
    "lambda x: x[chunks * 0, envs], state.steps.agent_state",
    ("tests/buffers/test_rollout.py",),
  ),
  Fault(
    "an order sorted twice forgets the first",
    "ops/shuffling.py",
    "order = drawn if order is None else order[drawn]",
    "order = drawn",
    ("tests/ops/test_shuffling.py",),
  ),
  Fault(
    "episodes begin where none has ended",
    "environments/batching.py",
    "return jax.lax.cond(ended, restart, lambda: stepped)",
    "return jax.lax.cond(ended, lambda: stepped, restart)",
    ("tests/environments/test_batching.py",),
  ),
  Fault(
    "all updates of an iteration get one key",
    "training/program.py",
    "jax.random.wrap_key_data(data[i], impl=kind)",
    "jax.random.wrap_key_data(data[0], impl=kind)",
    ("tests/training/test_program.py",),
  ),
  Fault(
    "an epoch is not shuffled anew",
    "buffers/rollout.py",
    "lambda: shuffling.permutation(key, self.num_sequences),",
    "lambda: state.order,",
    ("tests/buffers/test_rollout.py",),
  ),
  Fault(
    "ratio of probabilities upside down",
    "losses/policy_gradients.py",
    "log_ratio = now - before",
    "log_ratio = before - now",
    ("tests/losses/test_policy_gradients.py",),
  ),
  Fault(
    "advantages normalised by what does not count",
    "losses/policy_gradients.py",
    "mean = trees.masked_mean(advantage, mask)",
    "mean = trees.masked_mean(advantage, jnp.ones_like(mask))",
    ("tests/losses/test_policy_gradients.py",),
  ),
  Fault(
    "V-trace across the end of an episode",
    "losses/vtrace.py",
    "episodes.traces(timestep, lambda_),",
    "jnp.full_like(inputs.mask, lambda_),",
    ("tests/losses/test_policy_gradients.py",),
  ),
  Fault(
    "Retrace by the policy alone",
    "losses/targets.py",
    "traces *= jnp.exp(jnp.minimum(log_ratio, 0.0))[1:]",
    "traces *= jnp.exp(jnp.minimum(log_ratio, 0.0))[:-1]",
    ("tests/losses/test_value_targets.py",),
  ),
  Fault(
    "the policy teaches what judges it",
    "losses/soft_actor_critic.py",
    "jax.lax.stop_gradient(inputs.params),",
    "inputs.params,",
    ("tests/losses/test_soft_actor_critic.py",),
  ),
  Fault(
    "a distribution beyond a termination",
    "losses/distributional.py",
    "return sums.rewards[..., None] + sums.discounts[..., None] * values",
    "return sums.rewards[..., None] + values",
    ("tests/losses/test_distributional.py",),
  ),
  Fault(
    "discounted sums across the end of an episode",
    "losses/normalised_rewards.py",
    "sums = jnp.where(first, 0.0, gamma * sums + reward)",
    "sums = gamma * sums + reward",
    ("tests/losses/test_normalised_rewards.py",),
  ),
  Fault(
    "predictions left out that are read",
    "training/loss_contracts.py",
    "_UNLIKELY_LENGTHS = (97, 101)",
    "_UNLIKELY_LENGTHS = (0,)",
    ("tests/training/test_loss_contracts.py",),
  ),
  Fault(
    "damage that nobody sees",
    "runs/state_files.py",
    "if read != described:",
    "if False:",
    ("tests/runs/test_state_files.py",),
  ),
  Fault(
    "rows kept of what is done again",
    "loggers/metrics_file.py",
    "if _steps(row) <= resumed_at]",
    "if _steps(row) < float('inf')]",
    ("tests/training/test_telling.py",),
  ),
  Fault(
    "counters not gone on with",
    "training/origins.py",
    "    chunks.state, chunks.counters = state, counters\n",
    "    chunks.state, chunks.counters.updates = state, counters.updates\n",
    ("tests/training/test_resume.py",),
  ),
  Fault(
    "a replay copied by every iteration",
    "training/program.py",
    "(buffer.updates_per_add + 1, 2)",
    "(buffer.updates_per_add, 2)",
    ("tests/training/test_replay_in_place.py",),
  ),
  Fault(
    "a rotation of the random generator",
    "ops/threefry.py",
    "(13, 15, 26, 6)",
    "(13, 15, 26, 7)",
    ("tests/ops/test_threefry.py",),
  ),
  Fault(
    "the random generator left as it is",
    "training/executables.py",
    "        write_generator_out()\n",
    "        pass\n",
    ("tests/ops/test_threefry.py",),
  ),
]
