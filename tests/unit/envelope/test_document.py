"""docs/format.md and docs/job.md say what the code does: their examples are read and run."""

import re
import struct
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_attestation.evidence import NONCE_BYTES
from cji_audit.dissemination import load_rules
from cji_client.profile import ClientProfile, EvidenceSection, load_profile
from cji_client.spec import decode_spec, load_spec
from cji_core.errors import Reason
from cji_core.format.envelope import OVERHEAD_BYTES, SEGMENT_BYTES, Unsealer, input_aad, output_aad, sha384
from cji_core.format.job import LIMITS
from cji_core.jose import ML_DSA_SIGNATURE_BYTES, RSA_MAX_BITS, RSA_MIN_BITS
from cji_core.operations.deidentify import Deidentify
from cji_core.operations.registry import OPERATIONS, operation_of
from cji_core.trail import Claims
from cji_core.wire.v1 import worker_pb2 as pb
from tests.property.envelope.test_streams import expand
from tests.support.paths import ROOT
from tests.support.refusals import refused

DOCS = ROOT / "docs"
FORMAT = (DOCS / "format.md").read_text()


def example() -> dict[str, str]:
    block = re.search(r"```floe\n(.*?)```", FORMAT, re.DOTALL)
    assert block
    pairs = [re.split(r"  +| (?=[0-9a-f]{20})", line) for line in block[1].splitlines()]
    return {pair[0]: pair[1] for pair in pairs}


def test_worked_example_is_what_the_rules_give() -> None:
    e = example()
    key, iv, siv = (bytes.fromhex(e[name]) for name in ("key", "iv", "siv"))
    aad = input_aad(sha384(e["header bytes of the job, ASCII"].encode()), 0)
    assert aad.hex() == e["aad"]
    prefix = struct.pack(">BBII", 0, 0, SEGMENT_BYTES, 32) + iv
    assert (prefix + expand(key, prefix + b"HEADER_TAG:" + aad, 32)).hex() == e["header"]
    mk = expand(key, prefix + b"MESSAGE_KEY:" + aad, 48)
    assert mk.hex() == e["mk"]
    dek = expand(mk, prefix + b"DEK:" + bytes(8) + aad, 32)
    assert dek.hex() == e["dek(0)"]
    sealed = AESGCM(dek).encrypt(siv, e["plaintext, ASCII"].encode(), struct.pack(">QB", 0, 1))
    assert (struct.pack(">I", 16 + len(sealed)) + siv + sealed).hex() == e["segment"]


def test_worked_example_opens() -> None:
    e = example()
    key, aad, header, segment = (bytes.fromhex(e[name]) for name in ("key", "aad", "header", "segment"))
    out = memoryview(bytearray(100))
    stream = Unsealer(key, aad, header)
    assert bytes(out[: stream.unseal_into(out, memoryview(segment))]) == b"CJI"
    assert stream.complete
    with refused(Reason.SEGMENT_INVALID):
        Unsealer(key, aad + b"\0", header)


def test_numbers_of_the_document() -> None:
    assert (len(input_aad(bytes(48), 0)), len(output_aad(bytes(48), 0))) == (63, 65)
    plain = SEGMENT_BYTES - OVERHEAD_BYTES
    for text in (
        "1 048 576",
        "63 bytes",
        "65 bytes",
        f"{plain:,}".replace(",", " "),
        f"{LIMITS.batch_rows:,}".replace(",", " "),
    ):
        assert text in FORMAT
    assert LIMITS.header_bytes == 32 << 10
    assert "The limit is 32 KiB." in FORMAT
    assert f"multiple of {LIMITS.attribution_block_bytes}" in FORMAT
    assert f"{ML_DSA_SIGNATURE_BYTES} bytes" in FORMAT
    assert f"{RSA_MIN_BITS} to {RSA_MAX_BITS} bits" in FORMAT
    assert f"1 to {LIMITS.parts};" in FORMAT
    assert f"your nonce, {LIMITS.nonce_bytes} bytes" in FORMAT
    assert LIMITS.nonce_bytes == NONCE_BYTES
    assert f"| operations | 1 to {LIMITS.operations}," in FORMAT
    assert f"| recipients | 1 to {LIMITS.recipients};" in FORMAT


def test_every_field_and_claim_is_in_the_document() -> None:
    for field in pb.JobHeader.DESCRIPTOR.fields:
        assert re.search(rf"\b{field.name}\b", FORMAT), field.name
    for claim in Claims.__struct_fields__:
        assert f"`{claim}`" in FORMAT or f"`{claim}[n]`" in FORMAT, claim


def test_job_document_has_examples_that_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "job.md").read_text(), re.DOTALL)
    job, operations, others, client, evidence, retention = blocks
    (tmp_path / "retention.toml").write_text(retention)
    assert load_rules(tmp_path / "retention.toml").keep.result_days == 30
    own = decode_spec(job)
    spec = decode_spec(f"{job}\n{operations}")
    (operation,) = own.operations
    assert isinstance(operation, Deidentify)
    assert operation.is_keyed
    (tmp_path / "client.toml").write_text(client)
    (tmp_path / "genoa-2026-11.jws").write_bytes(b"signed")
    profile = load_profile(tmp_path / "client.toml")
    assert profile.reference.acceptances == (b"signed",)
    of_other_pages = {"signer", "decrypter"}  # docs/command.md
    assert set(msgspec.toml.decode(f"{client}\n{evidence}")) == set(ClientProfile.__struct_fields__) - of_other_pages
    section = msgspec.convert(msgspec.toml.decode(evidence)["evidence"], EvidenceSection)
    assert section.timestamp == "http://tsa.example.gov/tsr"
    assert profile.reference.products == ("Genoa", "Turin")
    assert set(msgspec.toml.decode(f"{job}\n{operations}")) == set(type(spec).__struct_fields__)
    assert {"operations", "sides"} == set(msgspec.toml.decode(operations))
    every = [*spec.operations, *decode_spec(f"{job}\n{others}").operations]
    assert {operation_of(each).name for each in every} == set(OPERATIONS)
    assert (
        load_spec(None, defaults={**msgspec.toml.decode(job), **profile.job, "recipients": ["{}"], "escrow": []}).input
        == spec.input
    )
    for text in re.findall(r"`(\{ do = [^`\n]*\})`", (DOCS / "job.md").read_text()):
        if "..." in text:  # steps that operations.md lists
            continue
        table = msgspec.toml.decode(f"x = {text}")
        msgspec.convert({"project": "p", "columns": table}, Deidentify)
