import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.training.first_rows import reads_first

X = jnp.linspace(-1.0, 1.0, 24).reshape(3, 4, 2)

LEFT = {
  "sliced": lambda x: x[1:],
  "reduced over another axis": lambda x: x.max(-1)[1:],
  "reduced over an axis before": lambda x: x.transpose(1, 0, 2).sum(0)[1:],
  "softmax": lambda x: jax.nn.softmax(x)[1:].sum(),
  "argmax": lambda x: x.argmax(-1)[1:],
  "compared": lambda x: jnp.where(x > 0, x, 0.0)[1:],
  "reshaped": lambda x: x.reshape(3, 8)[1:],
  "moved": lambda x: jnp.moveaxis(x, 0, 2)[..., 1:].mean(),
  "broadcast": lambda x: (x[:, None] * jnp.ones((3, 5, 4, 2)))[1:],
  "squeezed": lambda x: x[:, :1].squeeze(1)[1:],
  "batched": lambda x: jax.vmap(lambda y: y.max(-1)[1:], 1)(x),
  "called": lambda x: jax.jit(jax.nn.relu)(x)[1:].sum(),
  "not read at all": lambda x: jnp.zeros(2),
}
READ = {
  "whole": lambda x: x,
  "first": lambda x: x[0],
  "up to the last": lambda x: x[:-1],
  "averaged": lambda x: x.mean(),
  "averaged before": lambda x: (x - x.mean(0))[1:],
  "reversed": lambda x: x[::-1][1:],
  "merged": lambda x: x.reshape(-1, 2)[1:],
  "accumulated": lambda x: jnp.cumsum(x, 0)[1:],
  "rolled": lambda x: jnp.roll(x, 1, 0)[1:],
  "shifted": lambda x: jnp.concatenate([x[:1], x])[1:],
  "in a called function": lambda x: jax.jit(lambda y: y[:-1].sum())(x),
  "in one of two results": lambda x: (x[1:], x[:1]),
  "transposed onto itself": lambda x: (
    x[:, :3, 0] + x[:, :3, 0].transpose(1, 0)
  )[1:],
  "by a scan": lambda x: jax.lax.scan(lambda c, y: (y, c), x[0], x)[1][1:],
}


@pytest.mark.parametrize("name", list(LEFT))
def test_a_first_row_that_is_not_read_is_known(name):
  other = X.at[0].set(7.0)
  np.testing.assert_array_equal(LEFT[name](X), LEFT[name](other))
  assert not reads_first(LEFT[name], X)


@pytest.mark.parametrize("name", list(READ))
def test_a_first_row_that_is_read_is_never_left_out(name):
  assert reads_first(READ[name], X)


def test_a_dictionary_is_read_if_one_of_its_arrays_is():
  assert not reads_first(lambda xs: xs["a"][1:] + xs["b"][1:], {"a": X, "b": X})
  assert reads_first(lambda xs: xs["a"][1:] + xs["b"][:-1], {"a": X, "b": X})
