"""Imported evidence: what another collector took is appraised as strictly, and never taken for a worker's."""

import json
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cji_attestation import Fault
from cji_attestation.appraisal import Verdict
from cji_attestation.attested import read_evidence
from cji_attestation.checks import Skipped
from cji_attestation.evidence import Evidence, TdCollateral, parse_rsa_public
from cji_attestation.evidence.imds import read_thim
from cji_attestation.evidence.imported import Quote, bundle_of, chain_of, read_collateral, read_quote, read_trustee
from cji_attestation.evidence.tpm_structures import PCR_SELECTION, pcr_digest, selected_pcrs
from cji_attestation.maa.claims import check_ephemeral
from cji_client.errors import Unverified
from cji_core.strict import b64url
from tests.support.evidence_files import evidence_file
from tests.support.forge import QUALIFYING, attest_structure, decided, machine, quote_structure, sign, sized
from tests.support.import_forge import (
    ALL,
    VALUES,
    collateral,
    issuers,
    oldest,
    pem_of_vcek,
    quote,
    serialized,
    thim,
    versioned,
)
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel


def imported(found: Quote | None = None) -> Evidence:
    return bundle_of(machine().evidence().hcl_report + bytes(40), found or quote(), certs=machine().certs)


def appraised(evidence: Evidence) -> Verdict:
    return machine().appraise(Evidence.from_json(evidence.to_json(), imported=True), start=None)


def test_imported_evidence_is_appraised() -> None:
    verdict = appraised(imported())
    skipped = {check.id for check in verdict.skipped}
    assert skipped >= {"E20", "E21", "E44", "E46"}
    assert (verdict.ephemeral, verdict.pcrs) == (None, VALUES[:8])
    findings = {check.id: check.finding for check in verdict.checks}
    assert findings["E17"] == f"PCRs sha256:{','.join(map(str, range(24)))}"
    assert findings["E22"] == "AK is restricted"


def test_the_area_of_the_ak_is_rebuilt() -> None:
    assert imported().ak_public == machine().ak_public
    assert parse_rsa_public(imported().ak_public).signing


def test_a16_another_ak_than_the_report_s_is_refused() -> None:
    other = attest_structure(ALL + sized(pcr_digest(VALUES)), kind=0x8018, extra=QUALIFYING, ak_public=sized(b"x"))
    with rejected("E22"):
        appraised(imported(Quote(message=other, signature=sign(machine().ak, other), pcrs=VALUES)))
    signed = sign(machine().ek, quote().message)
    with rejected("E14"):
        appraised(imported(Quote(message=quote().message, signature=signed, pcrs=VALUES)))


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        ("00000001 000b 03 fe0000", 7),  # not PCR 0
        ("00000001 000b 03 7f0000", 7),  # not PCR 7
        ("00000001 000b 03 00ffff", 16),
        ("00000001 0004 03 ffffff", 24),  # SHA-1
        ("00000001 000b 04 ffffff00", 24),
        ("00000002 000b 03 ff0000 0004 03 ff0000", 8),
        ("00000000", 0),
    ],
)
def test_a16_a_quote_of_other_pcrs_is_refused(selection: str, count: int) -> None:
    with rejected("E17"):
        appraised(imported(quote(bytes.fromhex(selection), VALUES[:count])))


def test_a16_only_imported_evidence_may_quote_more() -> None:
    more = quote_structure(machine().pcrs, extra=QUALIFYING, selection=ALL)
    with rejected("E17"):
        machine().appraise(machine().evidence(quote=more))
    ours = quote(PCR_SELECTION, machine().pcrs)
    assert "PCRs sha256:0-7" in {check.finding for check in appraised(imported(ours)).checks}


@pytest.mark.parametrize("values", [VALUES[:23], VALUES[:8], (*VALUES[:23], b"x"), (*VALUES, b"y" * 32), ()])
def test_a16_values_that_were_not_quoted_are_refused(values: tuple[bytes, ...]) -> None:
    with rejected("E18"):
        appraised(imported(quote(pcrs=values)))
    with rejected("E18"):
        appraised(imported(quote(values=(bytes(32), *VALUES[1:]))))


def test_a_pcr_that_may_be_zero_is_behind_those_of_the_boot() -> None:
    assert appraised(imported(quote(values=(*VALUES[:23], bytes(32)))))


def test_x16_no_worker_shows_imported_evidence() -> None:
    text = imported().to_json()
    with rejected("evidence-json"):
        Evidence.from_json(text)
    for name in ("evidence", "token_evidence"):
        with pytest.raises(Unverified, match="evidence-json"):
            read_evidence(evidence_file(**{name: text}), trust=machine().trust, reference=decided(), at=machine().now)
    runtime = machine().token_claims(machine().evidence())["x-ms-runtime"]
    assert check_ephemeral(runtime, machine().ephemeral.public_key())
    with rejected("T13"):
        check_ephemeral(runtime, None)


def test_imported_evidence_has_no_ephemeral_key() -> None:
    for name in ("ephemeral", "certify", "certify_signature"):
        with pytest.raises(ValueError, match="ephemeral"):
            msgspec.structs.replace(imported(), **{name: b"x"})
    assert not isinstance(appraised(imported()).checks[0], Skipped)


def test_parts_of_other_kinds_are_not_joined() -> None:
    hcl = machine().evidence().hcl_report
    domain = intel().evidence(machine())
    for report, parts in (
        (hcl, {}),
        (hcl, {"certs": b"c", "td_quote": b"q"}),
        (hcl, {"certs": b"c", "collateral": domain.collateral}),
        (domain.hcl_report, {}),
        (domain.hcl_report, {"certs": b"c"}),
        (domain.hcl_report, {"certs": b"c", "td_quote": b"q"}),
    ):
        with rejected("import", fault=Fault.EVIDENCE_INVALID):
            bundle_of(report, quote(), **parts)
    found = bundle_of(domain.hcl_report, quote(), td_quote=domain.td_quote, collateral=domain.collateral)  # type: ignore[arg-type]
    assert found.collateral == domain.collateral
    with rejected("hcl"):
        bundle_of(b"x", quote())


# ---- files of tpm2-tools ----


def test_files_of_a_quote() -> None:
    made = quote()
    for pcrs in (b"".join(VALUES), serialized(VALUES), serialized(VALUES, per_list=5)):
        assert read_quote(made.message, made.signature, pcrs) == made
    assert read_quote(made.message, bytes.fromhex("0014000b0100") + made.signature, serialized(VALUES)) == made


def wrong_size() -> bytes:
    data = bytearray(serialized(VALUES))
    data[136 + 4] = 31
    return bytes(data)


@pytest.mark.parametrize(
    "pcrs",
    [
        b"",
        b"".join(VALUES)[:-1],
        b"".join(VALUES[:8]),
        serialized(VALUES)[:-1],
        serialized(VALUES) + b"\0",
        bytes(132),
        bytes(135),
        bytes(132) + b"\xff\xff\xff\xff",
        bytes(132) + struct.pack("<II", 1, 9) + bytes(528),
        wrong_size(),
    ],
)
def test_pcr_files_that_are_refused(pcrs: bytes) -> None:
    with rejected("import") as caught:
        read_quote(quote().message, quote().signature, pcrs)
    assert caught.value.failures[0].found == f"PCR values of {len(pcrs)} bytes"


@pytest.mark.parametrize("values", [VALUES[:8], (*VALUES, VALUES[0])])
def test_pcrs_of_another_quote_are_refused(values: tuple[bytes, ...]) -> None:
    with rejected("import") as caught:
        read_quote(quote().message, quote().signature, serialized(values))
    assert caught.value.failures[0].found == f"{len(values)} PCR values for a quote of {len(VALUES)}"


def test_other_files_that_are_refused() -> None:
    pcrs = b"".join(VALUES)
    for signature in (b"", bytes(255), bytes(257), bytes.fromhex("0014000b0101") + bytes(256), bytes(262)):
        with rejected("import"):
            read_quote(quote().message, signature, pcrs)
    with rejected("tpm-structure"):
        read_quote(b"x", quote().signature, pcrs)


def test_selections() -> None:
    assert selected_pcrs(PCR_SELECTION) == tuple(range(8))
    assert selected_pcrs(bytes.fromhex("00000001 000b 03 010080")) == (0, 23)
    for text in ("", "00000001 000b 03 ff00", "00000001 000b 03 ff000000", "00000001 0004 03 ff0000"):
        assert selected_pcrs(bytes.fromhex(text)) == ()


# ---- trustee ----


@pytest.mark.parametrize("make", [versioned, lambda: versioned(version=2), oldest], ids=["v1", "v2", "v0"])
def test_evidence_of_trustee_for_snp(make: Callable[[], bytes]) -> None:
    found = read_trustee(make())
    assert (found.quote, found.td_quote) == (quote(), b"") or found.quote.pcrs == VALUES
    bundle = bundle_of(found.hcl_report, found.quote, certs=chain_of(found.vcek, issuers()))
    assert appraised(bundle).tee == "snp"


def test_evidence_of_trustee_for_tdx() -> None:
    domain = intel().evidence(machine())
    members = json.loads(oldest())["quote"]
    old = {"tpm_quote": members, "hcl_report": list(domain.hcl_report), "td_quote": list(domain.td_quote)}
    new = versioned(hcl_report=b64url(domain.hcl_report), td_quote=b64url(domain.td_quote), vcek=None)
    for data in (json.dumps(old).encode(), new):
        found = read_trustee(data)
        assert (found.hcl_report, found.td_quote, found.vcek) == (domain.hcl_report, domain.td_quote, b"")


def changed_quote(old: bool = False, **changes: Any) -> bytes:
    data = json.loads(oldest() if old else versioned())
    data["quote" if old else "tpm_quote"] |= changes
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        versioned(version=0),
        versioned(version=3),
        versioned(version=True),
        versioned(version="1"),
        versioned(extra=1),
        versioned(vcek=None),
        versioned(td_quote="AA"),
        versioned(hcl_report=None),
        versioned(hcl_report="#"),
        versioned(hcl_report=[1]),
        versioned(vcek="AA"),
        versioned(tpm_quote=None),
        versioned(tpm_quote=[]),
        versioned(tpm_quote=["signature", "message", "pcrs"]),
        versioned(td_quote=b64url(bytes(17 * 1024)), vcek=None),
        changed_quote(extra=1),
        changed_quote(pcrs=7),
        changed_quote(pcrs=["00" * 32] * 25),
        changed_quote(pcrs=["00" * 33]),
        changed_quote(pcrs=["0"]),
        changed_quote(message="zz"),
        changed_quote(message=" 00"),
        changed_quote(message=[0]),
        changed_quote(signature="00"),
        oldest(extra=1),
        oldest(vcek=7),
        oldest(vcek=""),
        oldest(report=[256]),
        oldest(report=[-1]),
        oldest(report=[True]),
        oldest(report=["0"]),
        oldest(report="00"),
        oldest(report=7),
        changed_quote(old=True, pcrs=[[0] * 33]),
        changed_quote(old=True, message="00"),
    ],
)
def test_evidence_of_trustee_that_is_refused(data: bytes) -> None:
    with rejected("import", fault=Fault.EVIDENCE_INVALID):
        read_trustee(data)


# ---- Intel's collateral, AMD's certificates ----


def test_collateral_in_a_file() -> None:
    domain = intel().evidence(machine()).collateral
    assert isinstance(domain, TdCollateral)
    assert read_collateral(collateral(domain)) == msgspec.structs.replace(domain, early=msgspec.UNSET)
    for name in json.loads(collateral()):
        for value in (None, 7):
            with rejected("import"):
                read_collateral(collateral(**{name: value}))
    for data in (b"", collateral(pck_crl="zz")):
        with rejected("import"):
            read_collateral(data)


def test_certificates_in_files() -> None:
    found = read_thim(thim(), fault=Fault.EVIDENCE_INVALID)
    assert b"".join(found.pem.split()) == b"".join(machine().certs.split())
    assert b"".join(found.chain.split()) == b"".join(issuers().split())
    for name in ("vcekCert", "certificateChain", "tcbm"):
        for value in (7, "zz\u00e9"):
            with rejected("imds-thim", fault=Fault.EVIDENCE_INVALID):
                read_thim(thim(**{name: value}), fault=Fault.EVIDENCE_INVALID)
    noted = b"a note\n" + issuers()
    assert chain_of(machine().certs, noted) == chain_of(pem_of_vcek(), issuers())
    for vcek, chain in ((b"", issuers()), (pem_of_vcek(), b"")):
        with rejected("import"):
            chain_of(vcek, chain)
