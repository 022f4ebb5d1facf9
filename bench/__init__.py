"""Benchmarks: maintsched beside the libraries and the plain code that one would use instead."""
