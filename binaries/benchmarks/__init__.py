"""Workloads of `benchmark.py`; each has `measure(environment, repeats)`."""
