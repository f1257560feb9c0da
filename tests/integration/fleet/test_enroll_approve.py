"""A TLS key without EST: the attested machine vouches for its request, the approver's command certifies it.

One worker of the session, and the storage of this folder; every attack is a real answer of that worker out of place.
"""

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cji_attestation.bundle.signatures import FileSigner
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import EnrollmentSection, ListenSection
from cji_core.pool.enrollment import Exchange, digest_of
from cji_core.wire.v1 import worker_pb2 as pb
from cji_deploy.approval import CHALLENGE_S, ApprovalFile, Approver, Authority, Outcome, load_approval
from cji_simulator.certificates import authority, pem
from cji_simulator.site import Site
from cji_worker.door.approval import Channel, vouch_at
from cji_worker.door.enrollment import enroll
from cji_worker.door.est import RETRY, EnrollmentRefused, certificate_request
from cji_worker.door.report import OWN_SERVICE, TLS_HEADER
from tests.support.fleet_storage import Storage

NAMES: Final = ("cji.agency.example",)
OTHER_VM: Final = "00000000-0000-0000-0000-00000000cafe"
KEY: Final = ec.generate_private_key(ec.SECP384R1())
CA: Final = authority("Agency Door CA", KEY)


class Desk:
    """The approver and the machine's side of one worker. `answer` is what the machine's door would write."""

    def __init__(self, site: Site, storage: Storage, folder: Path) -> None:
        self.site, self.folder, self.now = site, folder, 0.0
        with site.client() as client:
            self.vm_id = client.attest().verdict.vm_unique_id.lower()
        self.config = site.worker.config
        self.blobs = storage.blobs("results")
        self.exchange = Exchange(self.blobs, self.vm_id)
        self.vouch = vouch_at(self.config.listen.socket)
        (folder / "roots.pem").write_bytes(pem(CA.certificate))
        self.section = EnrollmentSection(
            url="https://cjienroll.blob.core.windows.net",
            container="enroll",
            roots=str(folder / "roots.pem"),
            names=NAMES,
        )

    def approver(self, *, reference: Any = None, **changes: Any) -> Approver:
        given: dict[str, Any] = {
            "pool": self.config.worker.audience,
            "account": "https://cjienroll.blob.core.windows.net",
            "maa_url": self.config.attestation.maa_url,
            "machines": (self.vm_id,),
            "names": NAMES,
            "authority": "unused",
        }
        return Approver(
            file=ApprovalFile(**{**given, **changes}),
            exchange=lambda vm_id: Exchange(self.blobs, vm_id),
            authority=Authority((CA.certificate,), FileSigner(KEY)),
            trust=self.site.simulation.trust,
            reference=self.site.simulation.reference if reference is None else reference,
            clock=lambda: self.now,
        )

    def enroll(self, *, force: bool = False) -> None:
        listen = ListenSection(
            certificate=str(self.folder / "server.pem"),
            private_key=str(self.folder / "server.key"),
            client_roots="clients.pem",
            enrollment=self.section,
        )
        channel = Channel(exchange=self.exchange, vouch=self.vouch, pause_s=0.05)
        enroll(listen, token=None, channel=channel, force=force)

    def request(self) -> bytes:
        """Another machine start: a request of a new key, in its place."""
        found = certificate_request(self.section, ec.generate_private_key(ec.SECP384R1()), None)
        self.exchange.ask(found)
        return found


def looked(approver: Approver) -> Outcome:
    (found,) = approver.look()
    return found


def nonce_for(desk: Desk, request: bytes) -> bytes:
    found = desk.exchange.nonce(request)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def desk(site: Site, storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(site, storage, tmp_path_factory.mktemp("desk"))


def certified(desk: Desk, approver: Approver, *, force: bool = False) -> x509.Certificate:
    """Both sides at work, until the machine has its files."""
    failed = list[BaseException]()

    def run() -> None:
        try:
            desk.enroll(force=force)
        except StartupError as error:
            failed.append(error)

    machine = threading.Thread(target=run)
    machine.start()
    until = time.monotonic() + 60
    while machine.is_alive() and time.monotonic() < until:
        assert looked(approver).state != "refused"
        machine.join(timeout=0.05)
    assert failed == []
    leaf, *above = x509.load_pem_x509_certificates((desk.folder / "server.pem").read_bytes())
    assert above == []  # the authority is the root, which submitters have
    return leaf


def test_an_attested_machine_gets_its_certificate_and_renews(desk: Desk) -> None:
    leaf = certified(desk, desk.approver(days=3))
    key = load_pem_private_key((desk.folder / "server.key").read_bytes(), None)
    assert leaf.public_key() == key.public_key()
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 3
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName(NAMES[0])]
    leaf.verify_directly_issued_by(CA.certificate)
    again = certified(desk, desk.approver(), force=True)  # a renewal is the same with a new key
    assert again.public_key() != leaf.public_key()


def attacked(desk: Desk, approver: Approver, answer: Callable[[bytes, bytes], bytes]) -> str:
    """The reason why the approver refuses this answer to its nonce and the digest of the request."""
    request = desk.request()
    assert looked(approver).state == "asked"
    nonce = nonce_for(desk, request)
    desk.exchange.answer(nonce, answer(nonce, digest_of(request)))
    found = looked(approver)
    assert (found.state, bool(found.remedy)) == ("refused", True)
    assert desk.exchange.certificates(request) is None
    assert looked(approver).state == "waits"  # each challenge is answered once
    return found.what


def test_what_is_not_the_machines_word_is_refused(desk: Desk) -> None:
    def swapped(nonce: bytes, _: bytes) -> bytes:
        return desk.vouch(nonce, digest_of(b"another request"))

    def replayed(_: bytes, digest: bytes) -> bytes:
        return desk.vouch(secrets.token_bytes(32), digest)

    def unsigned(nonce: bytes, digest: bytes) -> bytes:
        found = pb.VouchResponse.FromString(desk.vouch(nonce, digest))
        return pb.VouchResponse(attestation=found.attestation, signature=bytes(96)).SerializeToString()

    did_not = "did not vouch for this request in this pool"
    assert did_not in attacked(desk, desk.approver(), swapped)
    assert did_not in attacked(desk, desk.approver(), unsigned)
    assert did_not in attacked(desk, desk.approver(pool="another-pool"), desk.vouch)
    assert "attestation " in attacked(desk, desk.approver(), replayed)
    assert "not the answer of a worker" in attacked(desk, desk.approver(), lambda *_: b"\xff")
    debug = desk.site.simulation.reference_with(pcrs={4: ("ab" * 32,)})
    assert "attestation E" in attacked(desk, desk.approver(reference=debug), desk.vouch)


def test_another_machine_is_refused(desk: Desk) -> None:
    """Evidence of this machine for the request of one that is listed; and a machine that is not."""
    there = Exchange(desk.blobs, OTHER_VM)
    request = certificate_request(desk.section, ec.generate_private_key(ec.SECP384R1()), None)
    there.ask(request)
    approver = desk.approver(machines=(OTHER_VM,))
    desk.request()  # not on the list: nobody looks at it
    assert looked(approver).state == "asked"
    nonce = there.nonce(request)
    assert nonce is not None
    there.answer(nonce, desk.vouch(nonce, digest_of(request)))
    assert f"is of the machine {desk.vm_id}" in looked(approver).what
    assert there.certificates(request) is None


def test_a_challenge_ends(desk: Desk) -> None:
    approver, request = desk.approver(), desk.request()
    assert looked(approver).state == "asked"
    first = nonce_for(desk, request)
    desk.exchange.answer(first, desk.vouch(first, digest_of(request)))
    desk.now += CHALLENGE_S + 1
    assert looked(approver).state == "asked"
    assert nonce_for(desk, request) != first
    assert looked(approver).state == "waits"


def test_requests_for_something_else_are_refused(desk: Desk) -> None:
    other = EnrollmentSection(
        url="https://cjienroll.blob.core.windows.net", container="enroll", roots="r", names=("evil.example",)
    )
    for request, what in (
        (certificate_request(other, ec.generate_private_key(ec.SECP384R1()), None), "for other names"),
        (b"\x30\x00", "not a machine's request"),
    ):
        approver = desk.approver()
        desk.exchange.ask(request)
        found = looked(approver)
        assert (found.state, what in found.what) == ("refused", True)
        assert desk.exchange.nonce(request) is None


def test_no_call_through_the_door_is_vouched_for(desk: Desk) -> None:
    credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    request = pb.VouchRequest(nonce=bytes(32), request_sha384=bytes(48))
    with grpc.secure_channel(f"unix:{desk.config.listen.socket}", credentials) as channel:
        vouch = channel.unary_unary(f"/{OWN_SERVICE}/Vouch", bytes, bytes)
        for message, metadata, code in (
            (request, ((TLS_HEADER, "x"),), grpc.StatusCode.PERMISSION_DENIED),
            (pb.VouchRequest(nonce=bytes(31), request_sha384=bytes(48)), (), grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                vouch(message.SerializeToString(), metadata=metadata, timeout=30)
            assert caught.value.code() is code


def test_a_machine_that_nobody_approves_tries_again(desk: Desk) -> None:
    channel = Channel(exchange=desk.exchange, vouch=desk.vouch, pause_s=0.01)
    listen = ListenSection(
        certificate=str(desk.folder / "none.pem"),
        private_key=str(desk.folder / "none.key"),
        client_roots="clients.pem",
        enrollment=desk.section,
    )
    with pytest.raises(EnrollmentRefused, match="Nobody has approved") as caught:
        enroll(listen, token=None, channel=channel, total_seconds=0.05)
    assert caught.value.status == RETRY
    assert not (desk.folder / "none.key").exists()


def test_the_approvers_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "approval.toml"
    path.write_text(
        'pool = "pool-7"\naccount = "https://cjienroll.blob.core.windows.net"\n'
        'maa_url = "https://m.eus.attest.azure.net"\nauthority = "ca.pem"\n'
        f'names = ["cji.agency.example"]\nmachines = ["{OTHER_VM}"]\n'
    )
    assert load_approval(path).authority == str(tmp_path / "ca.pem")
    path.write_text(path.read_text().replace(OTHER_VM, "vm-1"))
    with pytest.raises(StartupError, match="is not valid"):
        load_approval(path)
    with pytest.raises(StartupError, match="of another key"):
        Authority((CA.certificate,), FileSigner(ec.generate_private_key(ec.SECP384R1())))


STORE: Final = {"url": "https://cjienroll.blob.core.windows.net", "container": "enroll"}
EST: Final = {"url": "https://est.agency.example/.well-known/est"}


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"url": STORE["url"]}, "or with container a storage account's"),
        (EST | {"container": "enroll"}, "or with container a storage account's"),
        (STORE | {"audience": "api://est"}, "audience is for an EST service"),
        (EST | {"ca_file": "a.pem"}, "ca_file is for a storage account"),
    ],
)
def test_a_section_names_one_way(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        EnrollmentSection(roots="r", names=NAMES, **given)
    assert EnrollmentSection(roots="r", names=NAMES, **EST).container is None
    assert EnrollmentSection(roots="r", names=NAMES, **STORE).below(Path("/etc/cji")).roots == "/etc/cji/r"
