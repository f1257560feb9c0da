"""Azure Monitor Logs Ingestion: a stream of a data collection rule, by its data collection endpoint.

    [[sinks]]
    name = "sentinel"
    kind = "monitor"
    endpoint = "https://NAME.REGION-1.ingest.monitor.azure.com"
    rule = "dcr-0123456789abcdef0123456789abcdef"      # immutable id
    stream = "Custom-CjiAudit"

The service acknowledges a whole request with 204, so a batch is one request of at most 1 MB, compressed here: the
client's own division into chunks counts other bytes than it sends, and may stop in the middle of a batch.
Source: Azure Monitor, "Logs Ingestion API".
"""

import gzip
import io
from typing import Final

from azure.monitor.ingestion import LogsIngestionClient

from cji_core.format.configuration.sinks import MonitorTable
from cji_worker.deliverer.sinks.batch import Outgoing
from cji_worker.deliverer.sinks.http import Azure, answered, base_url

_MAX_BYTES: Final = 1_000_000  # of JSON, before compression


class Monitor:
    """Sends batches to one stream."""

    max_bytes: int = _MAX_BYTES - 2
    max_events: int = 5000

    def __init__(self, table: MonitorTable, azure: Azure) -> None:
        """Raises StartupError for an endpoint that is not the cloud's."""
        cloud = azure.cloud(table.cloud)
        self._rule, self._stream = table.rule, table.stream
        self._client = LogsIngestionClient(
            base_url(table.endpoint, host_ends=cloud.monitor_host, key=f"endpoint of {table.name}"),
            azure.credential(table.client_id),
            credential_scopes=[cloud.monitor_scope],
            transport=azure.transport(),
            retry_total=0,
            permit_redirects=False,
            logging_enable=False,
        )

    def encode(self, event: Outgoing) -> bytes:
        """One row."""
        return event.data

    def send(self, batch: list[bytes]) -> None:
        """Upload one request."""
        body = gzip.compress(b"[" + b",".join(batch) + b"]", compresslevel=6, mtime=0)
        with answered():
            self._client.upload(self._rule, self._stream, io.BytesIO(body))
