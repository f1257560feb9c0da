"""Inputs that the fuzzer found: each got past a reader, or out of it as an exception that is not ours."""

import io
import os
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_attestation import AZURE_US, Fault
from cji_attestation.evidence.imds import region
from cji_attestation.evidence.pcs import _ends
from cji_attestation.release.unwrap import unwrap_into
from cji_attestation.trust import endpoint
from cji_client.errors import SpecError, Unverified
from cji_client.parts import open_part, seal_stream
from cji_client.profile import load_profile
from cji_client.spec import decode_spec
from cji_core.errors import StartupError
from cji_core.format.configuration import worker as config
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.broker.request import MalformedError
from cji_worker.ipc import Channel, ChannelClosed
from cji_worker.ipc.messages import CellFromFront, FrontFromCell, KeyholderFromCell
from tests.adversarial.attestation.test_mutants_checks import verified
from tests.fuzz.attestation_targets import _imds
from tests.fuzz.broker_targets import BROKER
from tests.fuzz.job_targets import _answers, _collect
from tests.fuzz.mutators import packets, split
from tests.support.forge import machine
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel


@pytest.mark.parametrize("odd", ["\n", "\t", "\r", " ", "\x00", "\x7f", "é", "\u2028"])
@pytest.mark.parametrize(
    "url", ["https://cji{}.vault.azure.net/", "https://cji.vault.azure.net/{}", "{}https://cji.vault.azure.net"]
)
def test_k04_characters_that_url_readers_drop(url: str, odd: str) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        endpoint(url.format(odd), AZURE_US.vault_hosts, resource="", check="url")


@pytest.mark.parametrize(
    "url", ["httpS://cji.vault.azure.net", "https://cji.vault.azure.net?", "https://cji.vault.azure.net/#"]
)
def test_k04_addresses_that_are_not_what_their_parts_are(url: str) -> None:
    assert endpoint("https://cji.vault.azure.net/", AZURE_US.vault_hosts, resource="", check="url")
    with rejected(fault=Fault.CONFIG_INVALID):
        endpoint(url, AZURE_US.vault_hosts, resource="", check="url")


@pytest.mark.parametrize("behind", [b"", b"x", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_request_that_ends_with_a_read_is_one(behind: bytes) -> None:
    """What follows is never read, since the broker answers once; the target took it for a wrong acceptance."""
    (target,) = BROKER
    head = b"GET /x HTTP/1.1\r\nX: %s\r\n\r\n"
    request = head % (b"y" * (1002 - len(head)))
    assert len(request) == 1000
    assert target.fair(request + behind, target.read(request + behind))
    with pytest.raises(MalformedError):
        target.read(request[:-5] + request[-4:] + b"x")


@pytest.mark.parametrize("odd", [-0.0, 0.0, False, "0", None])
def test_a18_numbers_of_pcrs_are_integers(odd: object) -> None:
    claims = machine().token_claims(machine().evidence())
    claims["x-ms-azurevm-attested-pcrs"][0] = odd
    with rejected("T17"):
        verified(machine().token(claims))


def test_released_key_of_an_unknown_kind() -> None:
    der = machine().ek.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    rsa_oid = bytes.fromhex("06092a864886f70d010101")
    wrapped = aes_key_wrap_with_padding(bytes(32), der.replace(rsa_oid, rsa_oid[:-1] + b"\x63"))
    with rejected("unwrap", fault=Fault.RELEASE_INVALID):
        unwrap_into(
            bytes(256) + wrapped,
            memoryview(bytearray(4096)),
            decrypt=lambda _: bytearray(32),
            public_key=machine().ek.public_key(),
        )


def test_list_of_revoked_certificates_of_an_unknown_version() -> None:
    collateral = intel().collateral()
    at = collateral.pck_crl.index(b"\x02\x01\x01")  # version, an INTEGER: 1 is version 2
    crl = collateral.pck_crl[:at] + b"\x02\x01\x05" + collateral.pck_crl[at + 3 :]
    with rejected("pcs-crl", fault=Fault.EVIDENCE_UNAVAILABLE):
        _ends(msgspec.structs.replace(collateral, pck_crl=crl))


def test_text_that_is_not_utf8_closes_channel_and_descriptors() -> None:
    ours, theirs = Channel.pair()
    channel: Channel[KeyholderFromCell, KeyholderFromCell] = Channel(theirs, KeyholderFromCell)
    descriptors = len(os.listdir("/proc/self/fd"))
    for packet in (b"\x81\xa4type\xa2\xff\xff", b"\x91" * 100_000):
        ours.sendmsg([packet], [(1, 1, ours.fileno().to_bytes(4, "little"))])  # SOL_SOCKET, SCM_RIGHTS
        with pytest.raises(ChannelClosed):
            channel.receive()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    ours.close()
    channel.close()


def test_files_of_many_levels(tmp_path: Path) -> None:
    text = "a = " + "[" * 100_000
    (tmp_path / "file").write_text(text)
    with pytest.raises(StartupError):
        config.load(tmp_path / "file")
    with pytest.raises(SpecError):
        load_profile(tmp_path / "file")
    with pytest.raises(SpecError):
        decode_spec(text)


def test_part_that_announces_more_than_there_is_memory() -> None:
    """A worker that is attested and still lies about a length."""
    batch = pa.record_batch({"a": pa.array([7] * 5000, pa.uint8())})
    body = pa.ipc.read_message(message := batch.serialize()).body.size
    lying = message.to_pybytes().replace(body.to_bytes(8, "little"), (1 << 62).to_bytes(8, "little"))
    messages = [batch.schema.serialize(), lying]
    with pytest.raises(Unverified):
        list(
            open_part(
                bytes(32),
                b"aad",
                io.BytesIO(b"".join(seal_stream(bytes(32), b"aad", messages))),
                name="result",
                padded=False,
            )
        )


@pytest.mark.parametrize(
    "message",
    [
        {"type": "OutputReady", "slot": 4, "part": 0, "index": 0, "length": 9},
        {"type": "OutputReady", "slot": -1, "part": 0, "index": 0, "length": 9},
        {"type": "OutputReady", "slot": 0, "part": 0, "index": 0, "length": -1},
        {"type": "OutputReady", "slot": 0, "part": 0, "index": 0, "length": (1 << 20) + 4097},
        {"type": "InputFreed", "slot": 4},
    ],
)
def test_slots_and_lengths_outside_the_ring_are_no_messages(message: dict[str, object]) -> None:
    ours, theirs = Channel.pair()
    channel: Channel[FrontFromCell, CellFromFront] = Channel(theirs, FrontFromCell)
    ours.send(msgspec.msgpack.encode(message))
    with pytest.raises(ChannelClosed):
        channel.receive()
    ours.close()
    channel.close()


@pytest.mark.parametrize("odd", ["\x1c", "\x1d"])
def test_blanks_that_only_text_knows_are_no_region(odd: str) -> None:
    with rejected(fault=Fault.EVIDENCE_UNAVAILABLE):
        _imds(region)(f"{odd}eastus".encode())


def test_an_answer_with_an_empty_receipt_is_incomplete() -> None:
    *others, _ = split(_answers()[0])
    done = pb.RunResponse(done=pb.Done()).SerializeToString()
    with pytest.raises(Unverified, match="incomplete"):
        _collect(packets(*others, done))
