"""What the jobs of a keyholder have an effect on: a real trail, a real signer, and the front's end of a real channel.

The attestation is a stand-in: what a receipt takes from it is not checked here.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.fips import CryptoModule, Mode
from cji_core.format.envelope import ATTRIBUTION, UnwrappingKey, seal_box, sign_header, wrap_dek
from cji_core.format.job import Attribution, Grant, Header, JobPlan, Policy, access_request
from cji_core.format.records import data_classes
from cji_core.jose import thumbprint
from cji_core.trail.chain import read
from cji_worker.host import HostReport
from cji_worker.ipc import Channel
from cji_worker.ipc.messages import Admit, FinishOrder, FrontFromKeyholder, KeyholderFromFront
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.admitted_job import Admission, AdmittedJob
from cji_worker.keyholder.effects import Effects
from cji_worker.keyholder.fronts import Fronts
from cji_worker.keyholder.holdings import HeldKey, Holdings
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.lifecycle import Done, Effect, Failed
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.references import References
from cji_worker.trail.file import SEGMENT_BYTES, AuditFile
from tests.support.connections import TRANSPORT
from tests.support.job_headers import NOW, OURS
from tests.support.policies import agency, policy_file, purpose, rule, submitter
from tests.support.rsa_keys import rsa_key
from tests.support.task_statements import MACHINE, Honest

__all__ = ["KEK", "Bench", "admission", "bench", "finish_order", "held", "policy_of", "sealed_to"]

CMK: Final = rsa_key(bits=3072)
KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
SIGNING: Final = ec.generate_private_key(ec.SECP384R1())
SUBMITTER: Final = "spiffe://cji.example/agency/metro"
_BY: Final = Attribution(operator_id="op", requestor="r", reason="test")


def held() -> HeldKey:
    """The key version that jobs are sealed to."""
    nothing: Any = SimpleNamespace()
    return HeldKey(released=nothing, private=UnwrappingKey(CMK), attestation=nothing, until=time.monotonic() + 3600)


def sealed_to(dek: bytes, *, attribution_under: bytes | None = None) -> dict[str, Any]:
    """The members of a header whose keys open; they do not, if the attribution is under another key."""
    under = dek if attribution_under is None else attribution_under
    return {
        "kek_id": KEK,
        "wrapped_dek": wrap_dek(CMK.public_key(), dek),
        "sealed_attribution": seal_box(under, ATTRIBUTION, _BY.encode()),
        "submitter": thumbprint(SIGNING.public_key()),
    }


def policy_of(san: str) -> Policy:
    """A policy of one submitter, with the agency of test headers."""
    found = agency("WI0130000", purpose("C", rule([OURS.key_id], "deidentify", "screen")))
    return Policy.load(policy_file(submitter("metro", SIGNING.public_key(), found, san=san)))


def attestation() -> Any:
    """As much of one as receipts name."""

    @dataclass
    class Tcb:
        snp: int = 27

    return SimpleNamespace(
        evidence=SimpleNamespace(sha384=bytes(48)),
        token=SimpleNamespace(sha384=bytes(48)),
        verdict=SimpleNamespace(
            tee="snp",
            tcb=Tcb(),
            accepted=(),
            clock=SimpleNamespace(clock=1, reset_count=1, restart_count=1),
        ),
    )


@dataclass(kw_only=True)
class Bench:
    """Effects, and how to see them. `custody.holdings` may be changed."""

    path: Path
    audit: AuditFile
    policy: Policy
    custody: Any
    signer: ReceiptSigner
    host: HostState
    front: Channel[Any, Any]
    zygote: Channel[Any, Any]
    told: Channel[Any, Any]
    """The other end of the front's channel."""

    @cached_property
    def effects(self) -> Effects:
        """Of this keyholder."""
        return Effects(
            worker_id="w",
            audit=self.audit,
            custody=self.custody,
            signer=self.signer,
            references=self.references,
            fronts=Fronts([self.front]),
            zygote=self.zygote,
            admissions=Admissions(self.signer.thumbprint),
        )

    @cached_property
    def references(self) -> References:
        """No slot for one."""
        return References(None, audit=self.audit, zygote=self.zygote, is_held=lambda _: True)

    @property
    def events(self) -> list[Any]:
        """Everything in the trail."""
        return [read(line).event for line in self.path.read_bytes().splitlines(keepends=True)]

    def perform(self, job: AdmittedJob, effect: Effect) -> Done | Failed | None:
        """Perform an effect; return its outcome, that of a line of the trail once it is on disk."""
        found = list[Done | Failed]()
        outcome = self.effects.perform(job, effect, found.append)
        self.audit.settle()
        self.audit.deliver()
        return found[0] if found else outcome

    def messages(self) -> Iterator[FrontFromKeyholder]:
        """What the front was sent and has not read yet."""
        while True:
            try:
                message, _ = self.told.receive(flags=socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            yield message

    def grant(self, header: Header) -> Grant:
        """What the policy grants this job."""
        asked = access_request(header, data_classes(part.schema for part in header.inputs))
        return self.policy.authorise(asked, self.policy.submitter(SUBMITTER), day=NOW.date())


def admission(bench: Bench, honest: Honest) -> Admission:
    """Of the end of this job in parts."""
    return Admission(
        header=honest.header,
        grant=bench.grant(honest.header),
        plan=honest.planned,
        key=held(),
        finish=(honest.job, honest.plan),
    )


def finish_order(header: Header, plan: JobPlan, *, call: int = 1) -> Admit:
    """The front's request to end this job in parts."""
    return Admit(
        call=call,
        submitter=SUBMITTER,
        source="fleet",
        transport=TRANSPORT,
        correlation_id="c",
        header=header.data,
        signature=sign_header(SIGNING, header.data),
        finish=FinishOrder(plan=plan.data),
        attempt=bytes(16),
    )


@contextmanager
def bench(folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> Iterator[Bench]:
    """A bench whose machine is that of `Honest` statements; `folder` gets the trail."""
    path = folder / "audit.jsonl"
    (front, told), (zygote, other) = Channel.pair(), Channel.pair()
    config: Any = SimpleNamespace(
        keys=(), worker=SimpleNamespace(id="w", region="eastus", audience="p"), sha384="01" * 48
    )
    anchor: Any = SimpleNamespace(value=0)
    host = HostState(HostReport(not_held=(), profile="none"), production=False)
    with AuditFile(path, worker="w", clock=lambda: NOW, segment_bytes=segment_bytes) as audit, zygote, other:
        bench = Bench(
            path=path,
            audit=audit,
            policy=policy_of(SUBMITTER),
            custody=SimpleNamespace(
                holdings=Holdings(attestation=attestation(), until=time.monotonic() + 3600, keys={KEK: held()})
            ),
            signer=ReceiptSigner(
                config=config,
                code_sha384=bytes.fromhex(MACHINE.code_sha384),
                tables_sha256=bytes.fromhex(MACHINE.tables_sha256),
                simulated=MACHINE.simulated,
                anchor=anchor,
                crypto=CryptoModule(name="OpenSSL", version="3", certificate="none", mode=Mode.NOT_APPROVED),
                host=host,
                trail="0d" * 48,
                last=audit.last_completion,
            ),
            host=host,
            front=Channel(front, KeyholderFromFront),
            zygote=Channel(zygote, KeyholderFromFront),
            told=Channel(told, FrontFromKeyholder),
        )
        yield bench
        bench.front.close()
        bench.told.close()
