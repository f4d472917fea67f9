import jax
import numpy as np
import pytest

from neurorl import networks
from neurorl.networks.s5 import hippo
from tests.networks.core_cases import (
  CORES,
  INPUTS,
  SOMETIMES,
  B,
  H,
  Methods,
  T,
  assert_close,
  float64_params,
  linear,
  make,
  run_plainly,
  sigmoid,
)


def gated_readout(params, x, state):
  x = state @ params["state"]["w"] + linear(params["input"], x)
  x = np.asarray(jax.nn.gelu(x), np.float64)
  return x * sigmoid(linear(params["gate"], x))


def rms_normed(params, x):
  square = np.square(x).mean(-1, keepdims=True)
  return x / np.sqrt(square + 1e-5) * params["norm"]["scale"]


def test_min_gru_equals_a_plain_loop():
  core = make("min_gru")
  params = float64_params(core)

  def step(x, h):
    x = rms_normed(params, x)
    z = sigmoid(linear(params["gate"], x))
    h = (1 - z) * h + z * linear(params["candidate"], x)
    return h, h

  run_plainly(core, step)


def test_lru_equals_a_plain_loop():
  core = make("lru")
  params = float64_params(core)
  own = params["lru"]
  decay = np.exp(-np.exp(own["nu"]) + 1j * np.exp(own["theta"]))

  def step(x, h):
    drive = linear(params["drive"], x)
    h = decay * h + np.exp(own["log_gamma"]) * (
      drive[:, :3] + 1j * drive[:, 3:]
    )
    return gated_readout(params, x, np.concatenate([h.real, h.imag], 1)), h

  run_plainly(core, step)


def test_s5_integrates_its_differential_equation_while_the_input_is_held():
  core = make("s5")
  params = float64_params(core)
  own = params["s5"]
  eigenvalues = -np.exp(own["log_rate"]) + 1j * own["frequency"]
  midpoints = 1000

  def step(x, h):
    drive = linear(params["drive"], x)
    drive = drive[:, :4] + 1j * drive[:, 4:]
    small = np.exp(own["log_step"]) / midpoints
    for _ in range(midpoints):
      middle = h + small / 2 * (eigenvalues * h + drive)
      h = h + small * (eigenvalues * middle + drive)
    return gated_readout(params, x, np.concatenate([h.real, h.imag], 1)), h

  run_plainly(core, step)


@pytest.mark.parametrize("size", [2, 8])
def test_hippo_is_the_normal_part_of_the_hippo_matrix(size):
  n = np.arange(size)
  matrix = -np.sqrt(np.outer(2 * n + 1, 2 * n + 1))
  matrix = np.tril(matrix, -1) - np.diag(n + 1)
  normal = matrix + np.outer(np.sqrt(n + 0.5), np.sqrt(n + 0.5))
  values, vectors = hippo(size)
  assert values.shape == (size // 2,)
  rebuilt = 2 * ((vectors * values) @ vectors.conj().T).real
  np.testing.assert_allclose(rebuilt, normal, atol=1e-10)


def test_s5_starts_as_a_real_system_of_the_hippo_matrix():
  """Its drive and readout are those of real weights, in another basis."""
  size = 8
  values, vectors = hippo(size)
  core = Methods(networks.s5(H, size // 2, num_blocks=1))
  params = core.init(jax.random.key(0))
  drive = params["s5/~/drive"]["w"]
  # Columns of V have norm 1, and both of a pair hold a real vector.
  drive = drive[:, : size // 2] + 1j * drive[:, size // 2 :]
  real = 2 * (drive @ vectors.T).real
  np.testing.assert_allclose(real @ vectors.conj(), drive, atol=1e-5)
  read = params["s5/~/readout/~/state"]["w"]
  read = read[: size // 2] - 1j * read[size // 2 :]
  # One of each pair of eigenvectors makes half of the identity.
  real = (vectors.conj() @ read).real
  np.testing.assert_allclose(2 * vectors.T @ real, read, atol=1e-5)
  np.testing.assert_allclose(params["s5"]["frequency"], values.imag, rtol=1e-5)
  np.testing.assert_allclose(np.exp(params["s5"]["log_rate"]), 0.5, rtol=1e-5)
  steps = np.exp(params["s5"]["log_step"])
  assert (steps >= 0.001).all() and (steps <= 0.1).all()


def test_lru_starts_within_its_ring_and_with_white_states():
  core = Methods(networks.lru(H, 200, 0.8, 0.9, max_phase=0.5))
  own = core.init(jax.random.key(0))["lru"]
  radii = np.exp(-np.exp(own["nu"]))
  assert 0.8 <= radii.min() < 0.82 and 0.88 < radii.max() <= 0.9
  phases = np.exp(own["theta"])
  assert 0 < phases.min() < 0.02 and 0.48 < phases.max() <= 0.5
  # The variance of a sum of decaying white noise.
  np.testing.assert_allclose(
    np.exp(2 * own["log_gamma"]) / (1 - radii**2), 1.0, rtol=1e-3
  )


@pytest.mark.parametrize("forget", [False, True])
def test_linear_attention_is_attention_to_the_whole_episode(forget):
  name = "linear_attention" + ", forgetting" * forget
  core = make(name)
  params = float64_params(core)
  outputs, _ = core.unroll(INPUTS, SOMETIMES, core.initial_state(B))

  def features(name, x):
    x = linear(params[name], x)
    return np.where(x > 0, x + 1, np.exp(x))

  for b in range(B):
    x = np.asarray(INPUTS[:, b], np.float64)
    normed = rms_normed(params, x)
    queries, keys = features("queries", normed), features("keys", normed)
    values, keep = linear(params["values"], normed), np.ones((T, 2))
    if forget:
      keep = sigmoid(linear(params["keep"], normed))
    for t in range(T):
      begin = max((s for s in range(t + 1) if SOMETIMES[s, b]), default=0)
      found = []
      for head in range(2):
        part = slice(2 * head, 2 * head + 2)
        weights = [
          queries[t, part] @ keys[s, part] * keep[s + 1 : t + 1, head].prod()
          for s in range(begin, t + 1)
        ]
        found.append(weights @ values[begin : t + 1, part] / np.sum(weights))
      expected = gated_readout(
        params, x[t : t + 1], np.concatenate(found)[None]
      )
      np.testing.assert_allclose(
        outputs[t, b], expected[0], rtol=1e-3, atol=1e-5
      )


@pytest.mark.parametrize("name", ["min_gru", "lru", "s5"])
def test_off_the_cpu_linear_cores_scan_in_parallel(name, monkeypatch):
  core = make(name)
  start = core.some_state()
  in_sequence = core.unroll(INPUTS, SOMETIMES, start)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  elsewhere = Methods(CORES[name])
  assert_close(elsewhere.unroll(INPUTS, SOMETIMES, start), in_sequence)
  text = str(jax.make_jaxpr(elsewhere.unroll)(INPUTS, SOMETIMES, start))
  assert "scan[" not in text
