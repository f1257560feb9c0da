"""A TDX machine from its TDREPORT to a served job, against real servers; and refused where it must be."""

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US, AZURE_USGOV, Fault, Trust
from cji_attestation.appraisal import ReferenceValues, Verdict, appraise
from cji_attestation.appraisal.advisories import SHIPPED
from cji_attestation.evidence import (
    Evidence,
    TdCollateral,
    maa_nonce,
    parse_hcl,
    parse_td_quote,
    qualifying_data,
    root_of,
)
from cji_attestation.evidence.collect import QUOTE_ATTEMPTS, _quote
from cji_attestation.evidence.imds import td_quote
from cji_attestation.evidence.pcs import KEPT_SECONDS, IntelPcs
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.evidence.tpm_structures import PCRS, parse_attest, pcr_digest
from cji_attestation.fetch import exchange
from cji_attestation.maa import guest_request, send_request
from cji_attestation.release import Attester
from cji_attestation.trust import endpoint
from cji_core.command import build
from cji_simulator.encoding import b64url
from cji_simulator.fault_cli import fault
from cji_simulator.faults import Kind, Service
from cji_simulator.intel import Publication
from cji_simulator.launch import worker_config
from cji_simulator.operator import operator
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site, people
from tests.support.refusals import rejected
from tests.support.simulations import simulated

RECEIPT_KEY, NONCE = b"r" * 32, b"n" * 32
ADVISORY = "INTEL-SA-01036"
TABLE = tuple(row.id for row in SHIPPED.rows if "TDX" in row.affects)
UP_TO_DATE = "Intel's TCB status UpToDate for FMSPC 90C06F000000"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("tdx"), release_limit=1000, report_period=0, tee="tdx") as running:
        yield running


@pytest.fixture
def tdx(servers: Simulation) -> Iterator[Simulation]:
    """The module's TDX machine, just booted, without faults and up to date."""
    servers.reboot()
    yield servers
    servers.clear_faults()
    servers.publish(Publication())


@pytest.fixture(scope="module")
def evidence(servers: Simulation) -> Evidence:
    """What the machine showed once."""
    vm = servers.another_vm()
    one, key = attester(vm), vm.create_cmk("tdx-once")
    one.release_into(one.attest(receipt_key=RECEIPT_KEY), key.spec, memoryview(bytearray(4096)))
    return one.quote(receipt_key=RECEIPT_KEY, root=root_of(NONCE))


def attester(of: Simulation, **reference: Any) -> Attester:
    return of.attester(reference=of.reference_with(**reference))


def chain(evidence: Evidence) -> bytes:
    return parse_td_quote(evidence.td_quote).pck_chain


def judged(evidence: Evidence, trust: Trust, reference: ReferenceValues) -> Verdict:
    return appraise(
        evidence,
        trust=trust,
        reference=reference,
        expected_qualifying_data=qualifying_data(RECEIPT_KEY, NONCE),
        start=(RECEIPT_KEY,),
        now=datetime.now(UTC),
    )


# ---------------------------------------------------------------- evidence to key


def test_both_verdicts(tdx: Simulation) -> None:
    """Ours and Azure Attestation's. The key is released in `test_a_job_on_a_tdx_machine`: one process, one identity."""
    attestation = attester(tdx).attest(receipt_key=RECEIPT_KEY)
    verdict = attestation.verdict
    assert (verdict.tee, verdict.product, verdict.tcb_status) == ("tdx", "90C06F000000", "UpToDate")
    assert verdict.vm_unique_id == tdx.endpoints.vm_id  # in small letters, as OpenHCL writes it
    assert isinstance(attestation.evidence.collateral, TdCollateral)
    assert attestation.token.issuer == tdx.maa_url


def test_s03_the_same_evidence_under_production(tdx: Simulation, evidence: Evidence) -> None:
    assert judged(evidence, tdx.trust, tdx.reference).tee == "tdx"
    for production in (AZURE_US, AZURE_USGOV):
        with rejected("E23", fault=Fault.UNTRUSTED_ROOT):
            judged(evidence, production, tdx.reference)


def test_a_job_on_a_tdx_machine(tdx: Simulation, tmp_path: Path) -> None:
    """Sealed rows in, sealed rows and a receipt out; the machine's evidence is read by `cji evidence`."""
    table = people(500)
    with open_site(tmp_path / "site", tdx) as site:
        vm_id, result = site.simulation.machine.vm_id, site.run(table)
        assert site.open(result)["result"]["last"] == table["last"]
        with site.client() as client:
            file = tmp_path / "evidence.json"
            file.write_bytes(client.attest().to_file())
        profile = ["--profile", str(site.files.profile)]
    claims = result.receipt.claims
    assert (claims.tee, claims.tcb["tdx_module"], claims.accepted_advisories) == ("tdx", 13, TABLE)
    runner = CliRunner()
    shown = runner.invoke(build(AZURE_US, tdx.trust), ["evidence", "show", str(file)], catch_exceptions=False)
    assert shown.exit_code == 0
    for text in ("TD quote", "MRTD", "TCB info", "Intel SGX Root CA", vm_id):
        assert text in shown.output
    accepted = runner.invoke(
        build(AZURE_US, tdx.trust), ["evidence", "verify", str(file), *profile], catch_exceptions=False
    )
    assert (accepted.exit_code, "TCB status UpToDate" in accepted.output) == (0, True)
    wrapper = json.loads(file.read_bytes()) | {"cloud": "azure-us"}
    file.write_text(json.dumps(wrapper))
    refused = runner.invoke(build(AZURE_US), ["evidence", "verify", str(file), *profile])
    assert (refused.exit_code, "maa-url" in refused.output) == (3, True), refused.output


def test_doctor_asks_intel(tdx: Simulation, simulation: Simulation, tmp_path: Path) -> None:
    def found(of: Simulation) -> dict[str, str]:
        files = worker_config(tmp_path / of.endpoints.tee, simulation=of, keys=[of.create_cmk("tdx-doctor")])
        arguments = ["doctor", "--config", str(files.config), "--json"]
        told = json.loads(CliRunner().invoke(build(of.trust), arguments, catch_exceptions=False).stdout)
        finding: dict[str, str] = next(one for one in told if one["name"] == "TDX collateral")
        return finding

    assert (found(tdx)["state"], found(tdx)["found"]) == ("ok", UP_TO_DATE)
    assert (found(simulation)["state"], "not needed" in found(simulation)["found"]) == ("ok", True)
    tdx.fault(Service.INTEL, Kind.DOWN)
    failed = found(tdx)
    assert (failed["state"], failed["found"]) == ("failed", "EVIDENCE_UNAVAILABLE at pcs-tcb")
    assert tdx.trust.intel_root_crl in failed["remedy"]
    tdx.fault(Service.TPM, Kind.NOT_CONFIDENTIAL)
    assert found(tdx)["state"] == "not run"


def test_pcrs_that_move_are_quoted_again(tdx: Simulation) -> None:
    """A PCR is extended between its reading and the quote: once, and then each time."""

    class Moving(Tpm):
        times = 1

        def pcr_values(self, pcrs: tuple[int, ...] = PCRS) -> tuple[bytes, ...]:
            values = super().pcr_values(pcrs)
            if self.times:
                self.times -= 1
                tdx.extend_pcr(5)
            return values

    with Moving(tdx.trust.tcti) as tpm:
        pcrs, quote, _ = _quote(tpm, NONCE, PCRS)
        assert parse_attest(quote).digest == pcr_digest(pcrs)
        tpm.times = QUOTE_ATTEMPTS
        with rejected("pcr-moving", fault=Fault.EVIDENCE_UNAVAILABLE):
            _quote(tpm, NONCE, PCRS)


# ---------------------------------------------------------------- what Intel says


def test_outdated_tcb_is_refused_unless_accepted_by_name(tdx: Simulation) -> None:
    tdx.publish(Publication(status="OutOfDate", advisories=(ADVISORY,)))
    with rejected("E29", fault=Fault.POLICY_MISMATCH):
        attester(tdx).attest(receipt_key=RECEIPT_KEY)
    accepted = operator().acceptance(ADVISORY, *TABLE, machines=("TDX",))
    worker = attester(tdx, tcb_statuses=("UpToDate", "OutOfDate"), acceptances=(accepted,))
    verdict = worker.attest(receipt_key=RECEIPT_KEY).verdict  # the token's attester_tcb_status agrees
    assert (verdict.tcb_status, verdict.advisories) == ("OutOfDate", (ADVISORY,))


def test_what_intel_says_is_ordered_from_a_terminal(tdx: Simulation) -> None:
    arguments = ["publish", "--state", str(tdx.state), "--status", "OutOfDate", "--advisory", ADVISORY]
    assert CliRunner().invoke(fault, [*arguments, "--evaluation", "17"], catch_exceptions=False).exit_code == 0
    worker = attester(tdx)
    with rejected("E29", fault=Fault.POLICY_MISMATCH):
        worker.attest(receipt_key=RECEIPT_KEY)
    assert CliRunner().invoke(fault, arguments[:3], catch_exceptions=False).exit_code == 0
    assert worker.attest(receipt_key=RECEIPT_KEY).evidence.collateral
    assert CliRunner().invoke(fault, [*arguments[:3], "--status", "outofdate"]).exit_code == 2


def test_the_services_verdict_must_be_ours(tdx: Simulation) -> None:
    """Intel's word changes between our verdict, whose collateral is of before, and Azure Attestation's."""
    worker = attester(tdx)
    worker.attest(receipt_key=RECEIPT_KEY)
    tdx.publish(Publication(status="OutOfDate", advisories=(ADVISORY,)))
    with rejected("T10", fault=Fault.TOKEN_INVALID):
        worker.attest(receipt_key=RECEIPT_KEY)


def test_debuggable_token(tdx: Simulation) -> None:
    tdx.fault(Service.MAA, Kind.DEBUGGABLE)
    with rejected("T10", fault=Fault.TOKEN_INVALID):
        attester(tdx).attest(receipt_key=RECEIPT_KEY)


@pytest.mark.parametrize(
    ("said", "reference", "check", "fault"),
    [
        (Publication(evaluation=17), {"tcb_evaluation": 18}, "E30", Fault.POLICY_MISMATCH),
        (Publication(evaluation=18), {"tcb_evaluation": 18}, "", None),
        (Publication(days=-0.5), {}, "E28", Fault.EVIDENCE_INVALID),
        (Publication(pck_revoked=True), {}, "E28", Fault.EVIDENCE_INVALID),
        (Publication(status="Revoked"), {}, "E28", Fault.EVIDENCE_INVALID),
    ],
    ids=["rolled back", "of the pinned number", "out of its time", "PCK revoked", "TCB revoked"],
)
def test_what_intel_publishes(
    tdx: Simulation, said: Publication, reference: dict[str, Any], check: str, fault: Fault | None
) -> None:
    tdx.publish(said)
    worker = attester(tdx, **reference)
    if fault is None:
        assert worker.attest(receipt_key=RECEIPT_KEY).evidence.collateral
        return
    with rejected(check, fault=fault):
        worker.attest(receipt_key=RECEIPT_KEY)


# ---------------------------------------------------------------- collateral, fetched and kept

PATHS = {
    "pcs-tcb": "/tdx/certification/v4/tcb",
    "pcs-qe": "/tdx/certification/v4/qe/identity",
    "pcs-crl": "/sgx/certification/v4/pckcrl",
    "pcs-root-crl": "/IntelSGXRootCA.der",
}


@pytest.mark.parametrize("check", PATHS)
@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.STATUS])
def test_a_part_that_cannot_be_had(tdx: Simulation, evidence: Evidence, check: str, kind: Kind) -> None:
    status = {"status": 404} if kind is Kind.STATUS else {}
    tdx.fault(Service.INTEL, kind, path=PATHS[check], **status)
    with rejected(check, fault=Fault.EVIDENCE_UNAVAILABLE):
        IntelPcs(tdx.trust).collateral(chain(evidence))


def test_a_busy_service_is_asked_again(tdx: Simulation, evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_attestation.evidence.service.PAUSE_SECONDS", 0.01)
    tdx.fault(Service.INTEL, Kind.STATUS, status=503, times=2)
    assert IntelPcs(tdx.trust).collateral(chain(evidence)).tcb_info
    tdx.fault(Service.INTEL, Kind.STATUS, status=429, seconds=200)
    with rejected("pcs-tcb") as caught:
        IntelPcs(tdx.trust).collateral(chain(evidence))
    assert caught.value.retry_after == 200


def test_collateral_is_kept_for_hours_and_through_an_outage(tdx: Simulation, evidence: Evidence) -> None:
    now = [datetime.now(UTC).timestamp()]
    pcs = IntelPcs(tdx.trust, clock=lambda: now[0])

    def evaluation() -> int:
        found: int = json.loads(pcs.collateral(chain(evidence)).tcb_info)["tcbEvaluationDataNumber"]
        return found

    assert evaluation() == 18
    tdx.publish(Publication(evaluation=19))
    now[0] += KEPT_SECONDS - 1
    assert evaluation() == 18
    now[0] += 1
    assert evaluation() == 19
    tdx.publish(Publication(evaluation=20))
    tdx.fault(Service.INTEL, Kind.DOWN)
    now[0] += KEPT_SECONDS
    assert evaluation() == 19  # Intel does not answer, and calls it current for 30 days
    now[0] += 30 * 86400
    with rejected("pcs-tcb", fault=Fault.EVIDENCE_UNAVAILABLE):
        evaluation()
    tdx.clear_faults()
    assert evaluation() == 20
    tdx.publish(Publication(evaluation=21))
    now[0] -= 86400  # a clock that went back says nothing about age
    assert evaluation() == 21


def test_collateral_that_ends_soon_is_not_kept_past_its_end(tdx: Simulation, evidence: Evidence) -> None:
    now = [datetime.now(UTC).timestamp()]
    pcs = IntelPcs(tdx.trust, clock=lambda: now[0])
    tdx.publish(Publication(days=1 / 24))
    first = pcs.collateral(chain(evidence))
    tdx.publish(Publication())
    now[0] += 3601
    assert pcs.collateral(chain(evidence)) != first


def test_renewal_needs_no_intel(tdx: Simulation) -> None:
    worker = attester(tdx)
    first = worker.attest(receipt_key=RECEIPT_KEY)
    worker.release_into(first, tdx.create_cmk("tdx-renewed").spec, memoryview(bytearray(4096)))
    tdx.fault(Service.INTEL, Kind.DOWN)
    assert worker.attest(receipt_key=RECEIPT_KEY).evidence.collateral == first.evidence.collateral
    assert worker.quote(receipt_key=RECEIPT_KEY, root=root_of(NONCE)).collateral == first.evidence.collateral


def test_a_refusal_is_not_kept(tdx: Simulation) -> None:
    """Collateral that evidence was refused with is asked for again, not in six hours."""
    worker = attester(tdx)
    tdx.publish(Publication(pck_revoked=True))
    with rejected("E28", fault=Fault.EVIDENCE_INVALID):
        worker.attest(receipt_key=RECEIPT_KEY)
    tdx.publish(Publication())
    assert worker.attest(receipt_key=RECEIPT_KEY).verdict.tcb_status == "UpToDate"


def test_wrong_tls_root_for_intel(tdx: Simulation, evidence: Evidence) -> None:
    stranger = msgspec.structs.replace(tdx.trust, tls_roots=tdx.endpoints.release_roots)
    with rejected("pcs-tcb", fault=Fault.EVIDENCE_UNAVAILABLE):
        IntelPcs(stranger).collateral(chain(evidence))


@pytest.mark.parametrize("wrong", ["", "ftp://intel", "https://Intel.example", "https://user@intel.example"])
@pytest.mark.parametrize("pin", ["intel_pcs", "intel_root_crl"])
def test_impossible_addresses(tdx: Simulation, pin: str, wrong: str) -> None:
    with rejected("intel-pcs", fault=Fault.CONFIG_INVALID):
        IntelPcs(msgspec.structs.replace(tdx.trust, **{pin: wrong}))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tdx/certification/v4/tcb", 400),
        ("/tdx/certification/v4/tcb?fmspc=90C06F00000", 400),
        ("/tdx/certification/v4/tcb?fmspc=90C06F000001", 404),
        ("/tdx/certification/v4/tcb?fmspc=90c06f000000", 200),
        ("/sgx/certification/v4/pckcrl?ca=platform", 400),
        ("/sgx/certification/v4/pckcrl?ca=other&encoding=der", 400),
        ("/sgx/certification/v4/pckcrl?ca=processor&encoding=der", 404),
        ("/sgx/certification/v4/rootcacrl", 404),
    ],
)
def test_intel_answers_what_it_has(tdx: Simulation, path: str, status: int) -> None:
    base = endpoint(tdx.trust.intel_pcs, (tdx.trust.intel_pcs,), resource="", check="intel-pcs")
    reply = exchange(
        base,
        method="GET",
        path=path,
        headers={},
        body=None,
        roots=tdx.trust.tls_roots,
        limit=65536,
        seconds=10,
        fault=Fault.EVIDENCE_UNAVAILABLE,
        check="test",
    )
    assert reply.status == status


@pytest.mark.parametrize("order", [b"", b"[]", b'{"status":7}', b'{"state":"UpToDate"}'])
def test_publications_that_are_none(tdx: Simulation, order: bytes) -> None:
    at = urlsplit(tdx.endpoints.control_url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=60)
    connection.request("PUT", "/publication", order)
    assert connection.getresponse().status == 400
    connection.close()


# ---------------------------------------------------------------- the host's quotes and Azure Attestation's check


def posted(of: Simulation, body: bytes, **headers: str) -> int:
    at = urlsplit(of.endpoints.imds_url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=60)
    try:
        connection.request("POST", "/acc/tdquote", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_quotes_are_of_this_machines_reports_only(tdx: Simulation, evidence: Evidence) -> None:
    report = parse_hcl(evidence.hcl_report).hardware
    assert parse_td_quote(td_quote(tdx.trust, report)).body == parse_td_quote(evidence.td_quote).body
    true = json.dumps({"report": b64url(report)}).encode()
    assert posted(tdx, true, Metadata="true") == 200
    assert posted(tdx, true) == 400
    forged = report[:528] + bytes([report[528] ^ 1]) + report[529:]  # its MAC is the true report's
    for wrong in (report[:-1], report + bytes(160), forged, b""):
        assert posted(tdx, json.dumps({"report": b64url(wrong)}).encode(), Metadata="true") == 400
    for body in (b"", b"{}", b"[]", b'{"report":7}', b'{"report":"*"}'):
        assert posted(tdx, body, Metadata="true") == 400
    with rejected("imds-tdquote", fault=Fault.EVIDENCE_UNAVAILABLE):
        td_quote(tdx.trust, report[:-1])


def test_each_kind_of_host_has_its_own_evidence(tdx: Simulation, simulation: Simulation) -> None:
    at = urlsplit(tdx.endpoints.imds_url)
    connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=60)
    connection.request("GET", "/metadata/THIM/amd/certification", headers={"Metadata": "true"})
    assert connection.getresponse().status == 404
    connection.close()
    assert posted(simulation, b"{}", Metadata="true") == 404


def test_azure_attestation_verifies_the_quote(tdx: Simulation, evidence: Evidence) -> None:
    provider = endpoint(tdx.maa_url, tdx.trust.maa_hosts, resource="", check="maa")

    def send(shown: Evidence) -> bytes:
        nonce = maa_nonce(qualifying_data(RECEIPT_KEY, NONCE))
        return send_request(guest_request(shown, nonce=nonce, log=b""), provider=provider, trust=tdx.trust)

    assert send(evidence)
    for at in (60, 700, 770, 800, 1100, 1250):  # body, both signatures, the attestation key, the enclave's report
        wrong = bytearray(evidence.td_quote)
        wrong[at] ^= 1
        with rejected("maa-400", fault=Fault.MAA_REFUSED):
            send(msgspec.structs.replace(evidence, td_quote=bytes(wrong)))
