"""Evaluation: benchmarks, baselines, metrics, runs that resume, reports and comparisons."""
