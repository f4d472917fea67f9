import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurorl.ops import products

# Widths of what is multiplied and of the product: either may be narrower.
WIDTHS = [(3, 7), (7, 3), (5, 5), (1, 4), (4, 1)]
LEADING = [(6,), (4, 2), (2, 3, 2)]


def _operands(leading, widths):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (*leading, widths[0]))
  w = jax.random.normal(keys[1], widths)
  by_product = jax.random.normal(keys[2], (*leading, widths[1]))
  return x, w, by_product


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("widths", WIDTHS)
def test_product_and_gradients_are_those_of_the_plain_product(widths, leading):
  x, w, by_product = _operands(leading, widths)

  def run(multiply):
    product, back = jax.vjp(multiply, x, w)
    return product, *back(by_product)

  found = jax.jit(lambda: run(products.matmul))()
  expected = run(lambda x, w: x @ w)
  for one, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("widths", WIDTHS)
def test_the_gradient_by_a_matrix_sums_over_all_rows(widths):
  x, _, by_product = _operands((2, 3), widths)
  expected = np.zeros(widths)
  for row, by_row in zip(
    x.reshape(-1, widths[0]), by_product.reshape(-1, widths[1]), strict=True
  ):
    expected += np.outer(row, by_row)
  found = products.by_matrix(x, by_product)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("widths", [(3, 7), (7, 3)])
def test_a_batch_of_products_has_the_gradients_of_each(widths):
  x, w, by_product = _operands((4, 6), widths)
  matrices = jnp.stack([w * (1.0 + i) for i in range(4)])

  def gradients(x, w, by_product):
    return jax.vjp(products.matmul, x, w)[1](by_product)

  together = jax.jit(jax.vmap(gradients))(x, matrices, by_product)
  for i in range(4):
    alone = gradients(x[i], matrices[i], by_product[i])
    for one, all_ in zip(alone, together, strict=True):
      np.testing.assert_allclose(one, all_[i], rtol=1e-5, atol=1e-5)


def test_gradients_of_gradients():
  x, w, _ = _operands((6,), (7, 3))

  def second(multiply):
    def penalty(w):
      by_x = jax.grad(lambda x: jnp.sum(jnp.tanh(multiply(x, w))))(x)
      return jnp.sum(jnp.square(by_x))

    return jax.grad(penalty)(w)

  np.testing.assert_allclose(
    second(products.matmul), second(lambda x, w: x @ w), rtol=1e-5, atol=1e-5
  )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="kernels of a CPU")
@pytest.mark.parametrize("widths", [(128, 512), (512, 3)])
def test_no_product_sums_over_the_rows_of_its_left_operand(widths):
  # What XLA's fast kernel for a CPU does not take.
  x, w, by_product = _operands((640,), widths)

  def compiled(multiply):
    def gradients(x, w, by_product):
      return jax.vjp(multiply, x, w)[1](by_product)

    return jax.jit(gradients).lower(x, w, by_product).compile().as_text()

  slow = "lhs_contracting_dims={0}"
  assert slow not in compiled(products.matmul)
  assert slow in compiled(lambda x, w: x @ w)
