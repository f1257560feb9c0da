"""The simulator's Azurite, for tests; beside it is the lock from which `make setup` installs it."""

from cji_simulator.azurite import ACCOUNT, Azurite, StorageCredential, azurite

__all__ = ["ACCOUNT", "Azurite", "StorageCredential", "azurite"]
