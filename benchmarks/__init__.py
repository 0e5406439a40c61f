"""Benchmarks of speed and memory, compared with a plain baseline in the same run. Not installed with the package."""
