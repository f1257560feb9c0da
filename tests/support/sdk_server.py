"""A worker in one process, for tests of the SDK and the command: the whole contract honestly, without isolation.

It follows docs/format.md from header to receipt. `twist` lets a test alter the messages that it is about to send.
"""

import asyncio
import contextlib
import datetime
import hashlib
import io
import ipaddress
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import grpc
import grpc.aio
import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from cji_attestation.appraisal import ProvenTime, Verdict
from cji_attestation.attested import AttestedWorker
from cji_attestation.evidence import Tcb, TpmClock, parse_snp_report, root_of
from cji_attestation.evidence_file import EvidenceFile
from cji_attestation.maa import VerifiedToken
from cji_attestation.release import Attestation, Attester
from cji_client.parts import arrow_messages, seal_stream
from cji_client.profile import ClientTls
from cji_client.sources import Batches
from cji_core.errors import REASONS, Reason, Refusal, Stage
from cji_core.format.envelope import (
    Unsealer,
    input_aad,
    output_aad,
    sha384,
    unwrap_dek,
    unwrap_project_key,
    verify_submitter,
    wrap_dek,
)
from cji_core.format.envelope.admission import admission_key, admission_message, verify_admission
from cji_core.format.job import Header, parse
from cji_core.format.records import ROW_STATUS_SCHEMA
from cji_core.jose import parse_rsa, public_jwk, thumbprint
from cji_core.operations.registry import OPERATIONS, plan
from cji_core.operations.volumes import counts_of
from cji_core.pool.documents import evidence_nonce
from cji_core.strict import b64url
from cji_core.trail import (
    FIRST_PREVIOUS,
    WITNESSES,
    Claims,
    CryptoModule,
    Expected,
    PartDigest,
    Transport,
    Volumes,
    sign,
    verify_receipt,
)
from cji_core.trail import TpmClock as ReceiptClock
from cji_core.verified import _CONSTRUCTOR_KEY
from cji_core.wire.v1 import worker_pb2 as pb
from cji_core.wire.v1.worker_pb2_grpc import CjiWorkerServicer, add_CjiWorkerServicer_to_server
from cji_operations.operation import BatchOperation, PreparedOperation
from cji_operations.registry import prepare
from cji_simulator import Simulation
from tests.support.contexts import context

KEK_ID = "https://vault.example/keys/cji/0123456789abcdef0123456789abcdef"
RESULT_KEY = bytes(range(32))
ADMISSION_NONCE = bytes(range(32, 64))
Context = grpc.aio.ServicerContext[Any, Any]
Twist = Callable[[list[pb.RunResponse]], list[pb.RunResponse]]


Outcome = dict[str, tuple[pa.Schema, list[pa.RecordBatch]]]


def outcome(operation: PreparedOperation, table: pa.Table) -> Outcome:
    """The outputs of an operation for a whole table, by name."""
    batches = table.to_batches()
    if isinstance(operation, BatchOperation):
        applied = [operation.apply(batch) for batch in batches]
        firsts = accumulate((batch.num_rows for batch in batches), initial=0)
        statuses = [each.status.to_batch(row) for each, row in zip(applied, firsts, strict=False)]
        results, parts = [each.batch for each in applied], {}
    else:
        made = operation.run(batches, lambda _step, _per_cent: None)
        results, statuses = list(made.result), [made.status.to_batch(0)]
        parts = {name: list(each) for name, each in made.parts.items()}
    return {
        "result": (operation.output_schema, results),
        "row_status": (ROW_STATUS_SCHEMA, statuses),
        **{name: (each[0].schema, each) for name, each in parts.items()},
    }


@dataclass(kw_only=True)
class ReferenceWorker(CjiWorkerServicer):
    cmk: rsa.RSAPrivateKey
    submitter: ec.EllipticCurvePublicKey
    receipt_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))
    twist: Twist = list
    refusals: list[tuple[Reason, float]] = field(default_factory=list)
    receipts: dict[bytes, str] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    simulated: bool = False
    vanish: bool = False
    attester: Attester | None = None
    attestation: Attestation | None = None
    vm: Simulation | None = None
    release: pb.Release = pb.NOT_RELEASED
    """Of a job without a receipt."""
    shows_evidence: bool = False
    """Whether evidence goes with each receipt, as after a renewal."""
    silent: bool = False
    """Nobody answers GetReceipt."""
    begun: int = 0
    """Attempts that it has counted of every job."""

    def attest(self, simulation: Simulation) -> None:
        """Attest as a worker on a VM of its own; again, as the same worker after a reboot."""
        if self.vm is None:
            self.vm = simulation.another_vm()
        simulation = self.vm
        simulation.reboot()
        self.attester = simulation.attester()
        self.attestation = self.attester.attest(receipt_key=thumbprint(self.receipt_key.public_key()))
        released = simulation.create_cmk("sdk").spec
        self.attester.release_into(self.attestation, released, memoryview(bytearray(4096)))
        self.simulated = True

    async def Attest(self, request: pb.AttestRequest, context: Context) -> pb.AttestResponse:  # noqa: N802
        return await asyncio.to_thread(self.evidence, request.nonce)

    def evidence(self, nonce: bytes) -> pb.AttestResponse:
        """Over a caller's nonce, or beside a receipt."""
        assert self.attester is not None
        assert self.attestation is not None
        key = self.receipt_key.public_key()
        evidence = self.attester.quote(receipt_key=thumbprint(key), root=root_of(nonce))
        return pb.AttestResponse(
            evidence=evidence.to_json(),
            maa_token=self.attestation.token.raw,
            receipt_jwk=public_jwk(key),
            token_evidence=self.attestation.evidence.to_json(),
            token_nonce=self.attestation.nonce,
            admission_nonce=ADMISSION_NONCE,
        )

    def check_admission(self, given: pb.Admission, header: Header) -> None:
        """The proof must be of the next attempt, for this worker."""
        assert given.nonce == ADMISSION_NONCE
        if given.attempt != self.begun + 1:
            raise Refusal(Reason.ADMISSION_ATTEMPT, stage=Stage.ADMIT)
        message = admission_message(
            nonce=given.nonce,
            receipt_key=thumbprint(self.receipt_key.public_key()),
            header_sha384=header.sha384,
            attempt=given.attempt,
        )
        key = admission_key(header, self.submitter, given.send_jwk)
        verify_admission(key, header.suite, message, given.signature)

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:  # noqa: N802
        return pb.DescribeResponse(
            audience="pool",
            worker_id="worker-1",
            operations=OPERATIONS,
            schemas=["person/1"],
            keys=[pb.KeyDescription(kek_id=KEK_ID, public_jwk=public_jwk(self.cmk.public_key()))],
        )

    async def GetReceipt(  # noqa: N802
        self, request: pb.GetReceiptRequest, context: Context
    ) -> pb.GetReceiptResponse:
        if self.silent:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset by peer")
        if request.job_id not in self.receipts:
            return pb.GetReceiptResponse(release=self.release)
        return pb.GetReceiptResponse(receipt=self.receipts[request.job_id], release=pb.RELEASED)

    async def Run(  # noqa: N802
        self, requests: AsyncIterator[pb.RunRequest], context: Context
    ) -> AsyncIterator[pb.RunResponse]:
        first = await anext(aiter(requests))
        self.seen.append(first.open.header)
        if self.refusals:
            await refuse(context, *self.refusals.pop(0))
        try:
            header = parse(first.open.header)
            verify_submitter([self.submitter], header, first.open.signature)
            self.check_admission(first.open.admission, header)
            parts: list[list[bytes]] = [[] for _ in header.inputs]
            async for request in requests:
                if request.WhichOneof("message") == "segment":
                    assert request.segment.index == len(parts[request.segment.part])
                    parts[request.segment.part].append(request.segment.data)
            messages = self.twist(list(self.answer(header, parts)))
        except Refusal as refusal:
            await refuse(context, refusal.reason)
        if self.vanish:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset by \x1b[31mpeer")
        for message in messages:
            yield message

    def answer(self, header: Header, parts: list[list[bytes]]) -> Iterator[pb.RunResponse]:
        dek = unwrap_dek(self.cmk, header.wrapped_dek)
        plain = open_stream(dek, input_aad(header.sha384, 0), parts[0])
        table = pa.ipc.open_stream(io.BytesIO(plain)).read_all()
        planned = plan(header.operations, header.input_schemas)
        keys = [unwrap_project_key(dek, project.name, project.wrapped_key) for project in planned.projects]
        operation = prepare(planned.operations[0], table.schema, context(*keys))
        outcomes = outcome(operation, table)
        rows = {name: sum(batch.num_rows for batch in batches) for name, (_, batches) in outcomes.items()}
        counts = counts_of({each.name: each.schema.schema_id for each in planned.outputs}, rows, withheld=False)
        result_header = pb.ResultHeader(
            version=1,
            job_id=header.job_id,
            job_header_sha384=header.sha384,
            worker_id="worker-1",
            outputs=[pb.OutputPart(name=each.name, schema=each.schema.schema_id) for each in planned.outputs],
            recipients=[
                pb.WrappedKey(key_id=r.key_id, wrapped_dek=wrap_dek(parse_rsa(r.jwk), RESULT_KEY))
                for r in header.recipients
            ],
        ).SerializeToString(deterministic=True)
        yield pb.RunResponse(accepted=pb.Accepted())
        yield pb.RunResponse(progress=pb.Progress(stage="rows", per_cent=50))
        outputs = []
        for part, name in enumerate(each.name for each in planned.outputs):
            schema, batches = outcomes[name]
            messages = arrow_messages(Batches(schema=schema, batches=iter(batches)))
            sealed = list(seal_stream(RESULT_KEY, output_aad(sha384(result_header), part), messages))
            outputs.append(digest(name, sealed))
            for index, data in enumerate(sealed):
                yield pb.RunResponse(segment=pb.Segment(part=part, index=index, data=data))
        inputs = [digest(part.name, sent) for part, sent in zip(header.inputs, parts, strict=True)]
        receipt = sign(self.claims(header, result_header, inputs, outputs, counts), self.receipt_key)
        self.receipts[header.job_id] = receipt
        evidence = self.evidence(evidence_nonce(header.sha384)) if self.shows_evidence else None
        yield pb.RunResponse(done=pb.Done(receipt=receipt, result_header=result_header, evidence=evidence))

    def claims(
        self,
        header: Header,
        result_header: bytes,
        inputs: list[PartDigest],
        outputs: list[PartDigest],
        counts: dict[str, int],
    ) -> Claims:
        return Claims(
            version=1,
            worker="worker-1",
            sequence=1,
            previous_sha384=FIRST_PREVIOUS,
            job_id=header.job_id.hex(),
            header_sha384=header.sha384.hex(),
            result_header_sha384=sha384(result_header).hex(),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            witnesses=WITNESSES,
            submitter="spiffe://cji.example/agency/test",
            submitter_key=b64url(header.submitter),
            originating_ori=header.originating_ori,
            requesting_ori=header.requesting_ori,
            suite=header.suite,
            purpose_code=header.purpose_code,
            operations=header.operation_names,
            recipients=tuple(r.key_id for r in header.recipients),
            kek_id=header.kek_id,
            volumes=Volumes(
                bytes_in=sum(each.bytes for each in inputs),
                bytes_out=sum(o.bytes for o in outputs),
                **counts,
            ),
            started="2026-11-24T00:00:00.00Z",
            ended="2026-11-24T00:00:01.00Z",
            region="eastus",
            tee="snp",
            tcb={"snp": 23},
            accepted_advisories=(),
            evidence_sha384="0" * 96,
            maa_token_sha384=(self.attestation.token.sha384 if self.attestation else sha384(b"")).hex(),
            policy_sha384="0" * 96,
            config_sha384="0" * 96,
            code_sha384="0" * 96,
            tables_sha256="0" * 64,
            fips=CryptoModule(name="OpenSSL", version="4.0.3", certificate="none", mode="not_approved"),
            transport=Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
            host_profile="none",
            simulated=self.simulated,
            tpm=ReceiptClock(clock=1, reset_count=1, restart_count=1),
            trail="0d" * 48,
            audit_anchor=1,
        )

    def claims_of(self, receipt: str) -> Claims:
        return verify_receipt(
            receipt, key=self.receipt_key.public_key(), expected=Expected(simulated=self.simulated)
        ).claims

    def attested(self) -> AttestedWorker:
        """What `Client.attest` returns for this worker, had it a machine to show."""
        key = self.receipt_key.public_key()
        ak = rsa.RSAPublicNumbers(65537, (1 << 2047) + 1).public_key()
        verdict = Verdict(
            tee="snp",
            product="Genoa",
            measurement=bytes(48),
            report_data=bytes(64),
            tcb=Tcb(bootloader=10, tee=0, snp=23, microcode=84, fmc=0),
            policy=0,
            vmpl=0,
            chip_id=bytes(64),
            vtpm_firmware=1,
            hardware=parse_snp_report(struct.pack("<IIQ", 3, 0, 1 << 17).ljust(1184, b"\0")),
            vm_unique_id="vm",
            ak=ak,
            ephemeral=ak,
            boot=None,
            pcrs=(bytes(32),) * 8,
            clock=TpmClock(clock=1, reset_count=1, restart_count=1, safe=True),
            evidence_sha384=bytes(48),
            checks=(),
            constructor_key=_CONSTRUCTOR_KEY,
        )
        return AttestedWorker(
            verdict=verdict,
            token=VerifiedToken(
                raw="",
                issuer="",
                jti="",
                policy_hash="",
                issued=0,
                expires=0,
                sha384=b"",
                checks=(),
                constructor_key=_CONSTRUCTOR_KEY,
            ),
            cloud="azure-us",
            simulated=False,
            admission_nonce=ADMISSION_NONCE,
            time=ProvenTime(at=datetime.datetime.now(datetime.UTC), by="a test"),
            time_checks=(),
            receipt_key=key,
            shown=EvidenceFile(
                version=6,
                reference=b"{}",
                cloud="azure-us",
                attested_at=datetime.datetime.now(datetime.UTC),
                nonce=bytes(32),
                nonce_path=b"",
                receipt_jwk=public_jwk(key),
                evidence=b"",
                maa_token="",
                token_nonce=bytes(32),
                token_evidence=b"",
                maa_url="",
                jwks=b"",
            ),
        )


def open_stream(key: bytes, aad: bytes, segments: list[bytes]) -> bytes:
    unsealer, plain = Unsealer(key, aad, segments[0][:74]), io.BytesIO()
    out = memoryview(bytearray(1 << 20))
    for segment in [segments[0][74:], *segments[1:]]:
        n = unsealer.unseal_into(out, memoryview(segment))
        plain.write(out[:n])
    if not unsealer.complete:
        raise Refusal(Reason.INCOMPLETE, stage="unseal")  # type: ignore[arg-type]
    return plain.getvalue()


def digest(name: str, segments: list[bytes]) -> PartDigest:
    data = b"".join(segments)
    return PartDigest(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


async def refuse(context: Context, reason: Reason, after: float = 0.0) -> None:
    info = error_details_pb2.ErrorInfo(
        reason=reason.value,
        domain="worker.cji",
        metadata={
            "stage": "admit",
            "retryable": str(REASONS[reason].retryable).lower(),
            "blame": REASONS[reason].blame,
            "correlation_id": "c-1",
        },
    )
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(info)
    details[1].Pack(
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=int(after), nanos=int(after % 1 * 1e9)))
    )
    status = status_pb2.Status(code=9, message=reason.value, details=details)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason.value)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    ca: bytes
    server: bytes
    server_key: bytes
    client: ClientTls

    @classmethod
    def make(cls) -> "Certificates":
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _certificate("test CA", ca_key, ca_key, None, [])
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
        server = _certificate(
            "worker",
            keys[0],
            ca_key,
            ca,
            [x509.DNSName("worker.example"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
        )
        client = _certificate(
            "agency", keys[1], ca_key, ca, [x509.UniformResourceIdentifier("spiffe://cji.example/agency/test")]
        )
        pem = [c.public_bytes(serialization.Encoding.PEM) for c in (ca, server, client)]
        private = [
            k.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            for k in keys
        ]
        tls = ClientTls(ca_pem=pem[0], cert_pem=pem[2], key_pem=private[1])
        return cls(ca=pem[0], server=pem[1], server_key=private[0], client=tls)

    def listen(self, servicer: ReferenceWorker) -> tuple[grpc.aio.Server, str]:
        server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", 2 << 20), ("grpc.max_send_message_length", 2 << 20)]
        )
        add_CjiWorkerServicer_to_server(servicer, server)
        credentials = grpc.ssl_server_credentials(
            [(self.server_key, self.server)], root_certificates=self.ca, require_client_auth=True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        return server, f"127.0.0.1:{port}"


@contextlib.contextmanager
def served(worker: ReferenceWorker, certificates: Certificates) -> Iterator[str]:
    """Serve `worker` from a thread of its own; gives the address."""
    loop, ready, target = asyncio.new_event_loop(), threading.Event(), ""
    stop = asyncio.Event()

    async def serve() -> None:
        nonlocal target
        server, target = certificates.listen(worker)
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield target
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
