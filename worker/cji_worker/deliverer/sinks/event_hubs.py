"""Azure Event Hubs: CloudEvents in batches, by its HTTPS endpoint.

    [[sinks]]
    name = "siem"
    kind = "event_hubs"
    namespace = "https://NAME.servicebus.windows.net"
    hub = "cji-audit"

A message of the hub is a JSON array of CloudEvents (`application/cloudevents-batch+json`), each with `id`, `source`,
`type`, `subject` (the line's number), `time` and the mapped event in `data`. `source` and `id` identify an event.

Sources: CloudEvents 1.0.2 and its JSON event format §4; Event Hubs REST, "Send event" (api-version 2014-01).
"""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest, HttpResponse

from cji_core.format.configuration.sinks import EventHubsTable
from cji_core.trail.meaning import PRODUCT
from cji_worker.deliverer.sinks.batch import Outgoing
from cji_worker.service_https import Azure, answered, base_url

_MAX_BYTES: Final = 240 * 1024  # a message of the smallest tier is at most 256 KiB
_ACCEPTED: Final = 201


class EventHubs:
    """Sends batches to one hub."""

    max_bytes: int = _MAX_BYTES - 2
    max_events: int = 1000

    def __init__(self, table: EventHubsTable, azure: Azure) -> None:
        """Raises StartupError for a namespace that is not the cloud's."""
        cloud = azure.cloud(table.cloud)
        base = base_url(table.namespace, host_ends=cloud.event_hubs_host, key=f"namespace of {table.name}")
        self._url = f"{base}/{table.hub}/messages?api-version=2014-01&timeout=30"
        token: Any = BearerTokenCredentialPolicy(azure.credential(table.client_id), cloud.event_hubs_scope)
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            base, policies=[token], transport=azure.transport()
        )

    def encode(self, event: Outgoing) -> bytes:
        """One CloudEvent."""
        record = event.record
        return msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": event.id,
                "source": f"/{PRODUCT}/{quote(record.worker, safe='')}",
                "type": f"cji.audit.{record.event.kind}",
                "subject": str(record.seq),
                "time": record.time,
                "datacontenttype": "application/json",
                "data": msgspec.Raw(event.data),
            }
        )

    def send(self, batch: list[bytes]) -> None:
        """Send one message."""
        headers = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
        request = HttpRequest("POST", self._url, headers=headers, content=b"[" + b",".join(batch) + b"]")
        with answered():
            response = self._client.send_request(request)
            if response.status_code != _ACCEPTED:
                raise HttpResponseError(response=response)
