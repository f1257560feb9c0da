"""The contract in Python: generated stubs, committed. Made by protos/generate.py."""
