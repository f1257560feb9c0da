"""Azure Monitor Logs Ingestion as a sink.

[[sinks]]
name = "sentinel"
kind = "monitor"
endpoint = "https://NAME.REGION-1.ingest.monitor.azure.com"
rule = "dcr-0123456789abcdef0123456789abcdef"      # immutable id
stream = "Custom-CjiAudit"
"""

from cji_core.format.configuration.sinks import MonitorTable
from cji_worker.deliverer.sinks.batch import Outgoing
from cji_worker.ingestion import MAX_BYTES, Ingestion
from cji_worker.service_https import Azure


class Monitor:
    """Sends batches to one stream."""

    max_bytes: int = MAX_BYTES
    max_events: int = 5000

    def __init__(self, table: MonitorTable, azure: Azure) -> None:
        """Raises StartupError for an endpoint that is not the cloud's."""
        self._ingestion = Ingestion(
            table.endpoint,
            key=f"endpoint of {table.name}",
            rule=table.rule,
            stream=table.stream,
            cloud=table.cloud,
            client_id=table.client_id,
            azure=azure,
        )

    def encode(self, event: Outgoing) -> bytes:
        """One row."""
        return event.data

    def send(self, batch: list[bytes]) -> None:
        """Upload one request."""
        self._ingestion.send(batch)
