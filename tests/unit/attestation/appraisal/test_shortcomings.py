"""What an importer says about evidence that is not in force any more: one sentence for each part, and no refusal."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cji_attestation.appraisal.shortcomings import shortcomings
from cji_attestation.evidence import Evidence
from tests.support.forge import machine
from tests.support.tdx_forge import intel, without_end

NOW = machine().now


def domain(**changes: Any) -> Evidence:
    """Sound evidence of a trust domain whose collateral has these members instead."""
    return intel().evidence(machine(), collateral=msgspec.structs.replace(intel().collateral(), **changes))


def test_evidence_in_force_has_none() -> None:
    assert shortcomings(machine().evidence(), NOW) == ()
    assert shortcomings(domain(), NOW) == ()


def test_certificates_that_are_not_in_force_are_named() -> None:
    later, earlier = NOW + timedelta(days=301), NOW - timedelta(days=31)
    names = ["Intel SGX PCK Certificate", "Intel SGX PCK Platform CA", "Intel SGX Root CA"]
    for at, what in ((later, "expired"), (earlier, "not yet issued")):
        found = shortcomings(domain(), at)[:3]
        assert [one.partition(f" {what}: in force ")[0] for one in found] == names


PARTS: dict[str, Callable[[], Evidence]] = {
    "no chain of the processor's certificates": lambda: machine().evidence(certs=b"hello"),
    "no collateral: Intel's view of the processor is missing, and E13 refuses that": lambda: intel().evidence(
        machine(), version=1, collateral=None
    ),
    "TCB info that cannot be read": lambda: domain(tcb_info="{}"),
    "QE identity that cannot be read": lambda: domain(qe_identity="{}"),
    "a PCK CRL that is none": lambda: domain(pck_crl=b"hello"),
    "a root CRL that is none": lambda: domain(root_ca_crl=b"hello"),
    "PCK CRL without an end": lambda: domain(pck_crl=without_end(intel().collateral().pck_crl, intel().ca_key)),
}


@pytest.mark.parametrize("found", PARTS)
def test_each_part_that_is_not_sound_is_named(found: str) -> None:
    assert shortcomings(PARTS[found](), NOW) == (found,)


def test_a_certificate_that_was_revoked_is_named() -> None:
    revoked = intel().collateral(ca_revokes=(intel().pck,)).pck_crl
    named = f"revoked by the PCK CRL: Intel SGX PCK Certificate, serial {intel().pck.serial_number:x}"
    assert shortcomings(domain(pck_crl=revoked), NOW) == (named,)


def test_lists_and_statements_that_expired_are_named() -> None:
    found = shortcomings(domain(), NOW + timedelta(days=21))
    names = ["TCB info", "QE identity", "PCK CRL", "root CRL"]
    assert [one.partition(" expired: in force until ")[0] for one in found] == names
