"""Twins: the same rules once more, slow and obvious, for the kernels to be compared with."""
