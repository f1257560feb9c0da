"""A witness in Azure Blob Storage: a container whose blobs nobody can change or delete before their time.

A blob is named by the size of its checkpoint and is created only if it is absent. The container must have an
immutability policy or a legal hold; whether the policy is locked cannot be seen with a right to blobs alone.

Source: REST API of Blob Storage, Get Container Properties, Put Blob, List Blobs.
"""

from datetime import datetime
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient, ContentSettings

from cji_core.audiences import STORAGE
from cji_core.azure_client import AudienceCredential, Identity, client_options
from cji_core.https import EXCHANGE_SECONDS
from cji_core.trail.delivery import DeliveryError
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.witnesses.records import (
    MAX_FILES,
    BlobReceipt,
    Offer,
    Receipt,
    RecordError,
    Seen,
    decode_offer,
    file_name,
)
from cji_core.trail.witnesses.refusals import ReceiptRefusedError, by_error
from cji_core.trail.witnesses.settings import BlobTable

_PAGE: Final = 5000


class BlobWitness:
    """The container of a `BlobTable`."""

    def __init__(self, table: BlobTable, *, identity: Identity, seconds: float = EXCHANGE_SECONDS) -> None:
        """`seconds` bounds each exchange."""
        self._table, self._identity, self._seconds = table, identity, seconds
        self._protected = False

    def newest(self, known: Offer | None) -> Offer | None:
        """The largest checkpoint in the container. Raises DeliveryError, also for a container that protects nothing."""
        self._require_protection()
        start = file_name(known.checkpoint().size) if known else None
        with self._container() as container:
            try:
                last = None
                pages = container.list_blob_names(start_from=start, results_per_page=_PAGE)
                for number, name in enumerate(pages):
                    if number > MAX_FILES:
                        raise DeliveryError("the container has more than a million blobs")
                    last = name
                return None if last is None else _read(container, last)
            except AzureError as error:
                raise by_error("list of blobs", error) from error

    def submit(self, offer: Offer) -> Seen:
        """Create the blob; one that is there must be this offer. Raises DeliveryError."""
        self._require_protection()
        name = file_name(offer.checkpoint().size)
        with self._container() as container:
            blob = container.get_blob_client(name)
            try:
                kind = ContentSettings(content_type="application/json")
                answer: dict[str, Any] = blob.upload_blob(
                    offer.encode(), overwrite=False, if_none_match="*", content_settings=kind
                )
                return _seen(name, answer.get("etag"), answer.get("last_modified"))
            except ResourceExistsError as error:
                try:
                    if _read(container, name) != offer:
                        raise DeliveryError(f"the container has another {name}") from error
                    found = blob.get_blob_properties()
                except AzureError as second:
                    raise by_error("blob", second) from second
                return _seen(name, found.etag, found.last_modified)
            except AzureError as error:
                raise by_error("blob", error) from error

    def verify(self, offer: Offer, receipt: Receipt) -> None:
        """Return if the receipt names this offer's blob. Raises ReceiptRefusedError."""
        if not isinstance(receipt, BlobReceipt) or receipt.name != file_name(offer.checkpoint().size):
            raise ReceiptRefusedError("not a receipt of this witness for this checkpoint")

    def _container(self) -> ContainerClient:
        try:
            options = client_options(self._table.ca_file, seconds=self._seconds)
        except OSError as error:
            raise DeliveryError("ca_file cannot be read") from error
        return ContainerClient(
            self._table.account_url,
            self._table.container,
            credential=AudienceCredential(self._identity(self._table.client_id), STORAGE),
            **options,
        )

    def _require_protection(self) -> None:
        if self._protected:
            return
        with self._container() as container:
            try:
                found = container.get_container_properties()
            except AzureError as error:
                raise by_error("container", error) from error
        if not (found.has_immutability_policy or found.has_legal_hold):
            raise DeliveryError("the container has neither an immutability policy nor a legal hold: set one, locked")
        self._protected = True


def _read(container: ContainerClient, name: str) -> Offer:
    try:
        data = container.download_blob(name, max_concurrency=1).readall()
        offer = decode_offer(data)
        if file_name(offer.checkpoint().size) != name:
            raise RecordError("it is named for another size")
    except RecordError as error:
        raise DeliveryError(f"blob {name!a}: {error}") from error
    except ResourceNotFoundError as error:
        raise DeliveryError(f"blob {name!a} was deleted") from error
    return offer


def _seen(name: str, etag: object, modified: object) -> Seen:
    if not isinstance(etag, str) or len(etag) > 256 or not isinstance(modified, datetime):
        raise DeliveryError("blob: the answer has no entity tag or no time")
    return Seen(receipt=BlobReceipt(name=name, etag=etag), at=utc_hundredths(modified), clock="witness")
