"""Exact expected quantization error of number formats under probability densities."""

__version__ = "0.1.0"
