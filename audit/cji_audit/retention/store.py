"""The blobs of one container as retention sees them: every version and snapshot, legal holds, and what was deleted.

Contract and invariants, by the REST API of Azure Storage
* A version is deleted by its id. The current one cannot be (403, OperationNotAllowedOnRootBlob): then the blob is
  deleted first, if it still has the ETag that was listed, which makes it a version. A blob without versions is deleted
  under the same condition. So no content is deleted that was not listed.
* What a legal hold or a policy protects is refused by the service itself (409), whenever the hold was put on.
* The service states creations in whole seconds. `date` is its clock at its last answer.
Sources: Delete Blob; List Blobs; Set Blob Legal Hold, which does not change the ETag; Version-level WORM policies.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.storage.blob import BlobProperties, ContainerClient
from msgspec import UNSET

from cji_audit.retention.records import Doomed, Outcome
from cji_audit.retention.rules import Stored
from cji_core.audiences import STORAGE
from cji_core.azure_client import AudienceCredential
from cji_core.pool.errors import BlobAbsentError, StoreAwayError, StoreError
from cji_core.pool.exchange import EXCHANGE_SECONDS, bounded, code_of, tried
from cji_core.trail.fields import token_or_none

_PAGE: Final = 500
_MAX_LISTED: Final = 1_000_000
_KEPT: Final = {
    "BlobImmutableDueToLegalHold": "LEGAL_HOLD",
    "BlobImmutableDueToPolicy": "IMMUTABLE",
    "ConditionNotMet": "CHANGED",
    "LeaseIdMissing": "LEASED",
}
_CURRENT: Final = "OperationNotAllowedOnRootBlob"
_CONFLICTS: Final = frozenset({409, 412})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recoverable:
    """Something deleted that the service keeps until then."""

    name: str
    version: str | None
    snapshot: str | None
    until: datetime


class SealedBlobs:
    """One container. An object serves one thread. Every method raises StoreError."""

    def __init__(
        self,
        account_url: str,
        container: str,
        *,
        credential: TokenCredential,
        ca_file: str | None = None,
        seconds: float = EXCHANGE_SECONDS,
    ) -> None:
        """`credential` makes tokens for Azure Storage; no other audience is asked of it. Raises StartupError."""
        self.name: Final = container
        self.date: datetime | None = None
        self._request_id = ""
        self._container = ContainerClient(
            account_url,
            container,
            credential=AudienceCredential(credential, STORAGE),
            raw_response_hook=self._note,
            **bounded(ca_file, seconds=seconds),
        )

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def stored(self, under: str = "") -> list[Stored]:
        """Every version and snapshot of the blobs whose name begins so, by name; nothing that was deleted."""
        found = self._listed(under, ["versions", "snapshots", "legalhold", "immutabilitypolicy"])
        return [self._stored(each) for each in found if not each.deleted]

    def recoverable(self, under: str) -> list[Recoverable]:
        """Deleted versions that can still be recovered."""
        found = [each for each in self._listed(under, ["deleted", "versions", "snapshots"]) if each.deleted]
        now = self.date or datetime.now(UTC)
        return [
            Recoverable(
                name=each.name,
                version=each.version_id,
                snapshot=each.snapshot,
                until=now + timedelta(days=(each.remaining_retention_days or 0) + 1),
            )
            for each in found
        ]

    def delete(self, each: Doomed) -> Outcome:
        """Delete one version, snapshot or blob without versions; the outcome. A refusal of the service is one."""
        try:
            self._delete(each)
        except BlobAbsentError:
            return Outcome(state="absent")
        except StoreError as error:
            if (why := _refusal(error)) is None:
                raise
            return Outcome(state="kept", why=why)
        return Outcome(state="deleted", request_id=token_or_none(self._request_id) or UNSET)

    def hold(self, each: Stored, *, held: bool) -> bool:
        """Put Azure's legal hold on this version or blob, or take it off; False if it is gone."""
        blob = self._container.get_blob_client(each.name)
        options: dict[str, Any] = {"version_id": each.version, "snapshot": each.snapshot}
        try:
            tried("blob", lambda: blob.set_legal_hold(held, **{k: v for k, v in options.items() if v}))
        except BlobAbsentError:
            return False
        return True

    def _delete(self, each: Doomed) -> None:
        if each.snapshot:
            client = self._container.get_blob_client(each.name, snapshot=each.snapshot)
            tried("blob", client.delete_blob)
        elif not each.version:
            self._delete_current(each)
        else:
            try:
                self._delete_version(each)
            except StoreError as error:
                if code_of(error.__cause__) != _CURRENT:
                    raise
                self._delete_current(each)
                self._delete_version(each)

    def _delete_current(self, each: Doomed) -> None:
        blob = self._container.get_blob_client(each.name)
        etag = f'"{each.etag}"'
        tried("blob", lambda: blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified))

    def _delete_version(self, each: Doomed) -> None:
        blob = self._container.get_blob_client(each.name, version_id=each.version or None)
        tried("blob", blob.delete_blob)

    def _listed(self, under: str, include: list[str]) -> Iterator[BlobProperties]:
        """Of any number of pages; one that is too long is an error."""
        pages = self._container.list_blobs(
            name_starts_with=under or None, include=include, results_per_page=_PAGE
        ).by_page()
        count, end = 0, object()
        while (page := tried("container", lambda: _next(pages, end))) is not end:
            for each in page:
                count += 1
                if count > _MAX_LISTED:
                    raise StoreError("the container has more than a million blobs and versions")
                yield each

    def _stored(self, found: BlobProperties) -> Stored:
        if not found.name or found.etag is None or found.size is None or found.creation_time is None:
            raise StoreAwayError("container: the service lists a blob without size, ETag or creation")
        policy = found.immutability_policy.expiry_time if found.immutability_policy else None
        return Stored(
            container=self.name,
            name=found.name,
            version=found.version_id,
            snapshot=found.snapshot,
            etag=str(found.etag).strip('"'),
            size=int(found.size),
            created=max(found.creation_time, found.last_modified or found.creation_time),
            held=bool(found.has_legal_hold),
            immutable=policy is not None and policy > (self.date or datetime.now(UTC)),
        )

    def _note(self, response: Any) -> None:
        """Keep the service's clock, and the id of its last answer."""
        headers = response.http_response.headers
        self._request_id, self.date = headers.get("x-ms-request-id", ""), None
        with suppress(KeyError, ValueError, TypeError):
            self.date = parsedate_to_datetime(headers["Date"]).astimezone(UTC)


def _next(pages: Iterator[Any], end: object) -> Any:
    page: Any = next(pages, end)
    return page if page is end else list(page)


def _refusal(error: StoreError) -> Any:
    """Why the service keeps a blob; None for a failure that is not about the blob."""
    cause = error.__cause__
    found = _KEPT.get(code_of(cause))
    if found is not None:
        return found
    return "REFUSED" if getattr(cause, "status_code", None) in _CONFLICTS else None
