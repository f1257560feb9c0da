"""The failures of storage. No text has more than fixed words and numbers."""

from cji_core.errors import CoreError


class StoreError(CoreError):
    """Storage did not do what was asked. The text has fixed words and numbers alone; `status` is HTTP's, or 0."""

    code = "store-failed"
    remedy = "Check the account, the network and the rights of the identity."

    def __init__(self, text: str = "", *, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class StoreAwayError(StoreError):
    """It does not answer, or fails, or grants this identity no right."""


class BlobAbsentError(StoreError):
    """There is no such blob."""


class BlobChangedError(StoreError):
    """The blob is another one than before."""


class BlobTooLargeError(StoreError):
    """The blob is larger than anything that belongs there."""


class LeaseLostError(StoreError):
    """The ticket is no longer leased: it was deleted, or is visible to others."""
