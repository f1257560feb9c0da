"""F08: the time at which a file is appraised is proven (E52), by a key that is the issuer's (T19) or a timestamp."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_attestation import AttestationError
from cji_attestation.appraisal import ProvenTime, ReferenceValues, latest_proven, shown_later
from cji_attestation.appraisal.proven_time import MOST_MILLISECONDS
from cji_attestation.attested import AttestedWorker, read_evidence
from cji_attestation.checks import Skipped
from cji_attestation.errors import Record
from cji_attestation.evidence import TpmClock
from cji_attestation.evidence_file import MAX_FILE_BYTES, decode_evidence
from cji_attestation.evidence_file import stamped as stamped_message
from cji_attestation.times import bundle_time
from cji_client.errors import SpecError, Unverified
from cji_simulator.encoding import rsa_jwk
from tests.support.evidence_files import evidence_file
from tests.support.forge import crl, decided, machine
from tests.support.refusals import rejected
from tests.support.tsa_forge import tsa

LATER = datetime(2050, 1, 1, tzinfo=UTC)


def reference(**values: Any) -> ReferenceValues:
    return decided(**values)


def read(data: bytes, **kw: Any) -> AttestedWorker:
    given: dict[str, Any] = {"trust": machine().trust, "reference": reference()} | kw
    return read_evidence(data, **given)


def refused(data: bytes, check: str, **kw: Any) -> AttestationError:
    with pytest.raises(Unverified, match=check) as caught:
        read(data, **kw)
    assert isinstance(caught.value.__cause__, AttestationError)
    assert caught.value.__cause__.check == check
    return caught.value.__cause__


def stamped(at: datetime, **changes: Any) -> bytes:
    found = decode_evidence(evidence_file(**changes))
    return msgspec.structs.replace(found, timestamp=tsa().response(found.stamped, at=at)).encode()


def unpinned(**values: Any) -> ReferenceValues:
    """An operator who pinned none of the issuer's keys."""
    return reference(maa_keys=None, **values)


def test_the_token_and_the_tpms_clock_prove_a_time() -> None:
    found = read(evidence_file())
    assert abs(found.time.at - machine().now) < timedelta(minutes=1)
    assert found.time.by == "Azure Attestation's token and the TPM's clock"
    (check,) = found.time_checks
    assert (check.id, isinstance(check, Skipped)) == ("E52", False)
    assert found.attested_at == found.time.at
    assert "T19" not in {one.id for one in found.unchecked}


def test_only_the_issuers_own_key_vouches_for_a_paravisor() -> None:
    for values, unchecked in ((reference(), False), (unpinned(), True)):
        found = read(evidence_file(), reference=values, at=machine().now)
        unknown = replace(found, time_checks=(*found.time_checks, Skipped("E40", "not a known paravisor's")))
        assert ("E40" in {one.id for one in unknown.unchecked}) is unchecked
        assert "E33" in {one.id for one in unknown.unchecked}


@pytest.mark.parametrize("claimed", [LATER, datetime(2001, 1, 1, tzinfo=UTC)])
def test_f08_a_files_own_time_changes_nothing(claimed: datetime) -> None:
    honest, moved = read(evidence_file()), read(evidence_file(attested_at=claimed))
    assert honest.time == moved.time
    assert honest.verdict.checks == moved.verdict.checks


def test_f08_a_files_own_claim_is_no_time() -> None:
    error = refused(evidence_file(attested_at=LATER), "E52", reference=unpinned())
    assert error.failures[0].found == "the file's own claim, 2050-01-01T00:00:00+00:00"
    assert "cji evidence stamp" in error.remedy
    assert "--at" in error.remedy


def test_the_caller_may_vouch_for_a_time() -> None:
    found = read(evidence_file(), reference=unpinned(), at=machine().now)
    assert (found.time.at, found.time.by) == (machine().now, "the caller's word")
    assert "T19" in {one.id for one in found.unchecked}
    assert "E40" not in {one.id for one in read(evidence_file(), at=machine().now).unchecked}
    refused(evidence_file(), "T06", at=machine().now + timedelta(hours=9))
    refused(evidence_file(), "E38", at=LATER)


def test_the_latest_proven_time_counts() -> None:
    roots = tsa().roots
    stamp = machine().now + timedelta(hours=20)
    found = read(stamped(stamp), reference=reference(timestamp_roots=roots))
    assert (found.time.at, found.time.by) == (stamp, "its timestamp")
    assert [check.id for check in found.time_checks] == ["E51", "E52"]
    earlier = machine().now - timedelta(hours=20)
    token = read(stamped(earlier), reference=reference(timestamp_roots=roots))
    assert token.time.by == "Azure Attestation's token and the TPM's clock"


def test_a_timestamp_is_enough_where_no_key_is_known() -> None:
    stamp = machine().now + timedelta(hours=2)
    found = read(stamped(stamp), reference=unpinned(timestamp_roots=tsa().roots))
    assert (found.time.at, found.time.by) == (stamp, "its timestamp")
    assert "T19" in {one.id for one in found.unchecked}


def test_f08_a_token_of_nobody_is_older_than_the_timestamp() -> None:
    refused(stamped(machine().now - timedelta(hours=2)), "T06", reference=unpinned(timestamp_roots=tsa().roots))


def test_f08_a_timestamp_over_another_file_is_refused() -> None:
    found = decode_evidence(evidence_file())
    stamp = tsa().response(found.stamped, at=machine().now)
    for name, value in (("nonce_path", b"x" * 49), ("attested_at", LATER), ("maa_url", "https://x.example")):
        moved = msgspec.structs.replace(found, timestamp=stamp, **{name: value})
        with pytest.raises(Exception, match=r"E51|maa-url"):
            read(moved.encode(), reference=reference(timestamp_roots=tsa().roots))


def test_a_timestamp_without_a_root_is_not_checked() -> None:
    found = read(stamped(machine().now))
    assert [type(check) for check in found.time_checks if check.id == "E51"] == [Skipped]
    assert "E51" in {one.id for one in found.unchecked}
    refused(stamped(machine().now), "E52", reference=unpinned())


def test_a_file_of_another_size_is_none() -> None:
    with pytest.raises(SpecError, match="not one that"):
        decode_evidence(evidence_file() + b" " * MAX_FILE_BYTES)


def test_bundles_can_be_stamped_too() -> None:
    text = machine().evidence().to_json()
    given = reference(timestamp_roots=tsa().roots)
    found = bundle_time(text, tsa().response(stamped_message(text), at=machine().now), reference=given)
    assert (found.time.at, found.time.by) == (machine().now, "its timestamp")
    assert [check.id for check in found.checks] == ["E51", "E52"]
    for data, values in ((b"", given), (tsa().response(stamped_message(text)), reference())):
        with rejected("E51"):
            bundle_time(text, data, reference=values)


def test_a04_a_file_with_keys_of_its_own_writer_is_refused() -> None:
    own = rsa.generate_private_key(65537, 2048)
    document = msgspec.json.encode({"keys": [{"kid": "k1", "use": "sig", **rsa_jwk(own.public_key())}]})
    content = json.loads(evidence_file())
    claims = json.loads(base64.urlsafe_b64decode(content["maa_token"].split(".")[1] + "=="))
    forged = evidence_file(jwks=document, maa_token=machine().token(claims, key=own))
    refused(forged, "T19")
    refused(forged, "E52", reference=unpinned())


# ---- the arithmetic ----


def clock(milliseconds: int) -> TpmClock:
    return TpmClock(clock=milliseconds, reset_count=1, restart_count=1, safe=True)


def test_a_later_quote_is_later() -> None:
    start = datetime.fromtimestamp(1000, UTC)
    assert shown_later(1000, clock(5), clock(2505)) == start + timedelta(seconds=2.5)
    assert shown_later(1000, clock(9), clock(5)) == start  # E35 refuses that
    assert shown_later(1000, clock(0), clock(1 << 63)) == start + timedelta(milliseconds=MOST_MILLISECONDS)


@pytest.mark.parametrize("name", ["evidence", "token_evidence"])
def test_f08_a_quote_that_cannot_be_read_proves_nothing(name: str) -> None:
    bundle = machine().evidence(quote=b"x").to_json()
    refused(evidence_file(**{name: bundle}), "E15")


def test_the_latest_of_several_proofs() -> None:
    times = [ProvenTime(at=LATER + timedelta(days=n), by=str(n)) for n in (1, 3, 2)]
    found, check = latest_proven(times, claimed=LATER)
    assert (found.by, check.finding) == ("3", "2050-01-04T00:00:00+00:00, by 3")
    with rejected("E52"), Record():
        latest_proven([], claimed=LATER)


# ---- lists that travel in the file ----


def test_the_list_in_the_file_revokes_offline() -> None:
    listed = read(evidence_file(amd_crl=crl()))
    assert "E33" not in {one.id for one in listed.unchecked}
    assert "E33" in {one.id for one in read(evidence_file()).unchecked}
    refused(evidence_file(amd_crl=b"x"), "E33")
    ask = machine().chip.ask.certificate.serial_number
    refused(evidence_file(amd_crl=crl(ask)), "E33")
