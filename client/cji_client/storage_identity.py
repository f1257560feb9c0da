"""The submitter's identity for Azure Storage. The only module of the SDK that knows Microsoft's library.

Any credential that the library finds will do: it gives access to ciphertext, and the account's roles decide to which.
Tokens are for Azure Storage alone, whichever credential makes them (`cji_core.azure_client`).
"""

from typing import Final

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

from cji_core.azure_client import bounded_transport

IDENTITY_SECONDS: Final = 30.0


def default_credential() -> TokenCredential:
    """Environment, workload identity, managed identity, or a tool that is signed in; no browser is opened."""
    transport = bounded_transport(None, seconds=IDENTITY_SECONDS, plain=True)
    return DefaultAzureCredential(exclude_interactive_browser_credential=True, transport=transport)
