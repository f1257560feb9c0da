"""The clouds whose attestation is compiled in, by name."""

from cji_attestation import AZURE_US, AZURE_USGOV, Trust

__all__ = ["AZURE_US", "AZURE_USGOV", "Trust"]
