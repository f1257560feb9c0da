"""Azure Monitor Logs Ingestion: rows into a stream of a data collection rule, by its data collection endpoint.

The service acknowledges a whole request with 204, so what is offered at once is one request of at most 1 MB, compressed
here: the client's own division into chunks counts other bytes than it sends, and may stop in the middle.
Source: Azure Monitor, "Logs Ingestion API".
"""

import gzip
import io
from typing import Final

from azure.monitor.ingestion import LogsIngestionClient

from cji_worker.service_https import Azure, answered, base_url

MAX_BYTES: Final = 1_000_000 - 2
"""Of rows as JSON with a comma each, before compression."""


class Ingestion:
    """Sends rows to one stream, as one identity. For one thread."""

    def __init__(
        self, endpoint: str, *, key: str, rule: str, stream: str, cloud: str, client_id: str | None, azure: Azure
    ) -> None:
        """`key` is the name of `endpoint` in its configuration.

        Raises StartupError for an endpoint that is not the cloud's.
        """
        of_cloud = azure.cloud(cloud)
        self._rule, self._stream = rule, stream
        self._client = LogsIngestionClient(
            base_url(endpoint, host_ends=of_cloud.monitor_host, key=key),
            azure.credential(client_id),
            credential_scopes=[of_cloud.monitor_scope],
            transport=azure.transport(),
            retry_total=0,
            permit_redirects=False,
            logging_enable=False,
        )

    def send(self, rows: list[bytes]) -> None:
        """Upload one request. Raises DeliveryError; then none of the rows may count."""
        body = gzip.compress(b"[" + b",".join(rows) + b"]", compresslevel=6, mtime=0)
        with answered():
            self._client.upload(self._rule, self._stream, io.BytesIO(body))
