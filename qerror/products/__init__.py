"""Scalar products of two quantized factors: pairs of formats, each side on its density."""

from qerror.products.factors import Factor, Operand
from qerror.products.pairs import Product, Products, scalar_products

__all__ = ["Factor", "Operand", "Product", "Products", "scalar_products"]
