"""The fields of events whose values a packet counts, and the query that anybody can repeat on the trail with jq."""

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from cji_audit.packet.material import Period
from cji_core.trail.claims import Claims
from cji_core.trail.events import KINDS, Event
from cji_core.trail.short_receipts import OF_ADMISSION, OF_EVENT

RECEIPT: Final = "receipt"
FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{str(kind.__struct_config__.tag): kind.counted for kind in KINDS if kind.counted},
        RECEIPT: (
            "fips.certificate",
            "fips.mode",
            "transport.protocol",
            "transport.bits",
            "host_profile",
            "region",
            "tee",
            "simulated",
            "suite",
            "code_sha384",
            "config_sha384",
            "policy_sha384",
        ),
    }
)
"""By kind of event, which declares them; `receipt` is the receipt inside `job_completed`."""

_OF_KIND: Final = {kind: attrgetter(*kind.counted) for kind in KINDS if kind.counted}
_OF_RECEIPT: Final = attrgetter(*FIELDS[RECEIPT])

_BASE: Final = '($e.receipt|split(".")[1]|gsub("-";"+")|gsub("_";"/")|@base64d|fromjson)'
_CLAIMS: Final = f"""foreach inputs as $line ({{}}; $line.event as $e | .claims = null |
if $e.kind == "job_admitted" then .admitted[$e.job_id] = ($e|{{{", ".join(OF_ADMISSION)}}})
elif $e.kind == "job_completed" then
(if $e.receipt|type == "string" then .base = {_BASE} | .claims = .base
else .claims = .base + .admitted[$e.job_id] + ($e|{{{", ".join(OF_EVENT)}}}) + $e.receipt.claims end) |
del(.admitted[$e.job_id])
else . end; select($line.time >= "%s" and $line.time < "%s").claims // empty)"""
"""The claims of all receipts in a period, whole or short (`cji_core.trail.short_receipts`)."""


def values(event: Event, claims: Claims | None) -> Iterator[tuple[str, str]]:
    """Field and value of everything that is counted in a line: its event, and for a completed job its receipt."""
    kind = event.kind
    yield "kind", kind
    for name in FIELDS.get(kind, ()):
        yield from ((f"{kind}.{name}", each) for each in _texts(event, name))
    if claims is not None:
        for name in FIELDS[RECEIPT]:
            yield from ((f"{RECEIPT}.{name}", each) for each in _texts(claims, name))


def combination(event: Event, claims: Claims | None) -> tuple[object, ...]:
    """Equal for two lines whose `values` are the same, and made in a fraction of the time."""
    counted = _OF_KIND.get(type(event))
    return type(event), counted and counted(event), claims and _OF_RECEIPT(claims)


def query(field: str, period: Period, file: str) -> str:
    """The command whose output has the values of a field in the period, sorted, one a line."""
    kind, _, name = field.partition(".")
    many = 'if type == "array" then .[] else . end|select(. != null)'
    if kind == RECEIPT:
        wanted = _CLAIMS.replace("\n", " ") % (period.start, period.end) + f"|.{name}|{many}"
        return f"jq -rn {shlex.quote(wanted)} {shlex.quote(file)} | LC_ALL=C sort -u | sha256sum"
    within = f'select(.time >= "{period.start}" and .time < "{period.end}").event'
    wanted = f"{within}.kind" if field == "kind" else f'{within}|select(.kind == "{kind}").{name}'
    return f"jq -r {shlex.quote(f'{wanted}|{many}')} {shlex.quote(file)} | LC_ALL=C sort -u | sha256sum"


def query_digest(found: Iterable[str]) -> str:
    """SHA-256 that the command prints if these are the values."""
    return hashlib.sha256(b"".join(f"{each}\n".encode() for each in sorted(found))).hexdigest()


def text(value: object) -> str:
    """A value as jq prints it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(of: object, name: str) -> Iterator[str]:
    for each in name.split("."):
        of = getattr(of, each)
    yield from (text(one) for one in (of if isinstance(of, tuple) else (of,)) if one is not None)
