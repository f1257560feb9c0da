"""A refusal names what was found: the part that expired, the cloud it looks like, the number of digits."""

import base64
import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US, Fault
from cji_attestation.evidence import read_logs
from cji_attestation.evidence.event_log import start_record
from cji_attestation.evidence.foreign import looks_like
from cji_attestation.evidence_file import decode_evidence
from cji_core.command import build
from cji_core.errors import SpecError
from cji_core.strict import b64url
from tests.support.evidence_files import evidence_file
from tests.support.forge import machine
from tests.support.import_forge import VALUES, collateral, quote, serialized, thim
from tests.support.refusals import rejected
from tests.support.tdx_forge import Intel, intel

NITRO = bytes.fromhex("8444a1013822a0") + b"\x59\x01\x00\xa9imodule_id\x66i-0abcddigest\x66SHA384dpcrs\xb0"
NITRO_TPM = NITRO.replace(b"dpcrs", b"mnitrotpm_pcrs")
GCP_TABLE = bytes.fromhex("cd16419f03c55a4f8f6ffb68882f4ce2")


def found_at(check: str, maker: Intel, **changes: object) -> str:
    evidence = intel().evidence(machine(), collateral=maker.collateral(**changes))  # type: ignore[arg-type]
    with rejected(check) as caught:
        machine().appraise(evidence, trust=intel().trust)
    return caught.value.failures[0].found


# ---------------------------------------------------------------- E28


def test_intel_check_names_what_expired_or_is_not_yet_issued() -> None:
    maker, sound = intel(), intel().evidence(machine())
    assert found_at("E28", maker, until=maker.now - timedelta(hours=1)).startswith("PCK CRL expired: in force until")
    old = maker.collateral(until=maker.now - timedelta(hours=1))
    mixed = {name: getattr(old, name) for name in ("tcb_info", "tcb_info_signature")}
    assert found_at("E28", maker, replaced=mixed).startswith("TCB info expired: in force until")
    with rejected("E28") as caught:
        machine().appraise(sound, trust=maker.trust, now=maker.now - timedelta(days=2))
    assert caught.value.failures[0].found.startswith("TCB info not yet issued: in force from ")
    with rejected("E28") as caught:
        machine().appraise(sound, trust=maker.trust, now=maker.now + timedelta(days=400))
    assert caught.value.failures[0].found.startswith("certificate Intel SGX PCK Certificate expired")
    assert caught.value.failures[0].expected == f"in force at {maker.now + timedelta(days=400)}"


@pytest.mark.parametrize(("name", "member"), [("PCK CRL", "pck_crl"), ("root CRL", "root_ca_crl")])
def test_intel_check_names_a_list_that_is_not_in_force(name: str, member: str) -> None:
    maker = intel()
    issuer, key = (maker.ca, maker.ca_key) if member == "pck_crl" else (maker.root, maker.root_key)
    old = maker.certifier.crl(issuer.subject, key, until=maker.now - timedelta(hours=1))
    assert found_at("E28", maker, replaced={member: old}).startswith(f"{name} expired: in force until")
    young = maker.certifier.crl(issuer.subject, key, until=maker.now + timedelta(days=1))
    changed = msgspec.structs.replace(maker.collateral(), **{member: young})
    evidence = intel().evidence(machine(), collateral=changed)
    with rejected("E28") as caught:
        machine().appraise(evidence, trust=maker.trust, now=maker.now - timedelta(days=3))
    assert "not yet issued" in caught.value.failures[0].found


def test_intel_check_names_another_fmspc_and_what_is_revoked() -> None:
    maker = intel()
    assert found_at("E28", maker, fmspc=b"\x01" * 6) == "TCB info of FMSPC 010101010101"
    revoked = found_at("E28", maker, ca_revokes=(maker.pck,))
    assert revoked.startswith("revoked on ")
    assert f"by the PCK CRL: Intel SGX PCK Certificate, serial {maker.pck.serial_number:x}" in revoked
    above = found_at("E28", maker, root_revokes=(maker.ca,))
    assert "by the root CRL: Intel SGX PCK Platform CA, serial" in above
    signer = found_at("E28", maker, root_revokes=(maker.tcb_signer,))
    assert "by the root CRL: Intel SGX TCB Signing, serial" in signer


def test_intel_check_names_a_level_that_intel_does_not_list() -> None:
    maker = intel().with_processor((4,) * 15 + (3,))
    report = intel().evidence(machine()).hcl_report[32 : 32 + 1024]
    evidence = intel().evidence(machine(), td_quote=maker.quote(report))
    with rejected("E28") as caught:
        machine().appraise(evidence, trust=intel().trust)
    assert caught.value.failures[0].found == "a TCB below every level that Intel lists for this FMSPC"
    assert found_at("E28", intel(), status="Revoked") == "TCB status Revoked"


# ---------------------------------------------------------------- E01, E40


def jwt(issuer: str) -> bytes:
    header, payload = (b64url(json.dumps(one).encode()) for one in ({"alg": "RS256"}, {"iss": issuer}))
    return f"{header}.{payload}.AAAA".encode()


FOREIGN = {
    "an attestation document of AWS Nitro Enclaves": NITRO,
    "an attestation document of AWS NitroTPM": b"\xd2" + NITRO_TPM,
    "an attestation document of AWS Nitro Enclaves in base64": base64.b64encode(NITRO),
    "a token of Google Cloud's attestation service": jwt("https://confidentialcomputing.googleapis.com"),
    "a token of Intel Trust Authority": jwt("https://portal.trustauthority.intel.com"),
    "a token of another service": jwt("https://example.com"),
    "a token of Azure Attestation, which is not the evidence itself": jwt("https://sharedeus.eus.attest.azure.net"),
    "an attestation of a vTPM of Google Cloud": b"\x0a\x8c\x02" + b"O=Google Cloud, CN=GCE vTPM" + bytes(40),
    "a quote of an SGX enclave": b"\x03\0\x02\0" + bytes(600),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_origin_check_names_the_cloud_that_evidence_looks_like(name: str) -> None:
    assert looks_like(FOREIGN[name]) == name
    evidence = msgspec.structs.replace(machine().evidence(), hcl_report=FOREIGN[name])
    with rejected("E01", fault=Fault.EVIDENCE_INVALID) as caught:
        machine().appraise(evidence)
    assert caught.value.failures[0].found == name


@pytest.mark.parametrize("issuer", [b"CN=GCE Virtual Firmware", b"GCE NonHostInfo\0"])
def test_origin_check_knows_the_logs_of_google(issuer: bytes) -> None:
    assert looks_like(bytes(9) + issuer + bytes(40)) == "an attestation of a vTPM of Google Cloud"


@pytest.mark.parametrize(
    "data",
    [
        NITRO.replace(b"module_id", b"modulo_id"),
        b"\x83" + NITRO[1:],
        b"a." + jwt("https://example.com").partition(b".")[2],
        jwt("https://example.com") + b".AAAA",
        b"\x03\0\x02\0\x81" + bytes(600),
        b"\x03\0\x03\0" + bytes(600),
    ],
)
def test_origin_check_has_no_name_for_what_is_only_similar(data: bytes) -> None:
    assert looks_like(data) == ""


def test_origin_check_names_reports_of_other_machines() -> None:
    bare = machine().evidence().hcl_report[32 : 32 + 1184]
    assert looks_like(bare + GCP_TABLE + bytes(99)) == (
        "an extended SNP report of Google Cloud, with its host's certificates"
    )
    assert looks_like(bare + bytes(99)) == "an extended SNP report, with its host's certificates"
    vlek = bare[:0x48] + (1 << 2).to_bytes(4, "little") + bare[0x4C:]
    assert looks_like(vlek) == "an SNP report signed by a VLEK, as on AWS"
    with rejected("E40", fault=Fault.POLICY_MISMATCH) as caught:
        machine().appraise(msgspec.structs.replace(machine().evidence(), hcl_report=vlek))
    assert caught.value.failures[0].found == (
        "not Azure: an SNP report signed by a VLEK, as on AWS without an HCL report"
    )
    launch = bytearray(machine().evidence().hcl_report)
    launch[1224] = 3
    assert looks_like(bytes(launch)) == "an HCL report of kind Trusted Launch, which is not confidential"
    for nothing in (b"", b"neither", b"\x84" * 40, b"eyJ", b"eyJ..", b"HCLA", bytes(4096), b"A" * 41):
        assert looks_like(nothing) in ("", "a token")


# ---------------------------------------------------------------- the command


def cji(*arguments: object) -> Result:
    trust = msgspec.structs.replace(intel().trust, amd_roots=machine().trust.amd_roots)
    return CliRunner().invoke(build(AZURE_US, trust), list(map(str, arguments)), catch_exceptions=False)


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    for name in ("an attestation document of AWS Nitro Enclaves", "a token of Google Cloud's attestation service"):
        for verb in ("verify", "show"):
            result = cji("evidence", verb, written(tmp_path, "foreign", FOREIGN[name]))
            assert (result.exit_code, f"it looks like {name}" in result.output) == (2, True), result.output


def imported(folder: Path, **files: bytes) -> Result:
    given = {
        "hcl-report": machine().evidence().hcl_report,
        "quote": quote().message,
        "signature": quote().signature,
        "pcrs": serialized(VALUES),
        "thim": thim(),
    }
    named = given | {name.replace("_", "-"): data for name, data in files.items()}
    options = [item for name, data in named.items() if data for item in (f"--{name}", written(folder, name, data))]
    return cji("evidence", "import", *options, "--out", folder / f"bundle-{len(list(folder.iterdir()))}.json")


def test_import_says_what_was_found(tmp_path: Path) -> None:
    assert imported(tmp_path).exit_code == 0
    foreign = imported(tmp_path, hcl_report=NITRO)
    assert (foreign.exit_code, "AWS Nitro Enclaves where Azure's HCL report belongs" in foreign.output) == (1, True)
    short = imported(tmp_path, pcrs=serialized(VALUES)[:-1])
    assert (short.exit_code, "PCR values of" in short.output) == (1, True), short.output


def domain(folder: Path, **changes: object) -> Result:
    """The import of a trust domain, with collateral as Intel would have published it."""
    evidence = intel().evidence(machine())
    published = collateral(intel().collateral(**changes))  # type: ignore[arg-type]
    return imported(folder, hcl_report=evidence.hcl_report, td_quote=evidence.td_quote, thim=b"", collateral=published)


def test_import_says_what_is_not_in_force(tmp_path: Path) -> None:
    maker = intel()
    sound = domain(tmp_path)
    assert (sound.exit_code, "note" in sound.output) == (0, False), sound.output
    old = domain(tmp_path, until=maker.now - timedelta(hours=1))
    assert (old.exit_code, "note: TCB info expired: in force until" in old.output) == (0, True), old.output
    assert "note: PCK CRL expired" in old.output
    revoked = domain(tmp_path, ca_revokes=(maker.pck,))
    assert "note: revoked by the PCK CRL: Intel SGX PCK Certificate" in revoked.output
    other = domain(tmp_path, fmspc=b"\x01" * 6)
    assert (other.exit_code, "collateral of FMSPC 010101010101 with a quote of FMSPC 90C06F000000" in other.output) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", "0 characters"),
        ("ab" * 31, "62 hexadecimal digits; it takes 64 hexadecimal digits"),
        ("ab" * 32 + " ", "65 characters, not all of them hexadecimal digits"),
        (" ".join(["ab"] * 32), "95 characters, not all of them hexadecimal digits"),
        ("zz" * 32, "64 characters, not all of them hexadecimal digits"),
    ],
)
def test_qualifying_says_how_many_digits_it_takes(tmp_path: Path, given: str, found: str) -> None:
    path = written(tmp_path, "bundle.json", machine().evidence().to_json())
    result = cji("evidence", "verify", path, "--cloud", "test", "--qualifying", given)
    assert (result.exit_code, found in result.output) == (2, True), result.output
    assert "64 hexadecimal digits" in cji("evidence", "verify", path, "--cloud", "test").output


# ---------------------------------------------------------------- one reading of evidence.json


def spellings() -> dict[str, bytes]:
    text = evidence_file()
    return {
        "a repeated member": text.replace(b'"version":6', b'"version":6,"version":6', 1),
        "a repeated member with another value": b'{"cloud":"azure-us",' + text[1:],
        "a member that it does not have": text[:-1] + b',"more":1}',
        "bytes behind it": text + b"{}",
        "base64 with bits behind it": text.replace(b'"nonce":"bm5u', b'"nonce":"bm5v', 1).replace(
            b'bm4="', b'bm5="', 1
        ),
        "another spelling of a number": text.replace(b'"version":6', b'"version":6.0', 1),
        "another spelling of a time": text.replace(b"Z", b"+00:00", 1) if b'Z","nonce"' in text else b"{}",
    }


@pytest.mark.parametrize("name", spellings())
def test_every_verb_refuses_evidence_with_two_readings(tmp_path: Path, name: str) -> None:
    assert decode_evidence(evidence_file())
    text = spellings()[name]
    assert text != evidence_file()
    with pytest.raises(SpecError):
        decode_evidence(text)
    path, receipt = written(tmp_path, "evidence.json", text), written(tmp_path, "receipt.jws", b"x")
    for verb in (
        ("evidence", "verify", path),
        ("evidence", "show", path),
        ("evidence", "pcrs", path),
        ("evidence", "stamp", path, "--request", tmp_path / "request"),
        ("receipt", "verify", receipt, "--evidence", path),
        ("audit", "verify", receipt, "--evidence", path),
        ("advisories", "show", "--evidence", path),
    ):
        result = cji(*verb)
        assert result.exit_code == 2, (verb, result.output)


def test_spaces_between_members_do_not_matter() -> None:
    found = decode_evidence(evidence_file())
    assert decode_evidence(found.encode()) == found


@pytest.mark.parametrize("record", [start_record(b"k" * 32)])
def test_digests_of_a_log_are_in_lower_case(record: bytes) -> None:
    assert len(read_logs(b"", record)) == 1
    digest = json.loads(record[1:])["digests"][0]["digest"]
    with rejected("event-log") as caught:
        read_logs(b"", record.replace(digest.encode(), digest.upper().encode()))
    assert "lower case" in caught.value.failures[0].found
