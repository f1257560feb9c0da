"""`cji evidence stamp`, `import` and `reference-values`, and what `verify` states about time. No network."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cbor2 import CBORTag
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from cji_attestation import AZURE_US
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.evidence import Evidence
from cji_attestation.evidence_file import EvidenceFile, decode_evidence, stamped
from cji_attestation.verbs.evidence_written import WrittenEvidence
from cji_core.command import build
from tests.support.corim_forge import AMD, INTEL, NOW, corim, intel_triple, oid_bytes, sign1, snp_triple
from tests.support.evidence_files import evidence_file
from tests.support.forge import QUALIFYING, decided, machine
from tests.support.import_forge import VALUES, collateral, issuers, quote, serialized, thim, versioned
from tests.support.json_answers import answered
from tests.support.reviews import decided_profile, decided_toml
from tests.support.tdx_forge import intel
from tests.support.tsa_forge import tsa

KEY = ec.generate_private_key(ec.SECP384R1())


def cji(*arguments: object) -> Result:
    trust = msgspec.structs.replace(intel().trust, amd_roots=machine().trust.amd_roots)
    return CliRunner().invoke(build(AZURE_US, trust), ["evidence", *map(str, arguments)], catch_exceptions=False)


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def profile(folder: Path, more: str = "", *, pinned: bool = True) -> Path:
    """A client.toml of an operator who decided about all risks, and trusts the tests' timestamp authority."""
    values = decided() if pinned else msgspec.structs.replace(decided(), maa_keys=None)
    text = decided_profile(folder).read_text().partition("[reference]\n")[0]
    lines = [line for line in decided_toml(values).splitlines() if pinned or not line.startswith("maa_keys")]
    path = folder / "client.toml"
    path.write_text(text + "[reference]\n" + "\n".join(lines) + f"\n{more}")
    return path


def roots(folder: Path) -> str:
    written(folder, "tsa.pem", tsa().roots[0].certificate)
    return 'timestamp_roots = [{ certificate = { file = "tsa.pem" }, source = "tests", seen = 2026-11-26 }]\n'


def with_timestamp(folder: Path, at: datetime, **changes: object) -> tuple[Path, EvidenceFile]:
    """The whole way of an operator: request, response of an authority, evidence with its timestamp."""
    path = written(folder, "evidence.json", evidence_file(**changes))
    request, response = folder / "evidence.tsq", folder / "evidence.tsr"
    asked = cji("stamp", path, "--request", request)
    assert asked.exit_code == 0, asked.output
    message = decode_evidence(path.read_bytes()).stamped
    expected = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA512).nonce(nonce=False)
    assert request.read_bytes() == expected.cert_request(cert_request=True).build().as_bytes()
    response.write_bytes(tsa().response(message, at=at))
    out = folder / "stamped.json"
    made = cji("stamp", path, "--response", response, "--out", out)
    assert made.exit_code == 0, made.output
    return out, decode_evidence(path.read_bytes())


def test_a_timestamp_is_put_into_the_file(tmp_path: Path) -> None:
    when = machine().now + timedelta(hours=1)
    out, before = with_timestamp(tmp_path, when)
    after = decode_evidence(out.read_bytes())
    assert after.timestamp
    assert msgspec.structs.replace(after, timestamp=b"") == before
    assert after.stamped == before.stamped
    found = cji("verify", out, "--profile", profile(tmp_path, roots(tmp_path), pinned=False))
    assert found.exit_code == 0, found.output
    assert f"at {when.isoformat(timespec='seconds')}" in found.output.splitlines()[0]
    assert "by its timestamp" in found.output
    assert "T19" in found.output.splitlines()[-1]
    refused = cji("verify", out, "--profile", profile(tmp_path, pinned=False))
    assert (refused.exit_code, "refused at E52" in refused.output) == (3, True)
    shown = cji("show", out).output
    assert "timestamp" in shown
    assert "signing key" in shown


def test_every_check_names_what_it_found(tmp_path: Path) -> None:
    path = written(tmp_path, "evidence.json", evidence_file())
    found = json.loads(cji("verify", path, "--profile", profile(tmp_path), "--json").output)
    ids = [one["id"] for one in found["checks"]]
    assert {"E52", "E01", "E16", *(f"T{n:02}" for n in range(1, 20))} <= set(ids)
    assert ids[0] == "E52"
    assert all(one["found"] and one["requires"] for one in found["checks"])
    assert {"T16", "T18"} <= set(found["not_checked"])
    result = cji("verify", path, "--profile", profile(tmp_path, pinned=False), "--json")
    (failure,) = json.loads(result.output)["failures"]
    assert (result.exit_code, failure["id"]) == (3, "E52")
    assert failure["found"].startswith("the file's own claim")
    assert "cji evidence stamp" in failure["remedy"]


def test_a_file_s_own_time_is_never_used(tmp_path: Path) -> None:
    claimed = datetime(2001, 1, 1, tzinfo=UTC)
    path = written(tmp_path, "evidence.json", evidence_file(attested_at=claimed))
    accepted = cji("verify", path, "--profile", profile(tmp_path))
    assert (accepted.exit_code, "2001" in accepted.output) == (0, False)
    stated = cji("verify", path, "--profile", profile(tmp_path), "--at", claimed.isoformat())
    assert (stated.exit_code, "refused at T06" in stated.output or "refused at E" in stated.output) == (3, True)


def test_a_stamped_bundle(tmp_path: Path) -> None:
    evidence = machine().evidence()
    path = written(tmp_path, "bundle.json", evidence.to_json())
    assert cji("stamp", path, "--request", tmp_path / "b.tsq").exit_code == 0
    response = written(tmp_path, "b.tsr", tsa().response(stamped(evidence.to_json()), at=machine().now))
    given = ("--cloud", "test", "--qualifying", QUALIFYING.hex(), "--profile", profile(tmp_path, roots(tmp_path)))
    found = cji("verify", path, *given, "--timestamp", response)
    assert (found.exit_code, "by its timestamp" in found.output) == (0, True), found.output
    now = cji("verify", path, *given)
    assert (now.exit_code, "by this machine's clock" in now.output) == (0, True)
    other = written(tmp_path, "o.tsr", tsa().response(b"something else", at=machine().now))
    refused = cji("verify", path, *given, "--timestamp", other)
    assert (refused.exit_code, "refused at E51" in refused.output) == (3, True)
    carried = cji("stamp", path, "--response", response, "--out", tmp_path / "no.json")
    assert (carried.exit_code, "--timestamp" in carried.output) == (2, True)
    wrapper = written(tmp_path, "evidence.json", evidence_file())
    assert cji("verify", wrapper, "--timestamp", response).exit_code == 2


def test_stamping_takes_one_step_at_a_time(tmp_path: Path) -> None:
    path = written(tmp_path, "evidence.json", evidence_file())
    response = written(tmp_path, "r.tsr", b"x")
    for options in ((), ("--request", "a", "--response", response), ("--response", response), ("--out", "a")):
        assert cji("stamp", path, *options).exit_code == 2
    assert cji("stamp", path, "--request", path).exit_code == 2  # nothing is overwritten
    assert cji("stamp", path, "--request", tmp_path / "none" / "a").exit_code == 2
    assert cji("stamp", response, "--request", tmp_path / "a").exit_code == 2


# ---- import ----


def parts(folder: Path) -> list[object]:
    files = {
        "hcl-report": machine().evidence().hcl_report + bytes(40),
        "quote": quote().message,
        "signature": quote().signature,
        "pcrs": serialized(VALUES),
        "thim": thim(),
    }
    return [item for name, data in files.items() for item in (f"--{name}", written(folder, name, data))]


@pytest.mark.parametrize("kind", ["raw", "trustee", "trustee with thim"])
def test_what_others_collected_is_appraised(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "bundle.json"
    given = parts(tmp_path)
    if kind != "raw":
        chain = written(tmp_path, "chain.pem", issuers())
        source = ("--amd-chain", chain) if kind == "trustee" else ("--thim", tmp_path / "thim")
        given = ["--trustee", written(tmp_path, "t.json", versioned()), *source]
    made = cji("import", *given, "--out", out)
    assert made.exit_code == 0, made.output
    told = answered(cji("import", *given, "--out", tmp_path / "again.json", "--json"), WrittenEvidence)
    assert (told.tee, told.qualifying) == ("snp", QUALIFYING.hex())
    assert f"SHA-384 {told.sha384}\n" in made.output
    assert made.output.splitlines()[1] == f"cji evidence verify {out} --qualifying {QUALIFYING.hex()}"
    options = ("--cloud", "test", "--profile", decided_profile(tmp_path))
    found = cji("verify", out, *options, "--qualifying", QUALIFYING.hex())
    assert found.exit_code == 0, found.output
    assert {"E20", "E21", "E44", "E46"} <= set(found.output.splitlines()[-1].split())
    shown = cji("show", out).output
    assert "PCR 23" in shown
    assert cji("verify", out, *options, "--qualifying", "ab").exit_code == 3
    assert cji("verify", out, *options, "--qualifying", "").exit_code == 2
    assert cji("verify", out, *options, "--qualifying", "ab" * 65).exit_code == 2
    assert cji("import", *given, "--out", out).exit_code == 2


def test_a_trust_domain_that_others_collected(tmp_path: Path) -> None:
    domain = intel().evidence(machine())
    files = {
        "hcl-report": domain.hcl_report,
        "quote": quote().message,
        "signature": quote().signature,
        "pcrs": serialized(VALUES),
        "td-quote": domain.td_quote,
        "collateral": collateral(),
    }
    given = [item for name, data in files.items() for item in (f"--{name}", written(tmp_path, name, data))]
    out = tmp_path / "bundle.json"
    assert cji("import", *given, "--out", out).exit_code == 0
    options: tuple[object, ...] = ("--cloud", "test", "--profile", decided_profile(tmp_path))
    options += ("--qualifying", QUALIFYING.hex())
    stranger = cji("verify", out, *options)
    assert (stranger.exit_code, "refused at E40" in stranger.output) == (3, True)
    options += ("--unknown-paravisor",)
    found = cji("verify", out, *options)
    assert (found.exit_code, found.output.startswith("accepted: tdx")) == (0, True), found.output
    bare = tmp_path / "bare.json"
    assert cji("import", *given[:-2], "--out", bare).exit_code == 0
    refused = cji("verify", bare, *options)
    assert (refused.exit_code, "refused at E13" in refused.output) == (3, True)


def test_parts_that_do_not_go_together(tmp_path: Path) -> None:
    given, out = parts(tmp_path), tmp_path / "bundle.json"
    trustee = ("--trustee", written(tmp_path, "t.json", versioned()))
    for options in ((), given[:4], given[2:], (*given, *trustee), (*given[:2], *trustee)):
        result = cji("import", *options, "--out", out)
        assert (result.exit_code, "incomplete" in result.output) == (2, True)
    missing = cji("import", *trustee, "--out", out)
    assert (missing.exit_code, "--amd-chain" in missing.output) == (2, True)
    without = cji("import", *given[:-2], "--out", out)
    assert (without.exit_code, "import" in without.output) == (1, True)
    assert not out.exists()


def test_imported_evidence_is_a_golden_machines_too(tmp_path: Path) -> None:
    out = tmp_path / "bundle.json"
    assert cji("import", *parts(tmp_path), "--out", out).exit_code == 0
    assert Evidence.from_json(out.read_bytes(), imported=True).version == 4
    found = cji("pcrs", out, "--cloud", "test", "--profile", decided_profile(tmp_path))
    table = msgspec.toml.decode(found.output)["attestation"]["reference_values"]["pcrs"]
    assert table == {str(pcr): [VALUES[pcr].hex()] for pcr in range(8)}


# ---- CoRIM ----


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_values_of_a_corim_are_reference_values(tmp_path: Path) -> None:
    signed = written(tmp_path, "a.corim", sign1(corim(), KEY))
    key = written(tmp_path, "key.pem", pem(KEY))
    found = cji("reference-values", signed, "--key", key, "--at", NOW.isoformat())
    assert found.exit_code == 0, found.output
    assert "signed by publisher" in found.output
    table = msgspec.toml.decode(found.output)["attestation"]["reference_values"]
    values = msgspec.convert(table, ReferenceValues, str_keys=True)
    assert values.id_keys[0].source == "CoRIM corim-1, signed by publisher"
    assert values.measurements
    assert set(values.floors) == {"Genoa"}
    check_reference(msgspec.structs.replace(values, products=("Genoa",)))
    domain = corim(intel_triple({-70: "Intel"}), profile=oid_bytes(INTEL), changes={0: 'a"\x1b[2J\n'})
    unsigned = cji("reference-values", written(tmp_path, "b.corim", domain), "--at", NOW.isoformat())
    assert unsigned.exit_code == 0, unsigned.output
    assert "NOT SIGNED" in unsigned.output
    assert "tee.vendor" in unsigned.output
    assert "\x1b" not in unsigned.output
    table = msgspec.toml.decode(unsigned.output)["attestation"]["reference_values"]
    values = msgspec.convert(table, ReferenceValues, str_keys=True)
    check_reference(values)
    assert (values.tcb_evaluation, values.tcb_statuses) == (17, ("SWHardeningNeeded", "UpToDate"))
    assert values.mrtds[0].source == 'CoRIM a"\x1b[2J\n, not signed'


def test_a_corim_that_is_refused(tmp_path: Path) -> None:
    at = ("--at", NOW.isoformat())
    key = written(tmp_path, "key.pem", pem(KEY))
    other = written(tmp_path, "other.pem", pem(ec.generate_private_key(ec.SECP256R1())))
    signed = written(tmp_path, "a.corim", sign1(corim(), KEY))
    plain = written(tmp_path, "b.corim", corim(changes={3: CBORTag(32, f"{AMD}\x1b")}))
    for options, said in (
        ((signed, "--key", other), "corim-signature"),
        ((signed,), "no key to verify it with"),
        ((plain, "--key", key), "no signature"),
        ((plain,), "profile http://amd.com"),
        ((written(tmp_path, "c.corim", b"x"),), "refused at corim"),
        ((written(tmp_path, "d.corim", corim(snp_triple(), intel_triple())),), "class id"),
    ):
        result = cji("reference-values", *options, *at)
        assert (result.exit_code, said in result.output, "\x1b" in result.output) == (3, True, False), result.output
    expired = cji("reference-values", signed, "--key", key, "--at", (NOW + timedelta(days=9)).isoformat())
    assert (expired.exit_code, "in force from" in expired.output) == (3, True)
    for text in (b"", pem(rsa.generate_private_key(65537, 2048))):
        assert cji("reference-values", signed, "--key", written(tmp_path, "no.pem", text)).exit_code == 2
