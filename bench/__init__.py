"""Benchmarks: everything side by side in one run, as ratios. No dependency of the product."""
