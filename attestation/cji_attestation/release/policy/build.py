"""Write a strong release policy, one condition a line, in the order in which a reviewer reads it."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.release.policy.claims import HARDWARE, PER_HARDWARE, REQUIRED, TEE
from cji_attestation.release.policy.grammar import MAX_POLICY_BYTES, ReleasePolicy, Scalar, parse_policy
from cji_core.strict import parse_object

AUTHORITY_PLACEHOLDER: Final = "__ATTESTATION_AUTHORITY__"
"""Stands for the provider in a template; deploy/ puts the address in its place."""

Hardware: TypeAlias = Literal["snp", "tdx"]
_NAMES: Final[Mapping[Hardware, str]] = {"snp": "sevsnpvm", "tdx": "tdxvm"}
_Json: TypeAlias = dict[str, Any]


def build(
    authority: str,
    *,
    hardware: Iterable[Hardware] = ("snp",),
    pins: Mapping[str, Scalar] | None = None,
) -> bytes:
    """A policy for the machines that `authority` attests: confidential, with secure boot, nothing debuggable.

    `pins` are further claims with their values, such as PCRs of an image; a claim that is pinned already is
    CONFIG_INVALID "pins", and so is a policy that leaves the grammar. Returns JSON text in UTF-8 with a newline.
    """
    kinds = tuple(dict.fromkeys(hardware))
    if not kinds:
        raise AttestationError(Fault.CONFIG_INVALID, check="hardware")
    extra = pins or {}
    top = [_condition(claim, value) for claim, (value, _) in REQUIRED.items() if not claim.startswith(TEE)]
    each = [_hardware(_NAMES[kind]) for kind in kinds]
    tee = each[0] if len(each) == 1 else [{"anyOf": [{"allOf": one} for one in each]}]
    conditions = [*top, *tee, *(_condition(claim, value) for claim, value in extra.items())]
    document = {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": conditions}]}
    data = f"{_text(document, 0)}\n".encode()
    parse_policy(data)
    if extra.keys() & {HARDWARE, *REQUIRED, *(claim for kind in kinds for claim in PER_HARDWARE[_NAMES[kind]])}:
        raise AttestationError(Fault.CONFIG_INVALID, check="pins")
    return data


def either(first: bytes, second: bytes) -> bytes:
    """A policy for the machines of both, such as two images during an upgrade. PolicyError for one that is none."""
    alternatives: list[_Json] = []
    for data in (first, second):
        parse_policy(data)
        alternatives += [one for one in parse_object(data, limit=MAX_POLICY_BYTES)["anyOf"] if one not in alternatives]
    data = f"{_text({'version': '1.0.0', 'anyOf': alternatives}, 0)}\n".encode()
    parse_policy(data)
    return data


def filled(policy: ReleasePolicy, authority: str) -> ReleasePolicy:
    """Return a template's policy with `authority` in the place of the placeholder."""
    authorities = (
        dataclasses.replace(one, url=authority) if one.url == AUTHORITY_PLACEHOLDER else one
        for one in policy.authorities
    )
    return dataclasses.replace(policy, authorities=tuple(authorities))


def _condition(claim: str, value: Scalar) -> _Json:
    return {"claim": claim, "equals": value}


def _hardware(name: str) -> list[_Json]:
    common = [_condition(claim, value) for claim, (value, _) in REQUIRED.items() if claim.startswith(TEE)]
    own = [_condition(claim, value) for claim, (value, _) in PER_HARDWARE[name].items()]
    return [_condition(HARDWARE, name), *common, *own]


def _text(value: Any, indent: int) -> str:
    """JSON with a condition on one line and everything else spread out."""
    pad = "  " * (indent + 1)
    if isinstance(value, dict) and "claim" in value:
        return "{ " + ", ".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in value.items()) + " }"
    if isinstance(value, dict):
        members = [f"{pad}{json.dumps(name)}: {_text(one, indent + 1)}" for name, one in value.items()]
        return "{\n" + ",\n".join(members) + "\n" + "  " * indent + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(pad + _text(one, indent + 1) for one in value) + "\n" + "  " * indent + "]"
    return json.dumps(value)
