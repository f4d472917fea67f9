import jax
import jax.numpy as jnp
import numpy as np

from neurorl import networks
from tests.networks.core_cases import (
  INPUTS,
  NEVER,
  SOMETIMES,
  B,
  D,
  H,
  Methods,
  T,
  assert_close,
  linear,
  make,
  sigmoid,
)


def test_gtrxl_remembers_its_window_and_nothing_older():
  memory, length = 3, 12
  core = Methods(networks.gtrxl(H, 2, memory_size=memory, mlp_size=6))
  x = jax.random.normal(jax.random.key(0), (length, B, D))
  never = jnp.zeros((length, B), bool)
  before, _ = core.unroll(x, never, core.initial_state(B))
  changed = x.at[4, 1].add(1.0)
  after, _ = core.unroll(changed, never, core.initial_state(B))
  expected = np.zeros((length, B), bool)
  expected[4 : 4 + memory + 1, 1] = True
  differs = np.abs(after - before).max(axis=-1)
  np.testing.assert_array_equal(differs > 1e-4, expected)
  np.testing.assert_array_equal(differs > 0, expected)
  # From call to call as well: what the state holds is as far as it reaches.
  _, state = core.unroll(changed[:6], never[:6], core.initial_state(B))
  second, _ = core.unroll(changed[6:], never[6:], state)
  assert_close(second, after[6:])


def test_gtrxls_window_holds_only_this_episode():
  core = make("gtrxl")
  _, state = core.unroll(INPUTS, SOMETIMES, core.initial_state(B))
  np.testing.assert_array_equal(state.length, [3, 7, 2])
  held = np.abs(state.embeddings).max(axis=-1) > 0
  np.testing.assert_array_equal(held.sum(axis=1), [3, 7, 2])
  assert held[:, -2:].all()


def test_gtrxl_knows_the_order_of_its_window():
  core = make("gtrxl")
  swapped = INPUTS[jnp.array([1, 0, *range(2, T)])]
  start = core.initial_state(B)
  one, two = (core.unroll(x, NEVER, start)[0] for x in (INPUTS, swapped))
  assert np.abs(one[2:] - two[2:]).max(axis=-1).min() > 1e-4
  # Because keys have an age: without it, attention is to a set.
  params = jax.tree.map(jnp.copy, core.params)
  params["gtrxl/~/attention"]["ages"] *= 0
  one, two = (
    core.unroll_with(params, x, NEVER, start)[0] for x in (INPUTS, swapped)
  )
  assert_close(one[2:], two[2:])


def test_gtrxl_equals_attention_in_a_plain_loop():
  """The attention, with the gates and layers around it as they are."""
  memory = 2
  core = Methods(networks.gtrxl(H, 2, memory_size=memory, mlp_size=6))
  params = {
    name.removeprefix("gtrxl/~/"): {
      k: np.asarray(v, np.float64) for k, v in p.items()
    }
    for name, p in core.params.items()
  }
  outputs, _ = core.unroll(INPUTS, SOMETIMES, core.initial_state(B))

  def norm(name, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5)
    return x * params[name]["scale"] + params[name]["offset"]

  def gate(name, stream, branch):
    branch = np.maximum(branch, 0)
    from_branch = branch @ params[name]["w_i"] + params[name]["b"]
    w_h = params[name]["w_h"]
    z, r = np.split(from_branch[: 2 * H] + stream @ w_h[:, : 2 * H], 2)
    z, r = sigmoid(z - 2), sigmoid(r)
    new = np.tanh(from_branch[2 * H :] + (r * stream) @ w_h[:, 2 * H :])
    return (1 - z) * stream + z * new

  def attend(embeddings, t, begin):
    seen = range(max(begin, t - memory), t + 1)
    query, key, value = (
      linear(params[f"attention/~/{name}"], norm("norm_a", embeddings))
      for name in ("queries", "keys", "values")
    )
    found = []
    for head in range(2):
      part = slice(2 * head, 2 * head + 2)
      ages = params["attention"]["ages"][:, head]
      scores = [
        query[t, part] @ (key[s, part] + ages[t - s]) / 2**0.5 for s in seen
      ]
      shares = np.exp(scores) / np.exp(scores).sum()
      found.append(shares @ value[list(seen), part])
    return linear(params["attention/~/out"], np.concatenate(found))

  for b in range(B):
    embeddings = linear(params["embed"], np.asarray(INPUTS[:, b], np.float64))
    for t in range(T):
      begin = max((s for s in range(t + 1) if SOMETIMES[s, b]), default=0)
      stream = gate("gate_a", embeddings[t], attend(embeddings, t, begin))
      hidden = linear(params["mlp/linear_0"], norm("norm_b", stream))
      found = linear(params["out"], np.maximum(hidden, 0))
      expected = gate("gate_b", stream, found)
      np.testing.assert_allclose(outputs[t, b], expected, rtol=1e-3, atol=1e-5)


def test_gtrxl_starts_close_to_the_identity():
  core = Methods(networks.gtrxl(D, 1, memory_size=3, mlp_size=6))
  params = core.init(jax.random.key(0))
  outputs, _ = core.unroll_with(params, INPUTS, NEVER, core.initial_state(B))
  assert "gtrxl/~/embed" not in params
  off = np.abs(outputs - INPUTS).mean()
  assert 0 < off < 0.3 * np.abs(INPUTS).mean()
