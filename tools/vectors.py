"""Write docs/vectors: a whole job of each suite with every key that opens it, for authors of other implementations.

python -m tools.vectors

Each run makes new keys, so the files change as a whole. The keys protect nothing. docs/format.md explains the members;
tests/conformance/envelope/test_format_vectors.py reads the files with a second implementation of that page.
"""

import hashlib
import json
import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_client.parts import arrow_messages, seal_stream
from cji_client.seal import SealedJob, seal
from cji_client.signers import KeySigner
from cji_client.sources import fit
from cji_client.spec import InputSpec, JobSpec
from cji_core.format.columns import (
    CEK_BYTES,
    ColumnEncryption,
    ColumnEncryptionKey,
    ColumnFormat,
    ColumnKeyStatement,
    ColumnRight,
    SqlType,
    StatedColumn,
    new_statement,
    seal_keys,
)
from cji_core.format.envelope import (
    ATTRIBUTION,
    WrappingKey,
    new_dek,
    output_aad,
    seal_box,
    sha384,
    signer_thumbprint,
    unwrap_seed,
    wrap_result_key,
)
from cji_core.format.envelope.admission import sign_admission
from cji_core.format.job import (
    Attribution,
    InputPart,
    JobId,
    OutputPart,
    Recipient,
    SealedOutput,
    SizeClass,
    new_header,
)
from cji_core.format.job.result_header import result_header
from cji_core.format.keys import PinnedKey, RecipientPrivateKey, new_ml_kem_seed, new_project_key, new_signing_key
from cji_core.format.records import SCHEMAS
from cji_core.jose import SigningKey, key_id, parse_recipient, public_jwk, thumbprint
from cji_core.operations.deidentify import Deidentify, HmacToken
from cji_core.operations.registry import OPERATIONS
from cji_core.pairs import DecryptionPair, SigningPair
from cji_core.strict import b64url, b64url_decode
from cji_core.suites import Suite
from cji_core.trail import (
    FIRST_PREVIOUS,
    WITNESSES,
    Claims,
    CryptoModule,
    PartDigest,
    TpmClock,
    Transport,
    Volumes,
    receipt_sha384,
    sign,
)
from cji_core.trail.confirmations import ConfirmationClaims, CountedOutput, sign_confirmation

FOLDER: Final = Path(__file__).parent.parent / "docs/vectors"
_KEK_ID: Final = "https://vectors.vault.azure.net/keys/cji-vectors/" + "0123456789abcdef" * 2
_NOW: Final = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
_ROWS: Final = {"record_id": ["r1", "r2"], "last": ["MUÑOZ", None]}
_TOKENS: Final = Deidentify(
    project="vectors", columns={"record_id": "keep", "last": HmacToken(domain="name", bits=128)}
)


def main() -> None:
    """Write one file for each suite."""
    FOLDER.mkdir(exist_ok=True)
    for suite in Suite:
        _write(str(suite), _vector(suite))
    _write("column-keys", {str(suite): _columns(suite) for suite in Suite})


def _write(name: str, vector: dict[str, Any]) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(vector, indent=1, ensure_ascii=False) + "\n")


def _vector(suite: Suite) -> dict[str, Any]:
    hybrid = suite is Suite.HYBRID_1
    cmk = rsa.generate_private_key(65537, 3072)
    wrapped_seed, ml_kem = new_ml_kem_seed(cmk.public_key(), _KEK_ID)
    signing: SigningKey = SigningPair.generate() if hybrid else ec.generate_private_key(ec.SECP384R1())
    receipts: SigningKey = SigningPair.generate() if hybrid else ec.generate_private_key(ec.SECP384R1())
    recipient: RecipientPrivateKey = DecryptionPair.generate() if hybrid else rsa.generate_private_key(65537, 3072)
    kek = PinnedKey.check(
        _KEK_ID,
        public_jwk(cmk.public_key()),
        expected=key_id(cmk.public_key()),
        ml_kem_jwk=public_jwk(ml_kem),
        expected_ml_kem=key_id(ml_kem) if hybrid else None,
    )
    spec = _spec(suite, kek, public_jwk(recipient.public_key()))
    project = new_project_key("vectors")
    job = seal(spec, kek=kek, signing_key=signing, project_key=project, rows=2, now=_NOW)
    sealed = list(job.seal_part(0, _table()))
    half = {
        "ml_kem_seed": unwrap_seed(cmk, _KEK_ID, b64url_decode(wrapped_seed)).hex(),
        "ml_kem_jwk": public_jwk(ml_kem),
        "wrapped_ml_kem_seed": wrapped_seed,
    }
    return {
        "suite": str(suite),
        "worker_key": {
            "kek_id": _KEK_ID,
            "cmk_private": _pkcs8(cmk),
            "cmk_jwk": public_jwk(cmk.public_key()),
            **(half if hybrid else {}),
        },
        "submitter": {"private": _private(signing), "jwk": public_jwk(signing.public_key())},
        "recipient": {"private": _private(recipient), "jwk": public_jwk(recipient.public_key())},
        "header": job.header.data.hex(),
        "signature": job.signature.hex(),
        "admission": _admission(job, receipts),
        "wrapped_dek": job.header.wrapped_dek.hex(),
        "dek": job._dek.hex(),
        "attribution": {name: getattr(spec, name) for name in _PERSONAL},
        "project_key": project.key.hex(),
        "input": [data.hex() for data in sealed],
        "plaintext": b"".join(
            bytes(each) for each in arrow_messages(fit(_table(), InputSpec(schema="person/1")).open())
        ).hex(),
        **_result(job, sealed, receipts),
    }


def _admission(job: SealedJob, receipts: SigningKey) -> dict[str, Any]:
    """The proof of the second attempt at the worker with this receipt key."""
    nonce, attempt = os.urandom(32), 2
    signature = sign_admission(
        job.send_key,
        job.header.suite,
        nonce=nonce,
        receipt_key=thumbprint(receipts.public_key()),
        header_sha384=job.header.sha384,
        attempt=attempt,
    )
    return {
        "send_private": _private(job.send_key),
        "send_jwk": public_jwk(job.send_key.public_key()),
        "nonce": nonce.hex(),
        "attempt": attempt,
        "signature": signature.hex(),
    }


def _columns(suite: Suite) -> dict[str, Any]:
    """A header with column keys, the keys that open them, and the agency's that signed them."""
    cmk = rsa.generate_private_key(65537, 3072)
    seed, ml_kem = os.urandom(64), None
    if suite is Suite.HYBRID_1:
        ml_kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed).public_key()
    wrapping = WrappingKey(cmk.public_key(), ml_kem)
    new_key = SigningPair.generate if suite is Suite.HYBRID_1 else new_signing_key
    agency: SigningKey = new_key()
    submitter: SigningKey = new_key()
    recipient = DecryptionPair.generate() if suite is Suite.HYBRID_1 else rsa.generate_private_key(65537, 3072)
    ceks = [os.urandom(CEK_BYTES) for _ in range(2)]
    statement = _statement(suite, ceks, signer=agency, submitter=submitter)
    keys = seal_keys(statement, ceks, wrapping=wrapping, signer=KeySigner(agency))
    dek, wrapped_dek = new_dek(wrapping, suite)
    attribution = Attribution(operator_id="jdoe", requestor="Det. Muñoz", reason="Extract for study 17")
    jwk = public_jwk(recipient.public_key())
    header = new_header(
        job_id=JobId(os.urandom(16)),
        audience="cji-pool-vectors",
        originating_ori=statement.originating_ori,
        requesting_ori=statement.originating_ori,
        sealed_attribution=seal_box(dek, ATTRIBUTION, attribution.encode()),
        submitter=statement.submitters[0],
        purpose_code="C",
        inputs=[InputPart(name="records", schema="person/1", sealed_columns=("SOC", "last"))],
        operations=[OPERATIONS["deidentify"].message(Deidentify(columns={"SOC": "keep", "last": "drop"}))],
        kek_id=_KEK_ID,
        wrapped_dek=wrapped_dek,
        recipients=[Recipient(key_id=key_id(recipient.public_key()), jwk=jwk)],
        created=_NOW,
        not_after=_NOW + timedelta(hours=1),
        suite=suite,
        size_class=SizeClass.POWER_OF_TWO,
        column_keys=[keys],
        sealed_outputs=[SealedOutput(output="result", column="SOC", column_keys=0, as_column="SOC")],
    )
    half = {} if ml_kem is None else {"ml_kem_seed": seed.hex(), "ml_kem_jwk": public_jwk(ml_kem)}
    return {
        "worker_key": {"kek_id": _KEK_ID, "cmk_private": _pkcs8(cmk), "cmk_jwk": public_jwk(cmk.public_key()), **half},
        "agency": {"private": _private(agency), "jwk": public_jwk(agency.public_key())},
        "ceks": [cek.hex() for cek in ceks],
        "statement": statement.data.hex(),
        "wrapped_key": keys.wrapped_key.hex(),
        "sealed_keys": keys.sealed_keys.hex(),
        "signature": keys.signature.hex(),
        "header": header.hex(),
    }


def _statement(suite: Suite, ceks: list[bytes], *, signer: SigningKey, submitter: SigningKey) -> ColumnKeyStatement:
    """A deterministic column that results may be sealed as, and a randomized one."""
    path = "https://vectors.vault.azure.net/keys/always-encrypted/" + "0123456789abcdef" * 2
    last, soc = SqlType.parse("nvarchar(60)"), SqlType.parse("char(11) cp1252")
    rights = frozenset((ColumnRight.OPEN, ColumnRight.SEAL))
    return new_statement(
        format=ColumnFormat.SQL_SERVER,
        table="vectors.dbo.Persons",
        keys=[ColumnEncryptionKey(key_path=path, cek_sha384=sha384(cek)) for cek in ceks],
        columns=[
            _stated("last", last, ColumnEncryption.RANDOMIZED, frozenset((ColumnRight.OPEN,)), 0),
            _stated("SOC", soc, ColumnEncryption.DETERMINISTIC, rights, 1),
        ],
        originating_ori="WI0130000",
        purpose_codes=["C"],
        submitters=[signer_thumbprint(submitter.public_key(), suite)],
        signer=signer_thumbprint(signer.public_key(), suite),
        suite=suite,
        kek_id=_KEK_ID,
        created=_NOW,
        not_after=_NOW + timedelta(days=365),
    )


def _stated(
    name: str, type_: SqlType, encryption: ColumnEncryption, rights: frozenset[ColumnRight], key: int
) -> StatedColumn:
    data_class = SCHEMAS["person/1"].columns[name].data_class
    return StatedColumn(column=name, type=type_, data_class=data_class, encryption=encryption, rights=rights, key=key)


_PERSONAL: Final = ("operator_id", "requestor", "secondary_recipient", "case_number", "reason")


def _spec(suite: Suite, kek: PinnedKey, recipient: str) -> JobSpec:
    return JobSpec(
        audience="cji-pool-vectors",
        originating_ori="WI0130000",
        requesting_ori="WI0130000",
        operator_id="jdoe",
        requestor="Det. Muñoz",
        reason="Extract for study 17",
        case_number="2026-000123",
        purpose_code="C",
        kek_id=kek.kek_id,
        kek_thumbprint=kek.thumbprint,
        ml_kem_thumbprint=kek.ml_kem_thumbprint,
        suite=suite,
        recipients=(recipient,),
        input=InputSpec(schema="person/1"),
        operations=(_TOKENS,),
    )


def _table() -> pa.Table:
    return pa.table({name: pa.array(values, pa.utf8()) for name, values in _ROWS.items()})


def _result(job: SealedJob, sent: list[bytes], signer: SigningKey) -> dict[str, Any]:
    """A result in the form in which a worker makes it; for brevity, both outputs are the input again."""
    header, result_key = job.header, os.urandom(32)
    (to,) = header.recipients
    wrapped = wrap_result_key(parse_recipient(to.jwk, header.suite), result_key, header.sha384)
    schemas = {"result": "person/1", "row_status": "row_status/1"}
    outputs = [OutputPart(name=name, schema=schema) for name, schema in schemas.items()]
    data = result_header(header, worker_id="worker-1", outputs=outputs, wrapped_keys=[wrapped])
    messages = list(arrow_messages(fit(_table(), InputSpec(schema="person/1")).open()))
    sealed = [list(seal_stream(result_key, output_aad(sha384(data), part), messages)) for part in range(2)]
    receipt = sign(_claims(job, sent, data, sealed), signer)
    confirming: SigningKey = SigningPair.generate() if isinstance(signer, SigningPair) else new_signing_key()
    counted = (CountedOutput(name=name, schema=schema, rows=2) for name, schema in schemas.items())
    confirmation = ConfirmationClaims(
        version=1,
        receipt_sha384=receipt_sha384(receipt),
        suite=header.suite,
        recipient=to.key_id,
        outputs=tuple(counted),
        confirmed="2026-11-26T13:00:00.00Z",
    )
    return {
        "result_header": data.hex(),
        "result_key": result_key.hex(),
        "output": [each.hex() for each in sealed[0]],
        "receipt_jwk": public_jwk(signer.public_key()),
        "receipt": receipt,
        "confirmation_jwk": public_jwk(confirming.public_key()),
        "confirmation": sign_confirmation(confirmation, confirming),
    }


def _claims(job: SealedJob, sent: list[bytes], result: bytes, outputs: list[list[bytes]]) -> Claims:
    header = job.header
    return Claims(
        version=1,
        worker="worker-1",
        sequence=1,
        previous_sha384=FIRST_PREVIOUS,
        job_id=header.job_id.hex(),
        header_sha384=header.sha384.hex(),
        result_header_sha384=sha384(result).hex(),
        inputs=(_digest("records", sent),),
        outputs=tuple(_digest(name, part) for name, part in zip(("result", "row_status"), outputs, strict=True)),
        witnesses=WITNESSES,
        submitter="vectors-pd",
        submitter_key=b64url(header.submitter),
        originating_ori=header.originating_ori,
        requesting_ori=header.requesting_ori,
        suite=header.suite,
        purpose_code=header.purpose_code,
        operations=header.operation_names,
        recipients=tuple(each.key_id for each in header.recipients),
        kek_id=header.kek_id,
        volumes=Volumes(rows_in=2, rows_out=2, bytes_in=1, bytes_out=1, chri_rows_out=0, subjects_out=2),
        started="2026-11-26T12:00:01.00Z",
        ended="2026-11-26T12:00:01.05Z",
        region="eastus",
        tee="snp",
        tcb={"snp": 27},
        accepted_advisories=(),
        evidence_sha384="0" * 96,
        maa_token_sha384="0" * 96,
        policy_sha384="0" * 96,
        config_sha384="0" * 96,
        code_sha384="0" * 96,
        tables_sha256="0" * 64,
        fips=CryptoModule(name="OpenSSL", version="4.0.3", certificate="none", mode="not_approved"),
        transport=Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
        host_profile="none",
        simulated=True,
        tpm=TpmClock(clock=1, reset_count=1, restart_count=1),
        trail="0d" * 48,
        audit_anchor=1,
    )


def _digest(name: str, sealed: list[bytes]) -> PartDigest:
    data = b"".join(sealed)
    return PartDigest(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _private(key: SigningKey | RecipientPrivateKey) -> list[str]:
    match key:
        case SigningPair(ml_dsa, p384):
            return [_pkcs8(ml_dsa), _pkcs8(p384)]
        case DecryptionPair(ml_kem, p384):
            return [_pkcs8(ml_kem), _pkcs8(p384)]
        case _:
            return [_pkcs8(key)]


def _pkcs8(key: PrivateKeyTypes) -> str:
    return b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


if __name__ == "__main__":
    main()
