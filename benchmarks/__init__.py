"""The cost of the worker, measured with a peer in the same run: `python -m benchmarks --help`.

One file per benchmark, registered in `__main__`. A figure alone proves nothing: it depends on the machine and on its
load at the time. Only ratios can be compared between machines, because both sides of a ratio run alternately.
docs/benchmarks.md defines what is inside each clock.
"""
