"""The outlook of a job: checks that are possible before anything is sent, and decisions of the worker alone.

The worker describes itself: its operations, schemas, keys and limits. It shows its policy to nobody, and a denied job
gets no rule (docs/policy.md). So the facts that the policy compares are listed, also as a case for `cji policy test`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cji_client.description import Description
from cji_client.desk.saved import toml_lines
from cji_client.desk.tables import SCHEMA_WORDS
from cji_client.prepared import Prepared
from cji_client.profile import ClientProfile
from cji_client.seal import INPUT_NAME
from cji_client.spec import JobSpec
from cji_core.errors import CjiError
from cji_core.format.keys import recipient_thumbprints
from cji_core.format.records import DataClass, data_classes
from cji_core.operations.registry import operation_of

_OPERATOR: Final = "Ask your administrator, who knows the worker's operator."


@dataclass(frozen=True, kw_only=True)
class Point:
    """One check. `remedy` is "" if it went well."""

    words: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """`points` are the checks; `missing` is why there are none: the worker does not answer."""

    points: tuple[Point, ...] = ()
    missing: str = ""

    @property
    def refused(self) -> bool:
        """Whether the worker would refuse the job."""
        return any(each.remedy for each in self.points)


def outlook(prepared: Prepared, profile: ClientProfile, known: Description) -> Outlook:
    """The checks of a job against the worker's own description, which is not trusted: it can only lose a job by it."""
    return Outlook(points=tuple(_points(prepared, profile, known)))


def _points(prepared: Prepared, profile: ClientProfile, known: Description) -> Iterator[Point]:
    spec = prepared.spec
    yield _that(
        spec.audience == known.audience,
        f"The worker {known.worker_id} is the one that this job is for.",
        f"This job is for {spec.audience}, and {known.worker_id} works for {known.audience}.",
        _OPERATOR,
    )
    lacking = [name for name in _operations(spec) if name not in known.operations]
    yield _that(
        not lacking,
        f"It offers this task ({', '.join(_operations(spec))}).",
        f"It does not offer this task ({', '.join(lacking)}).",
        f"Choose another task. {_OPERATOR}",
    )
    unread = [name for name in _schemas(spec) if name not in known.schemas]
    yield _that(
        not unread,
        "It reads records of this kind.",
        f"It does not read records of this kind ({', '.join(unread)}).",
        "Correct on the page Files what the records are.",
    )
    yield _key(spec, profile, known)
    most = known.limits.job_bytes
    yield _that(
        prepared.bytes <= most,
        "The records are within its limit for one job.",
        f"The records have {prepared.bytes / 1e6:,.1f} MB, and its limit is {most / 1e6:,.0f} MB a job.",
        "Drop fewer rows, or leave out columns on the page Files.",
    )


def _that(good: bool, words: str, otherwise: str, remedy: str) -> Point:
    return Point(words=words) if good else Point(words=otherwise, remedy=remedy)


def _key(spec: JobSpec, profile: ClientProfile, known: Description) -> Point:
    kem = spec.ml_kem_thumbprint
    try:
        if profile.pinned_key(spec.kek_id, thumbprint=spec.kek_thumbprint, ml_kem_thumbprint=kem) is None:
            known.pin_for(spec)
    except CjiError as error:
        return Point(words=f"Its key is not the one that your agency expects: {error}", remedy=_OPERATOR)
    return Point(words="It has the key that your agency expects.")


def _operations(spec: JobSpec) -> list[str]:
    return [operation_of(each).name for each in spec.operations]


def _schemas(spec: JobSpec) -> list[str]:
    return [*(each.schema for each in spec.sides.values()), spec.input.schema]


def compared(prepared: Prepared) -> dict[str, str]:
    """The facts that the worker's policy compares with what it lists for this agency, in words."""
    spec, inputs = prepared.spec, prepared.inputs
    found = {
        "Requesting agency": spec.requesting_ori,
        "Agency whose records they are": spec.originating_ori,
        "Purpose code": spec.purpose_code,
        "Operations": ", ".join(_operations(spec)),
        "Kinds of records": ", ".join(dict.fromkeys(SCHEMA_WORDS.get(each, each) for each in _schemas(spec))),
        "Classes of data": ", ".join(sorted(each.value for each in data_classes(_schemas(spec)) - {DataClass.NONE})),
        "Rows": f"{inputs[INPUT_NAME].rows or 0:,} of the records, {prepared.rows:,} in all files",
        "Keys that can open the result": ", ".join(recipient_thumbprints(spec.recipients, spec.suite)),
    }
    return found | ({"Passed on to": spec.secondary_recipient} if spec.secondary_recipient else {})


def case(prepared: Prepared) -> str:
    """The same facts as a case for `cji policy test`; the operator writes the name of the submitter into it."""
    spec = prepared.spec
    found: dict[str, object] = {
        "submitter": "NAME",
        "requesting_ori": spec.requesting_ori,
        "originating_ori": spec.originating_ori,
        "purpose": spec.purpose_code,
        "operations": _operations(spec),
        "schemas": list(dict.fromkeys(_schemas(spec))),
        "recipients": recipient_thumbprints(spec.recipients, spec.suite),
        "rows": prepared.rows,
        "expect": "granted",
    }
    if spec.secondary_recipient:
        found["secondary_recipient"] = spec.secondary_recipient
    return "".join(toml_lines({"cases": [found]}))
