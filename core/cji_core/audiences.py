"""Audiences of Azure's services: a token of an identity is for one of them. Constants alone."""

from typing import Final

STORAGE: Final = "https://storage.azure.com"
"""Blobs and queues, one audience in all clouds."""
MONITOR: Final = {"azure-us": "https://monitor.azure.com/", "azure-usgov": "https://monitor.azure.us/"}
"""Logs Ingestion; the slash belongs to it."""
EVENT_HUBS: Final = "https://eventhubs.azure.net/"
"""One audience in all clouds; the slash belongs to it."""
