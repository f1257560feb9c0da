"""Kernels: whole columns in, whole columns out; pure numpy, shared by the operations."""
