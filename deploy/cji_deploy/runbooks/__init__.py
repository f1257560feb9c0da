"""Executable runbooks: steps as data, one program that runs, prints and documents them."""
