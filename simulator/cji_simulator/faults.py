"""Faults on demand. Two ideas: an order lasts, an event happens.

An order is a service, a kind and options. It changes the service's answers until it has struck `times` times or is
cleared. Orders of transport (`status`, `slow`, `down`, `malformed`) strike a request before it is looked at; where
`path` is given, only requests whose path contains it. All others change one kind of answer. An event changes the
machine or the service for good: signing keys are replaced, the VM reboots, a PCR is extended, the host is updated.

`CATALOGUE` and `EVENTS` are the whole list; the command line, its help and the table of tests are made from them.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

__all__ = ["CATALOGUE", "EVENTS", "TRANSPORT", "Event", "Fault", "Faults", "Kind", "Service"]


class Service(enum.StrEnum):
    """Whose answers change."""

    MAA = "maa"
    VAULT = "vault"
    IMDS = "imds"
    TPM = "tpm"
    INTEL = "intel"
    AMD = "amd"
    ENTRA = "entra"


class Kind(enum.StrEnum):
    """The kind of a fault; `CATALOGUE` describes each."""

    STATUS = "status"
    SLOW = "slow"
    DOWN = "down"
    MALFORMED = "malformed"
    EXPIRED = "expired"
    FUTURE = "future"
    WRONG_NONCE = "wrong-nonce"
    DEBUGGABLE = "debuggable"
    TRUSTED_LAUNCH = "trusted-launch"
    OTHER_ISSUER = "other-issuer"
    UNSIGNED = "unsigned"
    HS256 = "hs256"
    WRONG_JKU = "wrong-jku"
    REPLACED_STATEMENT = "replaced-statement"
    FORBIDDEN = "forbidden"
    WRONG_TCBM = "wrong-tcbm"
    SEVERAL_IDENTITIES = "several-identities"
    ELSEWHERE = "elsewhere"
    RETRY = "retry"
    YIELDED = "yielded"
    OBJECT_MEMORY = "object-memory"
    NOT_CONFIDENTIAL = "not-confidential"
    AK_CERTIFICATE_PENDING = "ak-certificate-pending"
    BOOT_REPORT = "boot-report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the catalogue: a kind's services, effect, options and example."""

    services: tuple[Service, ...]
    does: str
    example: str
    options: tuple[str, ...] = ()


_HTTP: Final = (Service.MAA, Service.VAULT, Service.IMDS, Service.INTEL, Service.AMD, Service.ENTRA)
_MAA, _VAULT, _IMDS, _TPM = (Service.MAA,), (Service.VAULT,), (Service.IMDS,), (Service.TPM,)

CATALOGUE: Final[Mapping[Kind, Entry]] = {
    Kind.STATUS: Entry(
        services=_HTTP,
        does="answers `status` (503), with Retry-After if `seconds` is set",
        options=("status", "seconds", "path"),
        example="vault status --status 429 --retry-after 5 --times 3",
    ),
    Kind.SLOW: Entry(
        services=_HTTP,
        does="answers after `seconds`",
        options=("seconds", "path"),
        example="maa slow --seconds 10",
    ),
    Kind.DOWN: Entry(
        services=_HTTP, does="closes the connection without an answer", options=("path",), example="imds down"
    ),
    Kind.MALFORMED: Entry(
        services=_HTTP,
        does="answers 200 with half a JSON object",
        options=("path",),
        example="imds malformed --path /metadata/THIM/",
    ),
    Kind.EXPIRED: Entry(services=_MAA, does="the token has expired", example="maa expired --times 1"),
    Kind.FUTURE: Entry(services=_MAA, does="the token is not valid yet", example="maa future"),
    Kind.WRONG_NONCE: Entry(services=_MAA, does="the token carries another request's nonce", example="maa wrong-nonce"),
    Kind.DEBUGGABLE: Entry(
        services=_MAA, does="the token states that the guest is debuggable", example="maa debuggable"
    ),
    Kind.TRUSTED_LAUNCH: Entry(services=_MAA, does="the token has no claim about a TEE", example="maa trusted-launch"),
    Kind.OTHER_ISSUER: Entry(
        services=_MAA,
        does="the token is from the second provider, which has the same signing key",
        example="maa other-issuer",
    ),
    Kind.UNSIGNED: Entry(services=_MAA, does="the token has alg none, as under a draft policy", example="maa unsigned"),
    Kind.HS256: Entry(
        services=_MAA, does="the token is an HMAC keyed with the public signing key", example="maa hs256"
    ),
    Kind.WRONG_JKU: Entry(
        services=_MAA,
        does="a foreign key signed the token, and its jku and x5c lead to that key",
        example="maa wrong-jku",
    ),
    Kind.REPLACED_STATEMENT: Entry(
        services=_VAULT, does="answers with the statement for another request", example="vault replaced-statement"
    ),
    Kind.FORBIDDEN: Entry(services=_VAULT, does="the identity has no permission to release", example="vault forbidden"),
    Kind.WRONG_TCBM: Entry(
        services=_IMDS, does="the VCEK is for a TCB that the machine no longer has", example="imds wrong-tcbm --times 1"
    ),
    Kind.SEVERAL_IDENTITIES: Entry(
        services=_IMDS,
        does="the VM has several identities: a token needs a client_id",
        example="imds several-identities",
    ),
    Kind.ELSEWHERE: Entry(services=_IMDS, does="the VM is in western Europe", example="imds elsewhere"),
    Kind.RETRY: Entry(services=_TPM, does="every command is answered TPM_RC_RETRY", example="tpm retry --times 12"),
    Kind.YIELDED: Entry(
        services=_TPM, does="every command is answered TPM_RC_YIELDED", example="tpm yielded --times 3"
    ),
    Kind.OBJECT_MEMORY: Entry(
        services=_TPM, does="there is no room for objects: TPM_RC_OBJECT_MEMORY", example="tpm object-memory"
    ),
    Kind.NOT_CONFIDENTIAL: Entry(
        services=_TPM,
        does="there is no HCL report, as on a VM that is not confidential",
        example="tpm not-confidential",
    ),
    Kind.AK_CERTIFICATE_PENDING: Entry(
        services=_TPM,
        does="the AK certificate is not written yet: TPM_RC_NV_UNINITIALIZED",
        example="tpm ak-certificate-pending",
    ),
    Kind.BOOT_REPORT: Entry(
        services=_TPM,
        does="an older paravisor: the HCL report is the boot's, its user data are zeros",
        example="tpm boot-report",
    ),
}

TRANSPORT: Final = (Kind.STATUS, Kind.SLOW, Kind.DOWN, Kind.MALFORMED)


class Event(enum.StrEnum):
    """Events, which happen once."""

    ROTATE_SIGNING_KEYS = "rotate-signing-keys"
    REBOOT = "reboot"
    EXTEND_PCR = "extend-pcr"
    UPDATE_HOST = "update-host"
    ROTATE_ENTRA_KEYS = "rotate-entra-keys"


EVENTS: Final[Mapping[Event, str]] = {
    Event.ROTATE_SIGNING_KEYS: "Replace the attestation service's signing keys; the old ones are gone at once.",
    Event.REBOOT: "Reboot the VM: NULL seed, PCRs and hardware report are new, and its worker starts again.",
    Event.EXTEND_PCR: "Measure something new into a PCR; a reboot undoes it.",
    Event.ROTATE_ENTRA_KEYS: "Replace the signing keys of Microsoft Entra; the old ones are gone at once.",
    Event.UPDATE_HOST: "Give the host new firmware: reports have another TCB, and another VCEK.",
}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One order; ValueError if it is inconsistent. `times` is how often it still takes effect; None: until cleared.

    `status` is an HTTP status, 503 unless given; `seconds` is a delay, or Retry-After in whole seconds.
    """

    service: Service
    kind: Kind
    status: int | None = None
    seconds: float | None = None
    path: str | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        entry = CATALOGUE[self.kind]
        if self.service not in entry.services:
            raise ValueError(f"{self.service} has no fault {self.kind}")
        for option in ("status", "seconds", "path"):
            if getattr(self, option) is not None and option not in entry.options:
                raise ValueError(f"{self.kind} takes no {option}")
        if self.kind is Kind.SLOW and self.seconds is None:
            raise ValueError("slow needs seconds")
        if (
            not 400 <= (self.status or 503) <= 599
            or (self.seconds or 0) < 0
            or self.times == 0
            or (self.times or 1) < 0
        ):
            raise ValueError("status is 400 to 599, seconds and times are positive")


class Faults:
    """The orders in force, oldest first."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._orders)

    def add(self, fault: Fault) -> None:
        """Put an order in force."""
        self._orders.append(fault)

    def clear(self) -> None:
        """Drop all orders."""
        self._orders.clear()

    def take(self, service: Service, *kinds: Kind, path: str = "") -> Fault | None:
        """Return the oldest order that strikes here, and count it."""
        for at, order in enumerate(self._orders):
            if order.service is service and order.kind in kinds and (order.path or "") in path:
                if order.times == 1:
                    del self._orders[at]
                elif order.times is not None:
                    self._orders[at] = msgspec.structs.replace(order, times=order.times - 1)
                return order
        return None
