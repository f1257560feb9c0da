"""Cases about what is signed: headers, admissions, receipts, failure receipts; and about the result header."""

import hmac
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, HYBRID, Job, put
from tools.kit.writer import (
    Signer,
    b64url,
    chance,
    compact,
    expand,
    key_id,
    other_s,
    result_key,
    sha384,
    signed,
    thumbprint,
)

JOBS: Final = (CLASSICAL, HYBRID)
_ML_DSA: Final = 4627
Claims = dict[str, Any]


def _signatures_of(job: Job, signer: Signer, message: bytes) -> dict[str, bytes]:
    """Signatures that are none of this message, by what is wrong with them."""
    good = signer.sign(message)
    half = _ML_DSA if job.hybrid else 48
    found = {
        "of no bytes": b"",
        "of another message": signer.sign(message + b"\0"),
        "by another key": Signer("stranger", job.hybrid).sign(message),
        "with the first bit changed": bytes([good[0] ^ 128]) + good[1:],
        "with the last bit changed": good[:-1] + bytes([good[-1] ^ 1]),
        "a byte short": good[:-1],
        "a byte too long": good + b"\0",
        "of its first half alone": good[:half],
        "of its second half alone": good[half:],
        "with zeros as its first half": bytes(half) + good[half:],
        "with zeros as its second half": good[:half] + bytes(len(good) - half),
    }
    if job.hybrid:
        der = good[_ML_DSA:]
        long_form = b"\x30\x81" + der[1:]
        found |= {
            "with r ‖ s in place of DER": good[:_ML_DSA] + signer.es384(signer.prepared(message)),
            "with a length of DER in its long form": good[:_ML_DSA] + long_form,
            "of the message itself": good[:_ML_DSA] + _der(signer.es384(message)),
            "of the other suite": signer.es384(message),
        }
    else:
        found |= {
            "in DER": _der(good),
            "with s = 0": good[:48] + bytes(48),
            "with r of the order": b"\xff" * 48 + good[48:],
        }
    return found


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big"))


def signatures() -> Iterator[Case]:
    """The submitter's signature over a header (§2)."""
    for job in JOBS:
        header, signer = job.header(), job.signer
        message = b"cji-job-sig/1\0" + sha384(header)
        good = signer.sign(message)
        given = {"jwk": signer.jwk, "header": header.hex()}
        expected = {"prepared": signer.prepared(message).hex()} if job.hybrid else {}
        yield Case.valid(job.suite, expected=expected, signature=good.hex(), **given)
        if not job.hybrid:
            why = "ECDSA: (r, n - s) verifies where (r, s) does, and nothing depends on the bytes of a signature"
            yield Case.acceptable("classical-1, the other s", why, signature=other_s(good).hex(), **given)
        for name, wrong in _signatures_of(job, signer, message).items():
            yield Case.broken(
                f"{job.suite}, {name}",
                "signature",
                "HEADER_SIGNATURE_INVALID",
                made_from=job.suite,
                signature=wrong.hex(),
                **given,
            )
        stranger = Signer("stranger", job.hybrid)
        given = {"jwk": stranger.jwk, "header": header.hex()}
        yield Case.broken(
            f"{job.suite}, by a key that the header does not name",
            "submitter",
            "SUBMITTER_MISMATCH",
            made_from=job.suite,
            signature=stranger.sign(message).hex(),
            **given,
        )


def admissions() -> Iterator[Case]:
    """The signature that admits an attempt (§6)."""
    for job in JOBS:
        send = Signer("send key", job.hybrid)
        header = job.header(put(send_key=thumbprint(send.jwk)))
        nonce, worker = chance("admission/nonce", 32), Signer("receipts", job.hybrid)

        def message(
            *, attempt: int = 2, nonce: bytes = nonce, worker: Signer = worker, header: bytes = header
        ) -> bytes:
            return b"cji-admit/1\0" + nonce + thumbprint(worker.jwk) + sha384(header) + struct.pack(">I", attempt)

        given = {
            "header": header.hex(),
            "submitter_jwk": job.signer.jwk,
            "send_jwk": send.jwk,
            "nonce": nonce.hex(),
            "receipt_jwk": worker.jwk,
            "attempt": 2,
        }
        yield Case.valid(
            job.suite, expected={"message": message().hex()}, signature=send.sign(message()).hex(), **given
        )
        wrongs = _signatures_of(job, send, message()) | {
            "of the attempt before": send.sign(message(attempt=1)),
            "of another nonce": send.sign(message(nonce=chance("admission/other", 32))),
            "for another worker": send.sign(message(worker=Signer("another worker", job.hybrid))),
            "of another header": send.sign(message(header=job.header())),
            "by the submitter's key": job.signer.sign(message()),
        }
        for name, wrong in wrongs.items():
            yield Case.broken(
                f"{job.suite}, {name}",
                "admission",
                "ADMISSION_SIGNATURE",
                made_from=job.suite,
                signature=wrong.hex(),
                **given,
            )
        other = given | {"send_jwk": Signer("stranger", job.hybrid).jwk}
        yield Case.broken(
            f"{job.suite}, with another send key",
            "send key",
            "ADMISSION_SIGNATURE",
            made_from=job.suite,
            signature=send.sign(message()).hex(),
            **other,
        )
        none = given | {"send_jwk": ""}
        yield Case.broken(
            f"{job.suite}, without the send key",
            "send key",
            "ADMISSION_SIGNATURE",
            made_from=job.suite,
            signature=send.sign(message()).hex(),
            **none,
        )


def result_header(job: Job, *changes: Callable[[pb.ResultHeader], object]) -> pb.ResultHeader:
    """The result header of a job, with changes made to it."""
    header = job.header()
    wrapped, _ = result_key(job.recipient, chance("result keys/key", 32), header, f"result keys/{job.name}")
    made = pb.ResultHeader(
        version=1,
        job_id=job.message().job_id,
        job_header_sha384=sha384(header),
        worker_id="worker-1",
        outputs=[
            pb.OutputPart(name="result", schema="person/1"),
            pb.OutputPart(name="row_status", schema="row_status/1"),
        ],
        recipients=[pb.WrappedKey(key_id=key_id(job.recipient.jwk), wrapped_dek=wrapped)],
    )
    for change in changes:
        change(made)
    return made


def _wrapped(data: bytes) -> Callable[[pb.ResultHeader], object]:
    return lambda message: setattr(message.recipients[0], "wrapped_dek", data)


def _entry(key: str) -> Callable[[pb.ResultHeader], object]:
    return lambda message: message.recipients.add(key_id=key, wrapped_dek=message.recipients[0].wrapped_dek)


def _field(name: str, value: object) -> Callable[[pb.ResultHeader], object]:
    return lambda message: setattr(message, name, value)


def _first_output(name: str, value: object) -> Callable[[pb.ResultHeader], object]:
    return lambda message: setattr(message.outputs[0], name, value)


def _outputs(count: int) -> Callable[[pb.ResultHeader], object]:
    more = [pb.OutputPart(name=f"side_{n}", schema="person/1") for n in range(count - 2)]
    return lambda message: message.outputs.extend(more)


def result_headers() -> Iterator[Case]:
    """A result header, against the header of its job (§7)."""
    changes: dict[str, Callable[[pb.ResultHeader], object]] = {
        "version 2": _field("version", 2),
        "another job_id": _field("job_id", bytes(15) + b"\1"),
        "another header": _field("job_header_sha384", bytes(47) + b"\1"),
        "no result": _first_output("name", "results"),
        "two outputs of one name": _first_output("name", "row_status"),
        "a name with a slash": lambda message: message.outputs.add(name="../x", schema="person/1"),
        "a schema without a number": _first_output("schema", "person"),
        "17 outputs": _outputs(17),
        "one shard": _first_output("shards", 1),
        "1025 shards": _first_output("shards", 1025),
        "no recipient": lambda message: message.ClearField("recipients"),
        "a recipient too many": _entry("A" * 43),
        "a recipient twice": _entry(key_id(CLASSICAL.recipient.jwk)),
        "another recipient": lambda message: setattr(message.recipients[0], "key_id", "A" * 43),
    }
    for job in JOBS:
        good, header = result_header(job), job.header().hex()
        data = good.SerializeToString(deterministic=True)
        yield Case.valid(job.suite, header=header, result_header=data.hex())
        more = {} if job.hybrid else changes
        more |= {
            "a shorter wrapped key": _wrapped(good.recipients[0].wrapped_dek[1:]),
            "a longer wrapped key": _wrapped(good.recipients[0].wrapped_dek + b"\0"),
        }
        for name, change in more.items():
            wrong = result_header(job, change).SerializeToString(deterministic=True)
            yield Case.untrue(
                f"{job.suite}, {name}",
                "result header",
                "result_header",
                made_from=job.suite,
                header=header,
                result_header=wrong.hex(),
            )
    most = result_header(CLASSICAL, _outputs(16)).SerializeToString(deterministic=True)
    yield Case.valid("16 outputs", header=CLASSICAL.header().hex(), result_header=most.hex())
    data = result_header(CLASSICAL).SerializeToString(deterministic=True)
    for name, wrong in {
        "no bytes": b"",
        "an unknown field": data + b"\x7a\x00",
        "fields in another order": data[2:] + data[:2],
        "a byte short": data[:-1],
    }.items():
        yield Case.untrue(
            name,
            "result header",
            "result_header",
            made_from="classical-1",
            header=CLASSICAL.header().hex(),
            result_header=wrong.hex(),
        )


def claims_of(job: Job) -> Claims:
    """The claims of a receipt of this job; its parts are empty streams of digests."""
    part = {"name": "records", "sha256": "0a" * 32, "bytes": 106}
    return {
        "version": 1, "worker": "worker-1", "sequence": 1, "previous_sha384": "0" * 96,
        "job_id": job.message().job_id.hex(), "header_sha384": sha384(job.header()).hex(),
        "result_header_sha384": sha384(result_header(job).SerializeToString(deterministic=True)).hex(),
        "inputs": [part], "outputs": [part | {"name": "result"}, part | {"name": "row_status"}],
        "witnesses": ["front", "cell"], "submitter": "vectors-pd", "submitter_key": key_id(job.signer.jwk),
        "originating_ori": "WI0130000", "requesting_ori": "WI0130000", "suite": job.suite, "purpose_code": "C",
        "operations": ["validate"], "recipients": [key_id(job.recipient.jwk)], "kek_id": job.message().kek_id,
        "volumes": {
            "rows_in": 2, "rows_out": 2, "bytes_in": 106, "bytes_out": 212, "chri_rows_out": 0, "subjects_out": 2,
        },
        "started": "2026-11-26T12:00:01.00Z", "ended": "2026-11-26T12:00:01.05Z", "region": "eastus", "tee": "snp",
        "tcb": {"bootloader": 4, "snp": 27}, "accepted_advisories": [],
        "evidence_sha384": "0b" * 48, "maa_token_sha384": "0c" * 48,
        "policy_sha384": "01" * 48, "config_sha384": "02" * 48, "code_sha384": "03" * 48, "tables_sha256": "04" * 32,
        "fips": {"name": "OpenSSL", "version": "3.5.4", "certificate": "none", "mode": "not_approved"},
        "transport": {"protocol": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "bits": 256},
        "host_profile": "none", "simulated": False, "tpm": {"clock": 1, "reset_count": 1, "restart_count": 1},
        "trail": "0d" * 48, "audit_anchor": 1,
    }  # fmt: skip


def failure_of(job: Job) -> Claims:
    """The claims of a failure receipt of this job."""
    receipt = claims_of(job)
    same = ("version", "worker", "job_id", "header_sha384", "submitter", "originating_ori", "requesting_ori", "suite")
    mine = {
        "attempts": 3,
        "reason": "CELL_FAILED",
        "stage": "compute",
        "queued": "2026-11-26T12:00:00.00Z",
        "failed": "2026-11-26T12:09:00.00Z",
    }
    rest = ("tee", "evidence_sha384", "maa_token_sha384", "policy_sha384", "config_sha384", "code_sha384", "simulated")
    return {name: receipt[name] for name in same} | mine | {name: receipt[name] for name in rest}


def _wrong_claims(claims: Claims) -> Iterator[tuple[str, Claims]]:
    """Each claim left out, and of another type; those with one value, with another."""
    for name, value in claims.items():
        yield f"without {name}", {other: each for other, each in claims.items() if other != name}
        wrong: object = 1 if isinstance(value, str | list | dict) else "1"
        yield f"with another type of {name}", claims | {name: wrong}
        if isinstance(value, str) and name != "suite":
            yield f"with an empty {name}", claims | {name: ""}
    yield "with an unknown claim", claims | {"note": "x"}
    yield "with version 2", claims | {"version": 2}


def _unused_bits(head: str, payload: str, signature: str, sign: Callable[[bytes], bytes]) -> Iterator[tuple[str, str]]:
    """The same document with unused bits in the last character of a part, as far as one has any; signed again."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    def other(part: str) -> str:
        return part[:-1] + alphabet[alphabet.index(part[-1]) ^ 1]

    for name, message in (("header", f"{other(head)}.{payload}"), ("claims", f"{head}.{other(payload)}")):
        if len(head if name == "header" else payload) % 4:
            yield f"with unused bits in its {name}", f"{message}.{b64url(sign(message.encode()))}"
    if len(signature) % 4:
        yield "with unused bits in its signature", f"{head}.{payload}.{other(signature)}"


def _documents(typ: str, job: Job, claims: Claims) -> Iterator[tuple[str, str]]:
    """Documents that are not in the one form, by what is wrong with them."""
    signer = Signer("receipts", job.hybrid)
    good = compact(typ, claims, signer)
    head, payload, signature = good.split(".")
    header = {"alg": "ML-DSA-87-ES384" if job.hybrid else "ES384", "kid": key_id(signer.jwk), "typ": typ}
    text, claimed = (
        json.dumps(header, separators=(",", ":")).encode(),
        json.dumps(claims, separators=(",", ":")).encode(),
    )

    def resigned(head: bytes = text, payload: bytes = claimed) -> str:
        return signed(head, payload, signer, composite=job.hybrid)

    yield from _unused_bits(
        head, payload, signature, lambda text: signer.sign(text) if job.hybrid else signer.es384(text)
    )
    yield "that is too long", f"{head}.{payload}.{signature}{'A' * (65_537 - len(good))}"
    yield "with padding", good + "="
    yield "of two parts", f"{head}.{payload}"
    yield "of four parts", good + "."
    yield "with a line feed behind it", good + "\n"
    yield (
        "with alg none",
        signed(
            json.dumps(header | {"alg": "none"}, separators=(",", ":")).encode(), claimed, signer, composite=job.hybrid
        ),
    )
    other = "ES384" if job.hybrid else "ML-DSA-87-ES384"
    yield (
        "with the alg of the other suite",
        resigned(json.dumps(header | {"alg": other}, separators=(",", ":")).encode()),
    )
    yield "with another kid", resigned(json.dumps(header | {"kid": "A" * 43}, separators=(",", ":")).encode())
    yield "with another typ", resigned(json.dumps(header | {"typ": "JWT"}, separators=(",", ":")).encode())
    yield (
        "with a jwk in its header",
        resigned(json.dumps(header | {"jwk": json.loads(signer.p384_jwk)}, separators=(",", ":")).encode()),
    )
    yield "with crit in its header", resigned(json.dumps(header | {"crit": ["exp"]}, separators=(",", ":")).encode())
    yield "with a repeated member in its header", resigned(text.replace(b'{"alg"', b'{"typ":"JWT","alg"'))
    yield "with a blank in its header", resigned(text.replace(b",", b", ", 1))
    yield (
        "with members of its header in another order",
        resigned(json.dumps(dict(reversed(header.items())), separators=(",", ":")).encode()),
    )
    yield "with a blank in its claims", resigned(payload=claimed.replace(b",", b", ", 1))
    yield "with a repeated claim", resigned(payload=claimed.replace(b'{"version":1,', b'{"version":1,"version":1,'))
    yield (
        "with claims in another order",
        resigned(payload=json.dumps(dict(reversed(claims.items())), separators=(",", ":")).encode()),
    )
    yield "with an escape that nobody needs", resigned(payload=claimed.replace(b'"snp"', b'"\\u0073np"', 1))
    yield "with a fraction in its version", resigned(payload=claimed.replace(b'"version":1,', b'"version":1.0,'))
    yield (
        "signed by another key",
        f"{head}.{payload}.{b64url(Signer('stranger', job.hybrid).sign(f'{head}.{payload}'.encode()))}",
    )
    yield "with a changed claim", f"{head}.{b64url(claimed.replace(b'worker-1', b'worker-2'))}.{signature}"


def _cases_of(typ: str, claims_for: Callable[[Job], Claims]) -> Iterator[Case]:
    for job in JOBS:
        signer, claims = Signer("receipts", job.hybrid), claims_for(job)
        good = compact(typ, claims, signer)
        yield Case.valid(job.suite, expected={"claims": claims}, jwk=signer.jwk, document=good)
        if not job.hybrid:
            head, _, signature = good.rpartition(".")
            raw = signer.es384(head.encode())
            assert b64url(raw) == signature
            yield Case.acceptable(
                "classical-1, the other s", "ECDSA: see §2", jwk=signer.jwk, document=f"{head}.{b64url(other_s(raw))}"
            )
            pair = Signer("receipts", hybrid=True)
            text = json.dumps({"alg": "ES384", "kid": key_id(pair.jwk), "typ": typ}, separators=(",", ":")).encode()
            payload = json.dumps(claims, separators=(",", ":")).encode()
            yield Case.valid(
                "classical-1, by a pair", jwk=pair.jwk, document=signed(text, payload, pair, composite=False)
            )
            for name, wrong in _wrong_claims(claims):
                document = compact(typ, wrong, signer)
                yield Case.untrue(
                    f"{job.suite}, {name}", "claims", "receipt", made_from=job.suite, jwk=signer.jwk, document=document
                )
        for name, document in _documents(typ, job, claims):
            yield Case.untrue(
                f"{job.suite}, {name}", "form", "receipt", made_from=job.suite, jwk=signer.jwk, document=document
            )


def receipts() -> Iterator[Case]:
    """Receipts (§8)."""
    yield from _cases_of("cji-receipt+jws", claims_of)


def failures() -> Iterator[Case]:
    """Failure receipts (§9)."""
    yield from _cases_of("cji-failure+jws", failure_of)


def nonce_paths() -> Iterator[Case]:
    """The root over the nonces that share a quote (§8)."""
    nonce, partners = chance("nonce", 32), [chance(f"partner {n}", 48) for n in range(7)]
    leaf = sha384(b"\0cji-nonce/1\0" + nonce)

    def walked(sides: bytes) -> tuple[bytes, bytes]:
        root = leaf
        for side, partner in zip(sides, partners, strict=False):
            root = sha384(b"\1" + (root + partner if side else partner + root))
        return b"".join(bytes([side]) + partner for side, partner in zip(sides, partners, strict=False)), root

    for sides in (b"", b"\0", b"\1", b"\0\1", b"\0\1\1\0\0\1"):
        path, root = walked(sides)
        yield Case.valid(
            f"{len(sides)} steps {sides.hex()}", expected={"root": root.hex()}, nonce=nonce.hex(), nonce_path=path.hex()
        )
    path, _ = walked(b"\0\1")
    for name, wrong in {
        "a side of 2": b"\2" + path[1:],
        "a byte short": path[:-1],
        "a byte too long": path + b"\0",
        "seven steps": walked(b"\0" * 7)[0],
    }.items():
        yield Case.untrue(
            name, "nonce path", "nonce_path", made_from="2 steps 0001", nonce=nonce.hex(), nonce_path=wrong.hex()
        )


def tickets() -> Iterator[Case]:
    """The message in the queue of jobs by reference (§9)."""
    job, digest = CLASSICAL.message().job_id.hex(), sha384(CLASSICAL.header()).hex()
    good = f'{{"v":1,"job":"{job}","header_sha384":"{digest}"}}'
    yield Case.valid("a ticket", ticket=good)
    for name, wrong in {
        "no text": "",
        "a blank": good.replace(",", ", ", 1),
        "a line feed behind it": good + "\n",
        "another order": f'{{"job":"{job}","v":1,"header_sha384":"{digest}"}}',
        "a repeated member": good.replace('"v":1,', '"v":1,"v":1,'),
        "an unknown member": good[:-1] + ',"account":"example"}',
        "no version": good.replace('"v":1,', ""),
        "version 2": good.replace('"v":1', '"v":2'),
        "a version as text": good.replace('"v":1', '"v":"1"'),
        "digits in upper case": good.replace(job, job.upper()),
        "31 digits": good.replace(job, job[:-1]),
        "a digest of 95 digits": good.replace(digest, digest[:-1]),
        "base64": b64url(good.encode()),
    }.items():
        yield Case.untrue(name, "ticket", "ticket", made_from="a ticket", ticket=wrong)


STATED_SECRET: Final = chance("statements/data key", 32)


def task_facts(job: Job, header: bytes, worker: Signer) -> Claims:
    """The facts of a task's statement, without its proof."""
    receipt, tags = claims_of(job), b64url(chance("tags", 32))
    first: Claims = {
        "version": 1, "worker": "worker-2", "receipt_jwk": worker.jwk, "job_id": receipt["job_id"],
        "header_sha384": sha384(header).hex(), "plan_sha384": "05" * 48, "stage": "compare", "task": 3,
        "attempt": "06" * 16, "parts_in": [[0, 1, 106, tags, tags]], "streams_in": [[2, 0, 3, 1, 4096, tags]],
        "streams_out": [[3, 3, 4294967295, 1, 8192, tags]], "parts_out": [],
        "rows_in": 2, "rows_out": 0, "rows_status": 0, "subjects_out": 0,
    }  # fmt: skip
    same = (
        "started", "ended", "region", "tee", "evidence_sha384", "maa_token_sha384", "policy_sha384",
        "config_sha384", "code_sha384", "tables_sha256", "host_profile",
    )  # fmt: skip
    return first | {name: receipt[name] for name in same} | {"fips": "not_approved", "simulated": False}


def planning(facts: Claims, plan_sha384: str) -> Claims:
    """The same facts of the task that planned."""
    before = {name: value for at, (name, value) in enumerate(facts.items()) if at < 6}
    return before | {"made_plan_sha384": plan_sha384} | facts


def statement_secret(key: bytes, header: bytes) -> bytes:
    """The key of proofs of the job with this data key and header."""
    return expand(key, b"cji-statement-key/1\0" + sha384(header), 48)


def proven(facts: Claims, secret: bytes) -> Claims:
    """With the proof."""
    text = json.dumps(facts, separators=(",", ":")).encode()
    return facts | {"proof": b64url(hmac.digest(secret, text, "sha384"))}


def task_statement(claims: Claims, signer: Signer, **header: str) -> str:
    """The compact JWS; members of `header` stand in place of the right ones."""
    head = {"alg": "ES384", "kid": key_id(signer.jwk), "typ": "cji-task+jws"} | header
    return compact("cji-task+jws", claims, signer, header=head)


def task_statements() -> Iterator[Case]:
    """A worker's statement about a task, with its proof under the job's data key (§10)."""
    job, worker = CLASSICAL, Signer("receipts", hybrid=False)
    facts, secret = task_facts(job, job.header(), worker), statement_secret(STATED_SECRET, job.header())

    def made(said: Claims, **header: str) -> str:
        return task_statement(proven(said, secret), worker, **header)

    given: dict[str, Any] = {"data_key": STATED_SECRET.hex()}
    yield Case.valid("a statement", expected={"statement_key": secret.hex()}, document=made(facts), **given)
    yield Case.valid("a statement of the task that plans", document=made(planning(facts, "07" * 48)), **given)
    other = worker.jwk.replace('"kty":"EC",', "").replace("}", ',"kty":"EC"}')
    wrongs = {
        "without a proof": task_statement(facts, worker),
        "with a proof under another key": task_statement(proven(facts, bytes(48)), worker),
        "with a proof of other facts": task_statement(proven(facts, secret) | {"rows_out": 1}, worker),
        "signed by another key": task_statement(
            proven(facts, secret), Signer("stranger", hybrid=False), kid=key_id(worker.jwk)
        ),
        "with another kid": made(facts, kid="A" * 43),
        "with another typ": made(facts, typ="cji-receipt+jws"),
        "with a JWK in another order": made(facts | {"receipt_jwk": other}),
    }
    wrongs |= {name: made(wrong) for name, wrong in _wrong_claims(facts)}
    for name, document in wrongs.items():
        yield Case.untrue(name, "statement", "statement", made_from="a statement", document=document, **given)
