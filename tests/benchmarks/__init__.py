"""Benchmarks: `make bench`. Each prints ratios of two things measured in one run, on PostgreSQL with fsync on.

Absolute figures of a shared machine mean little; the ratio of two rounds that took turns on it means something.
"""
