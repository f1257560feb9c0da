"""Pitfalls of jobs, channel, leaks and runtime against a live worker; the row's id is in each name."""

import base64
import dataclasses
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import DNSName, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier

from cji_client.profile import load_profile
from cji_core.errors import REASONS, Reason, Stage
from cji_core.format.envelope import unwrap_dek
from cji_core.format.job import LIMITS
from cji_core.trail import JobAdmitted, JobCompleted, JobEnded, JobRefused, receipt_sha384
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1 import worker_pb2_grpc
from cji_simulator.certificates import Credential, authority, leaf, pem, private_pem
from cji_simulator.launch import worker_config
from cji_simulator.raw import Answer, RawJob, RawWorker, events, forge, sends, settled, until
from cji_simulator.site import Site, people
from cji_simulator.worker import Worker
from tests.support.paths import ROOT
from tests.support.privileges import sees_processes
from tests.support.simulations import simulated

SAN = "spiffe://cji.example/agency/fulton-pd"
OTHER = "spiffe://cji.example/agency/cobb-pd"
FINISH = pb.RunRequest(finish=pb.Finish())
POISON = {
    "AZURE_STORAGE_CSE_V2_ALLOW_MISORDERED_AUTH_REGIONS": "true",
    "CJI_SIMULATED": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "SSL_CERT_FILE": "/nonexistent",
    "REQUESTS_CA_BUNDLE": "/nonexistent",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/nonexistent",
    "GRPC_VERBOSITY": "DEBUG",
    "PYTHONSTARTUP": "/nonexistent",
    "PYTHONFAULTHANDLER": "1",
}


@dataclass(frozen=True, kw_only=True)
class Town:
    """A worker with two submitters, and the authority that its certificates come from."""

    site: Site
    ca: Credential
    other_signing: ec.EllipticCurvePrivateKey

    def raw(self, names: list[Any] | None, **options: Any) -> RawWorker:
        """A connection under a new certificate with these alternative names."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [SubjectAlternativeName(names)] if names else []
        credential = leaf("fulton-pd", key, options.pop("ca", self.ca), extensions=extensions)
        return RawWorker(
            self.site.profile.target,
            ca=self.site.profile.tls().ca_pem,
            certificate=pem(credential.certificate),
            private_key=private_pem(key),
        )

    def run(self, messages: list[pb.RunRequest], **options: Any) -> Answer:
        """Under the first submitter's certificate."""
        with RawWorker.of(self.site) as raw:
            return raw.run(messages, timeout=15, **options)

    def good(self, job: RawJob | None = None) -> Answer:
        """A sound job of two rows."""
        job = job or forge(self.site)
        return self.run(job.messages(job.stream(people(2))))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Started with everything in its environment that must have no effect."""
    folder = tmp_path_factory.mktemp("town")
    ca = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))
    signing = ec.generate_private_key(ec.SECP384R1())
    with simulated(folder / "azure", release_limit=1000) as azure:
        cmk = azure.create_cmk("cji-town")
        files = worker_config(folder / "site", simulation=azure, keys=[cmk])
        roots = folder / "site" / "client-roots.pem"
        roots.write_bytes(roots.read_bytes() + pem(ca.certificate))
        policy = files.policy.read_text()
        start = policy.index("[[submitters]]")
        ours = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        lines = [line for line in policy[start:].splitlines() if not line.startswith(("signing_key", "suites"))]
        second = "\n".join(lines).replace("fulton-pd", "cobb-pd")
        second = second.replace("[[submitters]]", f"[[submitters]]\nsigning_key = {json.dumps(ours)}")
        files.policy.write_text(f"{policy}\n{second}\n")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**POISON, "SSLKEYLOGFILE": str(folder / "tls-keys")}.items():
                patch.setenv(name, value)
            worker = Worker(files.config, trust=azure.trust, log=folder / "worker.log")
        with worker:
            yield Town(
                site=Site(simulation=azure, cmk=cmk, files=files, worker=worker, profile=load_profile(files.profile)),
                ca=ca,
                other_signing=signing,
            )


def trail(town: Town, job: RawJob) -> list[Any]:
    digest = hashlib.sha384(job.header).hexdigest()
    return [e for e in events(town.site) if getattr(e, "header_sha384", None) == digest]


def everything_said(town: Town, answers: list[Answer]) -> bytes:
    """What the worker wrote to anybody but the recipient: log, audit, status texts and details."""
    said = [town.site.worker.log.read_bytes(), town.site.files.audit.read_bytes()]
    said += [f"{a.details} {a.refusal!r} {a.refusal}".encode() for a in answers]
    return b"\n".join(said)


# ------------------------------------------------------------------ channel


def test_c04_a_channel_without_tls_is_refused(town: Town) -> None:
    with grpc.insecure_channel(town.site.profile.target) as channel:
        stub = worker_pb2_grpc.CjiWorkerStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Describe(pb.DescribeRequest(), timeout=60)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_c04_h2c_is_refused(town: Town) -> None:
    host, port = town.site.profile.target.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        answer = b""
        try:
            while more := sock.recv(4096):
                answer += more
        except OSError:
            pass
    assert b"\x00\x00\x04" not in answer[:3]  # no SETTINGS frame
    assert not answer or answer[0] == 0x15  # a TLS alert


@sees_processes
def test_c04_no_process_of_the_worker_listens_to_the_network(town: Town) -> None:
    listening = set()
    for pid in town.site.worker.pids.values():
        inodes = {os.readlink(fd)[8:-1] for fd in Path(f"/proc/{pid}/fd").iterdir() if _link(fd).startswith("socket:[")}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                columns = line.split()
                if columns[9] in inodes and (columns[3] == "0A" or table.startswith("udp")):
                    listening.add(int(columns[1].split(":")[1], 16))
    assert listening == set()


def _link(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except FileNotFoundError:
        return ""


NOBODY: list[tuple[str, list[Any] | None]] = [
    ("common name only", None),
    ("two URIs", [UniformResourceIdentifier(SAN), UniformResourceIdentifier(OTHER)]),
    ("an extra DNS name", [UniformResourceIdentifier(SAN), DNSName("fulton.example")]),
    ("a DNS name that reads like the URI", [DNSName(SAN)]),
    ("an e-mail address that reads like the URI", [RFC822Name(SAN)]),
]
STRANGERS: list[tuple[str, str]] = [
    ("unknown", "spiffe://cji.example/agency/nobody"),
    ("wildcard", "spiffe://cji.example/agency/*"),
    ("longer", SAN + "/x"),
    ("shorter", SAN[:-1]),
    ("upper case", SAN.upper()),
    ("trailing slash", SAN + "/"),
]


@pytest.mark.parametrize("names", [n for _, n in NOBODY], ids=[i for i, _ in NOBODY])
def test_c07_a_certificate_names_exactly_one_uri(town: Town, names: list[Any] | None) -> None:
    job = forge(town.site)
    with town.raw(names) as raw:
        answer = raw.run(job.messages(job.stream(people(2))))
        for call, request in ((raw.stub.Describe, pb.DescribeRequest()), (raw.stub.Attest, pb.AttestRequest())):
            with pytest.raises(grpc.RpcError) as error:
                call(request, timeout=60)
            assert (error.value.details() or "").startswith("POLICY_DENIED")
    assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.OPEN)
    assert not trail(town, job)


@pytest.mark.parametrize("san", [s for _, s in STRANGERS], ids=[i for i, _ in STRANGERS])
def test_c07_the_uri_is_that_of_a_submitter_to_the_letter(town: Town, san: str) -> None:
    job = forge(town.site)
    with town.raw([UniformResourceIdentifier(san)]) as raw:
        answer = raw.run(job.messages(job.stream(people(2))))
    assert (answer.reason, answer.stage) == (Reason.POLICY_DENIED, Stage.OPEN)
    assert not trail(town, job)


def test_c07_mtls_and_signature_name_the_same_submitter(town: Town) -> None:
    """Two sound submitters: one's job under the other's certificate, and a job that each half of it signs."""
    job = forge(town.site)
    with town.raw([UniformResourceIdentifier(OTHER)]) as raw:
        assert raw.run(job.messages(job.stream(people(2)))).reason is Reason.HEADER_SIGNATURE_INVALID
    theirs = forge(town.site, signing_key=town.other_signing)
    assert town.good(theirs).reason is Reason.HEADER_SIGNATURE_INVALID
    with town.raw([UniformResourceIdentifier(OTHER)]) as raw:
        assert raw.run(theirs.messages(theirs.stream(people(2)))).receipt


def test_c07_a_receipt_is_for_its_own_submitter(town: Town) -> None:
    """Another submitter's job and a job that never was look the same."""
    job = forge(town.site)
    assert town.good(job).receipt
    told = []
    with town.raw([UniformResourceIdentifier(OTHER)]) as raw:
        for job_id in (pb.JobHeader.FromString(job.header).job_id, os.urandom(16)):
            told.append(raw.stub.GetReceipt(pb.GetReceiptRequest(job_id=job_id), timeout=60))
    assert told[0] == told[1] == pb.GetReceiptResponse(release=pb.NOT_RELEASED)


def test_c07_missing_and_foreign_certificates_get_no_answer(town: Town) -> None:
    """From the door: the first in the handshake, the other with its first call, of which the front hears nothing."""
    stranger = authority("Second Agency CA", ec.generate_private_key(ec.SECP256R1()))
    no_certificate = RawWorker(town.site.profile.target, ca=town.site.profile.tls().ca_pem)
    foreign = town.raw([UniformResourceIdentifier(SAN)], ca=stranger)
    expected = {no_certificate: grpc.StatusCode.UNAVAILABLE, foreign: grpc.StatusCode.UNAUTHENTICATED}
    for raw, code in expected.items():
        with raw, pytest.raises(grpc.RpcError) as error:
            raw.stub.Describe(pb.DescribeRequest(), timeout=60)
        assert error.value.code() is code


# ------------------------------------------------------------------ envelope


def test_e01_a_spliced_stream_of_the_same_key_is_refused(town: Town) -> None:
    """Two jobs of one submitter under one data key: the AAD still ties every stream to its header."""
    dek = os.urandom(32)
    second, table = forge(town.site, dek=dek), people(60_000)
    theirs = second.stream(table)
    splices: list[Callable[[list[bytes]], list[bytes]]] = [
        lambda _: theirs,
        lambda ours: [ours[0], theirs[1], *ours[2:]],
        lambda ours: [*ours[:-1], theirs[-1]],
    ]
    for splice in splices:
        first = forge(town.site, dek=dek)
        ours = first.stream(table)
        assert town.run(first.messages(splice(ours))).reason is Reason.SEGMENT_INVALID
        assert town.run(first.messages(ours)).receipt


def test_e03_no_environment_variable_permits_a_misordered_stream(town: Town) -> None:
    job = forge(town.site)
    segments = job.stream(people(60_000))
    assert town.run(job.messages([segments[0], segments[2], segments[1], *segments[3:]])).reason is (
        Reason.SEGMENT_INVALID
    )


def test_e04_e06_there_is_no_other_suite(town: Town) -> None:
    for at in range(10):  # AEAD, KDF, segment length, IV length
        job = forge(town.site)
        (sealed,) = job.stream(people(2))
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert town.run(job.messages([altered])).reason is Reason.SEGMENT_INVALID


def test_e07_an_input_cut_at_99_per_cent_completes_nothing(town: Town) -> None:
    """Output has flowed by then, but no output part has its last segment, and there is no receipt."""
    job = forge(town.site)
    segments = job.stream(people(300_000))
    answer = town.run(job.messages(segments[:-1]))
    assert (answer.reason, answer.receipt) == (Reason.INCOMPLETE, None)
    outputs = [m.segment for m in answer.messages if m.WhichOneof("message") == "segment"]
    assert outputs
    for segment in outputs:
        data = segment.data[74:] if segment.index == 0 else segment.data
        assert data[:4] == b"\xff\xff\xff\xff"  # the mark of a segment that is not the last
    admitted, ended = trail(town, job)
    assert isinstance(admitted, JobAdmitted)
    assert isinstance(ended, JobEnded)
    assert ended.reason is Reason.INCOMPLETE


def test_e08_a_bomb_of_null_rows_is_refused(town: Town) -> None:
    """The same few bytes as many rows; compression is refused, so this is what is left of a bomb."""
    import pyarrow as pa

    from cji_core.format.records import END_OF_STREAM, tagged

    rows = 65_536 + 1
    schema = tagged("person/1", [pa.field(n, pa.utf8()) for n in ("last", "first", "SOC")])
    column = pa.array([""] * rows)
    batch = pa.record_batch([column] * 3, schema=schema)
    job = forge(town.site)
    plain = [schema.serialize(), batch.serialize(), END_OF_STREAM]
    assert town.run(job.messages(job.plain(plain))).reason is Reason.LIMIT_EXCEEDED


def test_e12_every_job_has_its_own_result_key_never_the_data_key(town: Town) -> None:
    dek = os.urandom(32)
    keys = [dek]
    for _ in range(2):
        done = town.good(forge(town.site, dek=dek)).messages[-1].done
        (recipient,) = pb.ResultHeader.FromString(done.result_header).recipients
        keys.append(unwrap_dek(town.site.recipient, recipient.wrapped_dek))
    assert len(set(keys)) == 3


def test_e14_every_row_is_accounted_for(town: Town) -> None:
    job = forge(town.site, rows=70_000)
    table = people(70_000)
    assert town.run(job.messages(job.stream(table))).receipt
    done = trail(town, job)[-1]
    assert isinstance(done, JobCompleted)
    assert (done.volumes.rows_in, done.volumes.rows_out) == (70_000, 70_000)


# ------------------------------------------------------------------ freshness, keys, policy


def test_f06_f07_a_job_is_used_once_and_only_as_it_was(town: Town) -> None:
    job = forge(town.site)
    header = pb.JobHeader.FromString(job.header)
    assert town.good(job).receipt
    assert town.good(job).reason is Reason.ALREADY_EXISTS
    assert town.good(forge(town.site, job_id=header.job_id)).reason is Reason.REPLAYED
    assert header.not_after.seconds - header.created.seconds <= LIMITS.lifetime.total_seconds()


def test_k04_a_foreign_key_address_is_refused_without_connecting(town: Town) -> None:
    """The header's key id names a host that listens; nobody ever calls."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(1)
        address = f"https://127.0.0.1:{trap.getsockname()[1]}/keys/cji/{'0' * 32}"
        job = forge(town.site, kek_id=address)
        answer = town.good(job)
        assert (answer.reason, answer.stage) == (Reason.UNKNOWN_KEY, Stage.ADMIT)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert [type(e) for e in trail(town, job)] == [JobRefused]


def test_k09_a_key_is_found_by_its_whole_address_only(town: Town) -> None:
    """Another version, key, vault or cloud is another key, although the data key is wrapped to the one that is held."""
    held = town.site.kek.kek_id
    base, name, version = held.rsplit("/", 2)
    for other in (
        f"{base}/{name}/{'0' * 32}",
        f"{base}/{name}/{version[1:]}{version[0]}",
        f"{base}/{name}x/{version}",
        f"https://other.vault.azure.net/keys/{name}/{version}",
        f"https://other.vault.usgovcloudapi.net/keys/{name}/{version}",
    ):
        assert other != held
        answer = town.good(forge(town.site, kek_id=other))
        assert (answer.reason, answer.stage) == (Reason.UNKNOWN_KEY, Stage.ADMIT), other
    assert town.good(forge(town.site, kek_id=held)).receipt


def test_k06_a_wrapped_data_key_of_another_job_opens_nothing(town: Town) -> None:
    one, two = forge(town.site), forge(town.site)
    wrapped = pb.JobHeader.FromString(two.header).wrapped_dek
    swapped = pb.JobHeader.FromString(one.header)
    swapped.wrapped_dek = wrapped
    data = swapped.SerializeToString(deterministic=True)
    # by somebody on the way: the signature is over other bytes
    on_the_way = RawJob(header=data, signature=one.signature, dek=one.dek)
    assert town.good(on_the_way).reason is Reason.HEADER_SIGNATURE_INVALID
    # by the submitter: the boxes of the header are sealed under another key
    signed = forge(town.site, wrapped_dek=wrapped)
    assert town.good(signed).reason is Reason.DEK_UNWRAP_FAILED
    # with boxes of that key: the stream commits to another
    assert town.good(dataclasses.replace(two, dek=one.dek)).reason is Reason.SEGMENT_INVALID


def test_k07_every_failure_to_open_a_data_key_looks_the_same(town: Town) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    public = town.site.kek.public

    def oaep(algorithm: hashes.HashAlgorithm, label: bytes | None, plain: bytes = bytes(32)) -> bytes:
        return public.encrypt(plain, padding.OAEP(padding.MGF1(algorithm), algorithm, label))

    wrong = {
        "noise": os.urandom(383) + b"\1",
        "another label": oaep(hashes.SHA256(), b"x"),
        "another hash": oaep(hashes.SHA1(), None),
        "PKCS 1.5": public.encrypt(bytes(32), padding.PKCS1v15()),
        "31 bytes": oaep(hashes.SHA256(), None, bytes(31)),
        "33 bytes": oaep(hashes.SHA256(), None, bytes(33)),
        "nothing": oaep(hashes.SHA256(), None, b""),
        "too short": bytes(256),
        "too large a number": b"\xff" * 384,
    }
    seen = set()
    for wrapped in wrong.values():
        answer = town.good(forge(town.site, wrapped_dek=wrapped))
        assert answer.refusal is not None
        seen.add((answer.code, answer.details, answer.reason, answer.stage, answer.refusal.retryable, answer.messages))
    assert seen == {
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            f"DEK_UNWRAP_FAILED: {REASONS[Reason.DEK_UNWRAP_FAILED].remedy}",
            Reason.DEK_UNWRAP_FAILED,
            Stage.ADMIT,
            False,
            (),
        )
    }


def test_p05_ori_and_purpose_are_enforced_not_only_logged(town: Town) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"purpose_code": "J"},
        {"requesting_ori": "GA0330000"},
        {"originating_ori": "GA0330000"},
    )
    for change in changes:
        job = forge(town.site, **change)
        assert town.good(job).reason is Reason.POLICY_DENIED
        assert [type(e) for e in trail(town, job)] == [JobRefused]


def test_p03_a_changed_policy_file_does_not_reach_the_worker(town: Town) -> None:
    policy = town.site.files.policy
    kept = policy.read_bytes()
    job = forge(town.site)
    try:
        policy.write_text("version = 2\n")
        answer = town.good(job)
    finally:
        policy.write_bytes(kept)
    assert answer.receipt
    claims = json.loads(base64.urlsafe_b64decode(answer.receipt.split(".")[1] + "=="))
    assert claims["policy_sha384"] == hashlib.sha384(kept).hexdigest()


def test_p06_l05_the_service_has_four_calls_and_health_only(town: Town) -> None:
    """No reflection, no channelz, no admin service, no call of the fleet: UNIMPLEMENTED under a sound certificate."""
    of_the_fleet = {"RunTask", "FinishTasks", "Settle", "GetFailure"}
    with RawWorker.of(town.site) as raw:
        for method in (
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/grpc.channelz.v1.Channelz/GetTopChannels",
            "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
            *(f"/cji.worker.v1.CjiWorker/{name}" for name in ("Admin", *of_the_fleet)),
            "/cji.worker.v1.Admin/Drain",
        ):
            call = raw.channel.stream_stream(method, None, None)(iter([b""]), timeout=60)
            with pytest.raises(grpc.RpcError) as error:
                list(call)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    names = {m.name for m in pb.DESCRIPTOR.services_by_name["CjiWorker"].methods}
    assert names == {"Describe", "Attest", "Run", "GetReceipt"} | of_the_fleet


# ------------------------------------------------------------------ leaks


def test_l01_l02_what_a_caller_sends_is_never_said(town: Town) -> None:
    """A canary in every place that bytes can be put, through every way that a job can fail."""
    canary = f"CANARY{os.urandom(8).hex().upper()}"
    table = people(3, tag=canary)
    answers = []

    malformed = forge(town.site, version=7, audience=canary, reason=canary, case_number=canary)
    answers.append(town.good(malformed))
    broken = forge(town.site)
    answers.append(town.run([broken.open(), *sends([canary.encode() * 10]), FINISH]))
    garbage = forge(town.site)
    answers.append(town.run(garbage.messages(garbage.plain([canary.encode() * 50]))))
    declared = forge(town.site, rows=2)
    answers.append(town.run(declared.messages(declared.stream(table))))
    column = forge(town.site)
    answers.append(town.run(column.messages(column.stream(table.append_column("middle", table["last"])))))
    with RawWorker.of(town.site) as raw:
        for call, request in (
            (raw.stub.GetReceipt, pb.GetReceiptRequest(job_id=canary.encode())),
            (raw.stub.Attest, pb.AttestRequest(nonce=canary.encode()[:8])),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call(request, timeout=60)
            assert canary not in f"{error.value.details()} {error.value.trailing_metadata()}"
    good = forge(town.site, reason=canary, case_number=canary)
    assert town.run(good.messages(good.stream(table))).receipt
    assert all(a.reason for a in answers)
    assert canary.encode() not in everything_said(town, answers)


def test_l02_a_refusal_has_no_text_but_the_remedy_for_its_reason(town: Town) -> None:
    """Faults deep inside: too deep a message for protobuf, a schema that Arrow itself chokes on."""
    canary = os.urandom(8).hex().encode()
    jobs = [forge(town.site) for _ in range(3)]
    nested = b"\xff\xff\xff\xff" + (64).to_bytes(4, "little") + canary * 4 + b"\xff" * 32
    answers = [
        town.run([pb.RunRequest(open=pb.Open(header=b"\x0a" * 3000 + canary, signature=canary)), FINISH]),
        town.run(jobs[0].messages(jobs[0].plain([nested]))),
        town.run(jobs[1].messages(jobs[1].plain([b"\xff\xff\xff\xff\x08\x00\x00\x00" + canary]))),
    ]
    for answer in answers:
        assert answer.reason in (Reason.MALFORMED_HEADER, Reason.SCHEMA_MISMATCH)
        assert answer.details == f"{answer.reason.value}: {REASONS[answer.reason].remedy}"
    assert canary not in everything_said(town, answers)


def test_l06_no_process_leaves_a_core_or_can_be_looked_into(town: Town) -> None:
    pids = {**town.site.worker.pids, **{f"cell {n}": pid for n, pid in enumerate(settled(town.site))}}
    del pids["supervisor"]  # the tester's; `cji serve` hardens its own
    for name, pid in pids.items():
        limits = Path(f"/proc/{pid}/limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core")]
        assert core[4:6] == ["0", "0"], name
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text(), name


# ------------------------------------------------------------------ runtime


@sees_processes
def test_r01_r02_s07_no_process_inherits_the_callers_environment(town: Town) -> None:
    allowed = {"PATH", "LANG", "LC_CTYPE", "PYTHONDONTWRITEBYTECODE", "TSS2_LOG", "LD_PRELOAD", "PYTHONMALLOC"}
    allowed |= {"MIMALLOC_ALLOW_THP"}  # of secret heaps
    allowed |= {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX"}  # of the front
    allowed |= {"ARROW_DEFAULT_MEMORY_POOL", "JE_ARROW_MALLOC_CONF", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}
    allowed |= {"OPENSSL_CONF", "OPENSSL_MODULES"}  # of the unit: the validated provider
    for name in ("zygote", "keyholder", "front", "control"):
        raw = Path(f"/proc/{town.site.worker.pids[name]}/environ").read_bytes()
        found = {entry.split(b"=")[0].decode() for entry in raw.split(b"\0") if entry}
        assert found <= allowed, name
        command = Path(f"/proc/{town.site.worker.pids[name]}/cmdline").read_bytes().split(b"\0")
        assert command[1:4] == [b"-S", b"-s", b"-P"]
    keys = town.site.files.folder.parent / "tls-keys"
    # importing some libraries makes the file, with a comment at its head; no process of ours writes a secret to it
    assert not keys.exists() or all(line.startswith("#") for line in keys.read_text().splitlines())


def test_r01_modules_beside_the_worker_are_not_imported(tmp_path: Path) -> None:
    """Started in a folder with files that Python likes to run."""
    for name in ("sitecustomize.py", "usercustomize.py", "msgspec.py", "worker.py"):
        (tmp_path / name).write_text("import pathlib; pathlib.Path('ran').touch(); raise SystemExit(9)\n")
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-c", "import msgspec, cji_worker.front.server"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, (tmp_path / "ran").exists()) == (0, False), done.stderr


@sees_processes
def test_r03_a_cell_has_no_file_and_can_write_none(town: Town) -> None:
    for pid in settled(town.site):
        names = [_link(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        assert {name for name in names if not name.startswith("socket:")} == {os.devnull}
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max file size")] == [["0", "0"]]
        assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()


def test_r06_nothing_is_read_by_pickle_eval_or_yaml() -> None:
    import ast

    for path in [*ROOT.glob("worker/**/*.py"), *ROOT.glob("attestation/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "marshal", "shelve", "yaml", "dill", "joblib"} & {n.split(".")[0] for n in names}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), path


def test_r07_only_the_zygote_forks_and_it_never_has_a_key(town: Town) -> None:
    """Keyholder and front have no children, and the keyholder has four threads: main, custody, anchor, trail.

    A library starts one more that only gives back pages of an allocator that nobody here uses.
    """
    assert town.good().receipt
    for name in ("keyholder", "front", "control"):
        pid = town.site.worker.pids[name]
        for task in Path(f"/proc/{pid}/task").iterdir():
            assert not (task / "children").read_text().strip(), name
    for name, threads in (("keyholder", 4), ("zygote", 1), ("control", 1)):
        tasks = Path(f"/proc/{town.site.worker.pids[name]}/task").iterdir()
        names = [(task / "comm").read_text().strip() for task in tasks]
        assert len([n for n in names if n != "jemalloc_bg_thd"]) == threads, names
    for cell in settled(town.site):
        assert len(list(Path(f"/proc/{cell}/task").iterdir())) == 1


def test_s01_the_worker_has_no_simulator_and_cannot_name_one(tmp_path: Path) -> None:
    import ast

    from cji_core.errors import StartupError
    from cji_core.format.configuration.worker import load

    for path in [*ROOT.glob("worker/**/*.py"), *ROOT.glob("attestation/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not any(n.startswith(("cji_simulator", "tests")) for n in names), path
    example = (ROOT / "deploy" / "worker.example.toml").read_text()
    for line in ("simulated = true", "insecure = true", 'trust = "simulation"', 'imds = "http://127.0.0.1"'):
        config = tmp_path / "worker.toml"
        config.write_text(f"{line}\n{example}")
        with pytest.raises(StartupError):
            load(config)


def test_o03_a_draining_worker_finishes_its_jobs_and_takes_none(town: Town) -> None:
    """The last test of this process; the next one starts another on the same trail."""
    job, late = forge(town.site), forge(town.site)
    with RawWorker.of(town.site) as raw, raw.stream() as stream:
        settled(town.site)
        assert stream.begin(job.open()).WhichOneof("message") == "accepted"
        town.site.worker.process.send_signal(signal.SIGTERM)
        answer = until(lambda: a if (a := raw.run([late.open()])).reason is Reason.DRAINING else None)
        assert answer.reason is Reason.DRAINING
        assert answer.refusal is not None
        assert answer.refusal.retry_after == 1.0
        stream.send(*job.messages(job.stream(people(2)))[1:])
        stream.half_close()
        assert stream.answer().receipt
    assert town.site.worker.stop() == 0
    assert [type(e) for e in trail(town, job)] == [JobAdmitted, JobCompleted]


def test_f06_a_restarted_worker_remembers_every_job(town: Town) -> None:
    """The trail is the ledger: what was done stays done, and an attempt without an end is given one."""
    done = next(e for e in events(town.site) if isinstance(e, JobCompleted) and e.submitter == "fulton-pd")
    town.site.simulation.reboot()
    trust, log = town.site.simulation.trust, town.site.worker.log
    with Worker(town.site.files.config, trust=trust, log=log) as worker:
        site = dataclasses.replace(town.site, worker=worker)
        again = forge(site, job_id=bytes.fromhex(done.job_id))
        with RawWorker.of(site) as raw:
            receipt = raw.stub.GetReceipt(pb.GetReceiptRequest(job_id=bytes.fromhex(done.job_id)), timeout=60).receipt
            assert receipt == done.receipt
            assert raw.run(again.messages(again.stream(people(2)))).reason is Reason.REPLAYED
            fresh = forge(site)
            answer = raw.run(fresh.messages(fresh.stream(people(2))))
            assert answer.receipt
            assert raw.run(fresh.messages(fresh.stream(people(2)))).reason is Reason.ALREADY_EXISTS
    claims = [json.loads(base64.urlsafe_b64decode(r.split(".")[1] + "==")) for r in _receipts(town.site)]
    assert [c["sequence"] for c in claims] == list(range(1, len(claims) + 1))
    assert claims[-1]["previous_sha384"] == receipt_sha384(_receipts(town.site)[-2])
    assert _receipts(town.site)[-1] == answer.receipt


def _receipts(site: Site) -> list[str]:
    return [e.compact for e in events(site) if isinstance(e, JobCompleted)]
