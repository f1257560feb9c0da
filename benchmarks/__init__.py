"""What the worker costs, measured beside a peer in the same run: `python -m benchmarks --help`.

One file per benchmark, registered in `__main__`. No figure is a claim by itself: machines differ, and this one is
busy or idle at the moment. What may be compared between machines are ratios, each against its pair measured in turns
with it. docs/benchmarks.md says what is inside each clock.
"""
