"""Ten years without a person: what evidence.json carries when it is written, and what an auditor makes of it alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.archive import completed
from cji_attestation.attested import AttestedWorker, read_as_made, read_evidence
from cji_attestation.evidence_file import decode_evidence
from cji_client.profile import ClientProfile
from cji_core.command import build
from cji_core.errors import Unverified
from tests.support.answers import Answers, serving
from tests.support.evidence_files import _KEY, evidence_file
from tests.support.forge import crl, decided, machine
from tests.support.trails import Writer
from tests.support.tsa_forge import tsa

TSA, LIST, CHAIN = "/tsr", "/vcek/v1/Genoa/crl", "/vcek/v1/Genoa/cert_chain"
NOTHING = ReferenceValues()


def values(**changes: Any) -> ReferenceValues:
    return decided(timestamp_roots=tsa().roots, **changes)


@pytest.fixture
def served() -> Iterator[Answers]:
    issuers = machine().certs.split(b"-----END CERTIFICATE-----\n", 1)[1]
    with serving(Answers({LIST: ({}, crl()), CHAIN: ({}, issuers)})) as state:
        yield state


def trust_of(served: Answers) -> Trust:
    return msgspec.structs.replace(machine().trust, amd_kds=served.base)


def live(**changes: Any) -> AttestedWorker:
    """A worker as it was just attested: its file has neither list nor timestamp."""
    return read_evidence(evidence_file(**changes), trust=machine().trust, reference=decided())


def with_stamp(served: Answers, message: bytes, **how: Any) -> None:
    served.answers[TSA] = ({}, tsa().response(message, **how))


def test_a_list_and_a_timestamp_are_put_into_the_file(served: Answers) -> None:
    plain = live()
    listed, notes = completed(plain, trust=trust_of(served), reference=values(), authority=None)
    assert (notes, bool(listed.shown.amd_crl), listed.shown.timestamp) == ((), True, b"")
    with_stamp(served, listed.shown.stamped)
    full, notes = completed(plain, trust=trust_of(served), reference=values(), authority=served.base + TSA)
    assert notes == ()
    assert decode_evidence(full.to_file()).timestamp
    again = read_evidence(
        full.to_file(), trust=machine().trust, reference=msgspec.structs.replace(values(), maa_keys=None)
    )
    assert again.time.by == "its timestamp"
    assert dict(again.verdict.checks)["E33"].startswith("not revoked, by a CRL of ")
    assert [method for method, path, _ in served.asked if path == TSA] == ["POST"]
    assert completed(full, trust=trust_of(served), reference=values(), authority=None, amd_crl=False)[0] == full


def test_a_list_newer_than_the_evidence_is_not_kept(served: Answers) -> None:
    """The file proves the token's time alone: E33 would refuse a list that was not in force then."""
    served.answers[LIST] = ({}, crl(updated=timedelta(hours=1)))
    kept, notes = completed(live(), trust=trust_of(served), reference=values(), authority=None)
    assert (kept.shown.amd_crl, len(notes)) == (b"", 1)
    assert "in force from" in notes[0]


def test_a_service_that_does_not_answer_loses_no_job(served: Answers) -> None:
    served.status = 503
    plain = live()
    kept, notes = completed(plain, trust=trust_of(served), reference=values(), authority=served.base + TSA)
    assert kept.shown == plain.shown
    assert notes == (
        "evidence.json has no revocation list of AMD's (EVIDENCE_UNAVAILABLE at amd-kds)",
        "evidence.json has no timestamp (EVIDENCE_UNAVAILABLE at timestamp-authority): "
        "get one with `cji evidence stamp`",
    )


def test_a_timestamp_that_proves_nothing_is_not_kept(served: Answers) -> None:
    plain = live()
    given: dict[str, Any] = {"trust": trust_of(served), "authority": served.base + TSA, "amd_crl": False}
    with_stamp(served, b"something else")
    kept, notes = completed(plain, reference=values(), **given)
    assert (kept.shown.timestamp, len(notes)) == (b"", 1)
    with_stamp(served, plain.shown.stamped)
    kept, notes = completed(plain, reference=decided(), **given)
    assert (kept.shown.timestamp, "reference-timestamp_roots" in notes[0]) == (b"", True)


def test_a_list_of_another_authority_is_not_kept(served: Answers) -> None:
    served.answers[LIST] = ({}, crl(until=timedelta(hours=-1)))
    kept, notes = completed(live(), trust=trust_of(served), reference=values(), authority=None)
    assert (kept.shown.amd_crl, len(notes)) == (b"", 1)
    served.answers[LIST] = ({}, crl()[:-1] + b"\0")
    kept, notes = completed(live(), trust=trust_of(served), reference=values(), authority=None)
    assert (kept.shown.amd_crl, len(notes)) == (b"", 1)


def test_a_profile_with_an_authority_names_its_root() -> None:
    given = {
        "target": "t", "cloud": "c", "maa_url": "u", "ca": "a", "certificate": "b", "private_key": "k",
        "evidence": {"timestamp": "http://tsa.example/tsr"},
    }  # fmt: skip
    with pytest.raises(msgspec.ValidationError, match="timestamp_roots"):
        msgspec.convert(given | {"reference": {}}, ClientProfile)
    roots = msgspec.to_builtins(values(), builtin_types=(bytes,))
    assert msgspec.convert(given | {"reference": roots}, ClientProfile).evidence.amd_crl


# ---------------------------------------------------------------- an auditor, without a profile


def by_maker(**changes: Any) -> AttestedWorker:
    return read_as_made(evidence_file(**changes), trust=machine().trust)


def test_the_makers_word_is_taken_and_said() -> None:
    assert by_maker().time.by == "Azure Attestation's token and the TPM's clock"
    unpinned = msgspec.json.encode(msgspec.structs.replace(decided(), maa_keys=None))
    found = by_maker(reference=unpinned)
    assert found.time.by == "its maker's word"
    assert found.time.at == machine().now
    assert "T19" in {check.id for check in found.unchecked}


def test_the_vendors_roots_are_never_the_makers() -> None:
    """And every other check runs: the word is about reference values and the time alone."""
    with pytest.raises(Unverified, match="E04"):
        read_as_made(evidence_file(cloud="azure-us"), trust=msgspec.structs.replace(machine().trust, name="azure-us",
                     amd_roots=()))  # fmt: skip
    with pytest.raises(Unverified, match="E16"):
        by_maker(nonce=b"x" * 32)
    with pytest.raises(Unverified, match="E32"):
        by_maker(reference=msgspec.json.encode(decided(acceptances=())))
    for wrong in (b"", b"{", b"[]", b'{"products":["Rome"]}', b'{"more":1}'):
        with pytest.raises(Unverified, match="reference"):
            by_maker(reference=wrong)
    with pytest.raises(Unverified, match="E51"):
        by_maker(reference=msgspec.json.encode(values(maa_keys=None)), timestamp=b"not one")
    with pytest.raises(Unverified, match="E"):
        by_maker(
            reference=msgspec.json.encode(msgspec.structs.replace(decided(), maa_keys=None)),
            attested_at=datetime(2001, 1, 1, tzinfo=UTC),
        )


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(machine().trust), list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.parametrize("pinned", [True, False])
def test_the_first_command_of_an_auditor_works_as_printed(tmp_path: Path, *, pinned: bool) -> None:
    """With the file of a job whose submitter pinned no keys of the provider, this was E52."""
    writer = Writer(key=_KEY)
    writer.start(new_key=False)
    writer.job(1)
    writer.checkpoint()
    trail, evidence = writer.write(tmp_path / "audit.log"), tmp_path / "evidence.json"
    made = decided() if pinned else msgspec.structs.replace(decided(), maa_keys=None)
    evidence.write_bytes(evidence_file(reference=msgspec.json.encode(made)))
    shown = cji("audit", "verify", trail, "--evidence", evidence)
    assert (shown.exit_code, "2 with a verified signature" in shown.output) == (0, True), shown.output
    assert "evidence.json: appraised by the reference values in it, at " in shown.output
    assert "give --profile to hold it to your own" in shown.output
    assert ("by its maker's word" in shown.output) is not pinned
    own = tmp_path / "client.toml"
    own.write_text("[reference]\n")
    held = cji("audit", "verify", trail, "--evidence", evidence, "--profile", own)
    assert held.exit_code == 3
    evidence.write_bytes(evidence_file(receipt_jwk="{}"))
    assert cji("audit", "verify", trail, "--evidence", evidence).exit_code == 3
    assert NOTHING
