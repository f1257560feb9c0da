"""Errors at the worker's other end, of a submitter, an auditor or an operator, each with a remedy.

* `SpecError`: a job spec, profile, key file or input cannot be used.
* `Unverified`: something that was received failed a check; `check` names it.
* `Unreachable`: a call ended without an answer.

No error text is derived from keys. None shows more of a record than the shape of a value whose format its submitter has
to correct, digits as 9 and letters as A.
"""

from cji_core.errors import CjiError


class ClientError(CjiError):
    """Base of these, and of all errors that `cji_client` raises on purpose."""

    code = "client"

    def __init__(self, message: str, *, remedy: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.retryable = retryable


class SpecError(ClientError):
    """A file or argument from the submitter cannot be used; the message names it and the reason."""

    def __init__(self, message: str, *, remedy: str = "Correct it and run again. Nothing was sent.") -> None:
        super().__init__(message, remedy=remedy)


class Unverified(ClientError):  # noqa: N818 - the name states what happened; the base marks it as an error
    """A check failed: do not trust this answer. `check` is a short stable name, for example that of a claim."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(
            f"{check}: {message}",
            remedy="Do not use this result. Report the failed check to the worker's operator.",
        )
        self.check = check


class Unreachable(ClientError):  # noqa: N818
    """The call ended without an answer from the worker: network, TLS or a proxy in between."""

    def __init__(
        self, message: str, *, remedy: str = "Check target, certificates and network, then try again."
    ) -> None:
        super().__init__(message, remedy=remedy, retryable=True)
