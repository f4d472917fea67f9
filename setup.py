"""Packaging: the library, its gin files and its programs."""

import pathlib

import setuptools

_ROOT = pathlib.Path(__file__).parent

setuptools.setup(
  name="neurorl",
  version="0.1.0",
  description="Deep reinforcement learning in JAX: an algorithm is a gin file.",
  long_description=(_ROOT / "README.md").read_text(),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  # The wheel carries binaries and gin files inside the package.
  packages=[
    *setuptools.find_packages(include=["neurorl", "neurorl.*"]),
    "neurorl.binaries",
    "neurorl.binaries.benchmarks",
    "neurorl.gin_configs",
  ],
  package_dir={
    "neurorl.binaries": "binaries",
    "neurorl.gin_configs": "gin_configs",
  },
  package_data={"neurorl.gin_configs": ["*.gin", "sweeps/*.yaml"]},
  install_requires=[
    "absl-py>=2.3.1",
    "chex>=0.1.91",
    "dm-haiku>=0.0.15",
    "gin-config>=0.5.0",
    "gymnax>=1.0.1",
    "jax>=0.8.1",
    "matplotlib>=3.9",
    "mctx>=0.0.6",
    "numpy>=1.26",
    "optax>=0.2.6",
    "orbax-checkpoint>=0.11.32",
    "pillow>=10.0",
    "pyyaml>=6.0",
    "rlax>=0.1.8",
    "wandb>=0.31",
  ],
  extras_require={
    "cuda": ["jax[cuda12]>=0.8.1"],
    "optuna": ["optuna>=4.0"],
    # Libraries of environments.
    "craftax": ["craftax>=1.6.1"],
    "navix": ["navix>=0.7.4"],
    # Draws gymnax's classic control.
    "pictures": ["pygame>=2.6"],
    "pgx": ["pgx>=2.6.0"],
    "xland-minigrid": ["xminigrid>=0.9.3"],
    "test": [
      "flashbax>=0.1.3",
      "pytest>=8.0",
      "pytest-timeout>=2.3",
      "pytest-xdist>=3.6",
      "ruff>=0.8",
    ],
  },
  entry_points={
    "console_scripts": [
      "neurorl-benchmark = neurorl.binaries.benchmark:main",
      "neurorl-evaluate = neurorl.binaries.evaluate:main",
      "neurorl-plot = neurorl.binaries.plot:main",
      "neurorl-record = neurorl.binaries.record:main",
      "neurorl-sweep = neurorl.binaries.sweep:main",
      "neurorl-train = neurorl.binaries.train:main",
      "neurorl-two-step = neurorl.binaries.two_step:main",
      "neurorl-watch = neurorl.binaries.watch:main",
    ]
  },
)
