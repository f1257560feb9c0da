"""Intel's profile: MRTD, TCB status and evaluation number of TDX (draft-cds-rats-intel-corim-profile-07, §8.3).

A value may be an expression: 60010([2, n]) at least n, 60020([6, digests]) and 60021([6, texts]) one of those. Other
operators are refused: what is not excluded is not allowed by that.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import cbor2

from cji_attestation.appraisal.azure import Mrtd
from cji_attestation.appraisal.corim.document import Measurement, Triple
from cji_attestation.appraisal.corim.refusal import array, mapping, refused, sha384_of, text, whole
from cji_attestation.appraisal.corim.values import STATUSES, Stated
from cji_attestation.appraisal.reference import TcbStatus

PROFILE: Final = "2.16.840.1.113741.1.16.1"
_INTEL: Final = "2.16.840.1.113741.1."
_DOMAINS: Final = ("", "TDX", "TDX TD")
"""Models of environments whose tee.mrtee is an MRTD: those of a module or an enclave measure something else."""
_AT_LEAST: Final = 2
_MEMBER: Final = 6
_NUMBER, _DIGESTS, _TEXTS = 60010, 60020, 60021
_MODEL, _MRTEE, _EVALUATION, _STATUS = -71, -83, -86, -88
_VALUES: Final = {
    _MODEL: "tee.model",
    _MRTEE: "tee.mrtee",
    _EVALUATION: "tee.tcb-eval-num",
    _STATUS: "tee.tcbstatus",
    -70: "tee.vendor",
    -72: "tee.tcbdate",
    -73: "tee.isvsvn",
    -77: "tee.instance-id",
    -80: "tee.pceid",
    -81: "tee.miscselect",
    -82: "tee.attributes",
    -84: "tee.mrsigner",
    -85: "tee.isvprodid",
    -89: "tee.advisory-ids",
    -101: "tee.platform-instance-id",
    -125: "tee.tcb-comp-svn",
}
_READ: Final = frozenset({_MODEL, _MRTEE, _EVALUATION, _STATUS})


def read_intel(triple: Triple, *, source: str, seen: date) -> Stated:
    """The statements of a triple about a trust domain, and about Intel's view of its processor."""
    environment = triple.environment
    if not environment.class_id.startswith(_INTEL):
        raise refused(f"class id {environment.class_id}, which is none of Intel")
    if len(triple.measurements) != 1:
        raise refused(f"{len(triple.measurements)} measurements of one environment of Intel's")
    (one,) = triple.measurements
    if one.key is not None:
        raise refused(f"measurement key {one.key}")
    values = mapping(one.values, "measurement values", _VALUES)
    model = text(values.get(_MODEL, environment.model), "model")
    if _MRTEE in values and model not in _DOMAINS:
        raise refused(f"tee.mrtee of {model}, which is not a trust domain")
    return Stated(
        mrtds=tuple(Mrtd(digest=digest, source=source, seen=seen) for digest in _mrtds(values)),
        tcb_statuses=_statuses(values),
        tcb_evaluation=_evaluation(values),
        left_out=_left_out(triple, one, values),
    )


def _left_out(triple: Triple, one: Measurement, values: Mapping[Any, Any]) -> tuple[str, ...]:
    authority = ("authorized by",) if one.authorized else ()
    return (*triple.environment.more, *authority, *(_VALUES[key] for key in values if key not in _READ))


def _members(value: Any, number: int, name: str) -> list[Any]:
    """The members of a set: of an expression, or the array itself."""
    if not isinstance(value, cbor2.CBORTag):
        return array(value, name)
    expression = value.value
    if value.tag != number or not isinstance(expression, list) or len(expression) != 2 or expression[0] != _MEMBER:
        raise refused(f"{name} with another expression than membership")
    return array(expression[1], name)


def _mrtds(values: Mapping[Any, Any]) -> list[str]:
    if _MRTEE not in values:
        return []
    found = _members(values[_MRTEE], _DIGESTS, "tee.mrtee")
    if not isinstance(found[0], list):
        found = [found]  # one digest instead of a list of them
    return [sha384_of(one, "tee.mrtee") for one in found]


def _statuses(values: Mapping[Any, Any]) -> tuple[TcbStatus, ...]:
    if _STATUS not in values:
        return ()
    found = [text(one, "tee.tcbstatus") for one in _members(values[_STATUS], _TEXTS, "tee.tcbstatus")]
    if unknown := [one for one in found if one not in STATUSES]:
        raise refused(f"tee.tcbstatus {', '.join(unknown)}")
    return tuple(sorted(set(found)))  # type: ignore[arg-type]  # compared above


def _evaluation(values: Mapping[Any, Any]) -> int | None:
    if _EVALUATION not in values:
        return None
    value = values[_EVALUATION]
    if isinstance(value, cbor2.CBORTag):
        expression = value.value
        if (
            value.tag != _NUMBER
            or not isinstance(expression, list)
            or len(expression) != 2
            or expression[0] != _AT_LEAST
        ):
            raise refused("tee.tcb-eval-num with another expression than at least")
        value = expression[1]
    number = whole(value, "tee.tcb-eval-num", bits=32)
    if not number:
        raise refused("tee.tcb-eval-num 0")
    return number
