"""Records of a retention log, each of which can be another."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.retention.records import (
    FIRST_PREVIOUS,
    Act,
    Deleted,
    Deletion,
    Doomed,
    Hold,
    Outcome,
    Purged,
    Record,
    Release,
    digest,
    sign_record,
    suite_of,
)
from cji_core.jose import SigningKey

JOB: Final = "01" * 16
KEY: Final = ec.derive_private_key(7, ec.SECP384R1())
HOLD: Final = Hold(case="4711", jobs=(JOB,), versions=3)
RELEASE: Final = Release(case="4711", jobs=(JOB,))
DELETION: Final = Deletion(
    job=JOB,
    area="input",
    days=60,
    since="2027-12-31T12:00:00.00Z",
    since_by="receipt",
    until="2028-02-29T12:00:00.00Z",
    receipt_sha384="ab" * 48,
    kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
    blobs=(Doomed(container="jobs", name=f"{JOB}/parts/00000", etag="0x8D1", size=7),),
)
DELETED: Final = Deleted(
    of=0,
    outcomes=(Outcome(state="deleted", request_id="request-1", recoverable_until="2028-03-15T12:00:00.00Z"),),
)
PURGED: Final = Purged(of=(0,))
TIMES: Final = {Hold: "2028-01-01", Release: "2028-01-02", Deletion: "2028-03-01", Deleted: "2028-03-01"}


def record(act: Act, *, number: int = 0, previous: str = FIRST_PREVIOUS, **changes: Any) -> Record:
    """A record with these members changed."""
    day = TIMES.get(type(act), "2028-03-16")
    values: dict[str, Any] = {
        "version": 1,
        "suite": suite_of(KEY),
        "number": number,
        "previous_sha384": previous,
        "account": "https://cjiexample.blob.core.windows.net",
        "time": f"{day}T13:00:00.00Z",
        "principal": "22222222-2222-4222-8222-222222222222",
        "tenant": "11111111-1111-4111-8111-111111111111",
        "operator": "jdoe",
        "explanation": "schedule 7",
        "act": act,
    }
    return Record(**{**values, **changes})


def documents(*acts: Act, key: SigningKey = KEY, times: dict[int, str] | None = None) -> list[str]:
    """A log of these acts."""
    found, head = list[str](), FIRST_PREVIOUS
    for number, act in enumerate(acts):
        more = {"time": times[number]} if times and number in times else {}
        found.append(sign_record(record(act, number=number, previous=head, suite=suite_of(key), **more), key))
        head = digest(found[-1])
    return found
