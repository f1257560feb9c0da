"""Cases about what a data key opens and what opens it: wrapped keys, boxes, attribution, streams, derived keys."""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cji_core.wire.v1 import worker_pb2 as pb
from tools.kit.case import Case
from tools.kit.headers import CLASSICAL, HYBRID, KEK_ID
from tools.kit.writer import (
    PAYLOAD,
    SEGMENT,
    Recipient,
    Signer,
    box,
    chance,
    data_key,
    expand,
    ivs,
    ml_kem_jwk,
    ml_kem_seed,
    oaep,
    part_aad,
    pieces_of,
    result_key,
    rsa_jwk,
    rsa_key,
    sha384,
    stream,
    thumbprint,
)

FAILED: Final = "DEK_UNWRAP_FAILED"
KEY: Final = chance("streams/key", 32)
AAD: Final = part_aad(b"example header", 0)


def worker_key() -> dict[str, str]:
    """The worker's key in these files: the CMK in rsa_keys of keys.json, and the seed of its ML-KEM half."""
    jwk = rsa_jwk(rsa_key("cmk").public_key())
    return {
        "kek_id": KEK_ID,
        "rsa": "cmk",
        "jwk": jwk,
        "ml_kem_seed": ml_kem_seed("cmk").hex(),
        "ml_kem_jwk": ml_kem_jwk("cmk"),
    }


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def data_keys() -> Iterator[Case]:
    """wrapped_dek, under the worker's key (§4)."""
    public, seed = rsa_key("cmk").public_key(), chance("data keys/seed", 32)
    for job in (CLASSICAL, HYBRID):
        found = data_key(job.name, hybrid=job.hybrid)
        given: dict[str, Any] = {"suite": job.suite, "worker_key": worker_key()}
        expected = {"data_key": found.key.hex()} | found.steps
        yield Case.valid(job.suite, expected=expected, wrapped_dek=found.wrapped.hex(), **given)
        first = 1568 if job.hybrid else 0
        rsa_part, before = found.wrapped[first:], found.wrapped[:first]
        changes = {
            "RSA ciphertext changed": before + _flipped(rsa_part, 100),
            "RSA ciphertext a byte short": before + rsa_part[1:],
            "RSA ciphertext of zeros": before + bytes(384),
            "RSA ciphertext of the modulus": before + public.public_numbers().n.to_bytes(384, "big"),
            "31 bytes in the RSA ciphertext": before + oaep(public, bytes(31), seed),
            "33 bytes in the RSA ciphertext": before + oaep(public, bytes(33), seed),
            "nothing in the RSA ciphertext": before + oaep(public, b"", seed),
            "RSA ciphertext without OAEP": before
            + oaep(public, b"", seed, block=b"\0\2" + b"\1" * 350 + b"\0" + bytes(31)),
        }
        for name, wrapped in changes.items():
            yield Case.broken(
                f"{job.suite}: {name}", "wrapped_dek", FAILED, made_from=job.suite, wrapped_dek=wrapped.hex(), **given
            )
    hybrid = data_key(HYBRID.name, hybrid=True).wrapped
    given = {"suite": "hybrid-1", "worker_key": worker_key()}
    for name, wrapped in {"without the ML-KEM half": hybrid[1568:], "without the RSA half": hybrid[:1568]}.items():
        yield Case.broken(name, "wrapped_dek", FAILED, made_from="hybrid-1", wrapped_dek=wrapped.hex(), **given)


def boxes() -> Iterator[Case]:
    """Boxes under a data key (§4): their purpose is in their key, so each opens as one thing only."""
    key, iv, plain = chance("boxes/key", 32), chance("boxes/iv", 12), b"plaintext"
    sealed = box(key, b"attribution", plain, iv)
    given = {"data_key": key.hex(), "purpose": b"attribution".hex()}
    yield Case.valid("a box", expected={"plaintext": plain.hex()}, box=sealed.hex(), **given)
    empty = box(key, b"attribution", b"", iv)
    yield Case.valid("an empty box", expected={"plaintext": ""}, box=empty.hex(), **given)
    for name, wrong in {
        "the tag changed": _flipped(sealed, len(sealed) - 1),
        "the IV changed": _flipped(sealed, 0),
        "a byte short": sealed[:-1],
        "a byte too long": sealed + b"\0",
        "shorter than IV and tag": sealed[:20],
        "of no bytes": b"",
        "sealed for another purpose": box(key, b"project\0" + bytes(32), plain, iv),
        "sealed under another key": box(chance("boxes/other", 32), b"attribution", plain, iv),
    }.items():
        yield Case.broken(f"a box, {name}", "box", FAILED, made_from="a box", box=wrong.hex(), **given)


def project_keys() -> Iterator[Case]:
    """The key of a project, in a box that opens under its name alone (§4)."""
    key, project, iv = chance("boxes/key", 32), chance("project key", 32), chance("project/iv", 12)

    def made(name: str, plain: bytes = project) -> str:
        return box(key, b"project\0" + hashlib.sha256(name.encode()).digest(), plain, iv).hex()

    given = {"data_key": key.hex(), "project": "Études 17"}
    yield Case.valid("a project key", expected={"project_key": project.hex()}, wrapped=made("Études 17"), **given)
    for name, wrong in {
        "of another project": made("Études 18"),
        "of 31 bytes": made("Études 17", project[1:]),
        "in a box for another purpose": box(key, b"project", project, iv).hex(),
        "whose tag was changed": made("Études 17")[:-2] + "00",
        "of no bytes": "",
    }.items():
        yield Case.broken(name, "wrapped_project_key", FAILED, made_from="a project key", wrapped=wrong, **given)


def attributions() -> Iterator[Case]:
    """The plaintext of sealed_attribution (§1)."""
    texts = {"operator_id": "jdoe", "requestor": "Det. Muñoz", "reason": "Extract for study 17"}

    def padded(message: bytes) -> bytes:
        return message + bytes(-len(message) % 256)

    def made(**fields: str) -> bytes:
        return pb.Attribution(**{**texts, **fields}).SerializeToString(deterministic=True)

    long = next(text for n in range(256) if len(made(reason=(text := "r" * n))) == 256)
    full = made(reason=long)
    longest = dict.fromkeys((*texts, "secondary_recipient", "case_number"), "x" * 256)
    for name, data, expected in (
        ("three texts", padded(made()), texts),
        (
            "all texts",
            padded(made(secondary_recipient="Fremont PD", case_number="26-1")),
            {**texts, "secondary_recipient": "Fremont PD", "case_number": "26-1"},
        ),
        ("exactly 256 bytes", full, {**texts, "reason": long}),
        ("the longest", padded(made(**longest)), longest),
    ):
        yield Case.valid(name, expected=expected, plaintext=data.hex())
    for name, data in {
        "no bytes": b"",
        "zeros alone": bytes(256),
        "no padding": made(),
        "padding of a block too much": padded(made()) + bytes(256),
        "a block behind exactly 256 bytes": full + bytes(256),
        "padding that is not zero": padded(made())[:-1] + b"\1",
        "1792 bytes": padded(made(**longest)) + bytes(256),
        "no operator": padded(made(operator_id="")),
        "no requestor": padded(made(requestor="")),
        "no reason": padded(made(reason="")),
        "a reason of 257 bytes": padded(made(reason="r" * 257)),
        "a requestor with a line feed": padded(made(requestor="Det.\nMuñoz")),
        "a requestor that ends with a blank": padded(made(requestor="Det. ")),
        "a secondary recipient with a tab": padded(made(secondary_recipient="Fremont\tPD")),
        "a case number of 257 bytes": padded(made(case_number="9" * 257)),
        "an unknown field": padded(made() + b"\x32\x01a"),
        "a text twice": padded(made()[:6] + made()),
        "text that is not UTF-8": padded(made().replace(b"jdoe", b"jd\xffe")),
    }.items():
        yield Case.broken(name, "attribution", "MALFORMED_HEADER", made_from="three texts", plaintext=data.hex())


def _pattern(length: int) -> bytes:
    return bytes(range(256)) * (length // 256) + bytes(range(length % 256))


def streams() -> Iterator[Case]:
    """FLOE streams (§3). Long ones have the rule of their plaintext and the digest of their bytes."""
    given = {"key": KEY.hex(), "aad": AAD.hex()}
    short = stream(KEY, AAD, [b"CJI"], **ivs("streams/short", 1))
    expected = {"plaintext": b"CJI".hex()} | short.steps
    yield Case.valid("three bytes", expected=expected, data=[each.hex() for each in short.data], **given)
    none = stream(KEY, AAD, [b""], **ivs("streams/empty", 1))
    yield Case.valid(
        "no bytes", expected={"plaintext": ""} | none.steps, data=[each.hex() for each in none.data], **given
    )
    full = PAYLOAD
    for name, pieces in {
        "8 bytes less than a segment": pieces_of(_pattern(full - 8)),
        "a full last segment": pieces_of(_pattern(full)),
        "an empty last segment behind a full one": [_pattern(full), b""],
        "two full segments": pieces_of(_pattern(2 * full)),
    }.items():
        made = stream(KEY, AAD, pieces, **ivs(f"streams/{name}", len(pieces)))
        joined, plain = b"".join(made.data), b"".join(pieces)
        long = {
            "plaintext_bytes": len(plain),
            "plaintext_sha384": sha384(plain).hex(),
            "data_bytes": len(joined),
            "data_sha384": sha384(joined).hex(),
        }
        given_ivs = ivs(f"streams/{name}", len(pieces))
        texts = {"iv": given_ivs["iv"].hex(), "sivs": [siv.hex() for siv in given_ivs["sivs"]]}
        yield Case.valid(name, expected=long | made.steps, pieces=[len(piece) for piece in pieces], **texts, **given)
    yield from _broken_streams(given, short.data[0])


def _broken_streams(given: dict[str, str], good: bytes) -> Iterator[Case]:
    header, segment = good[:74], good[74:]
    other = stream(KEY, AAD, [b"CJI"], **ivs("streams/other", 1)).data[0]
    for name, rule, data in (
        ("AEAD id 1", "parameters", [b"\1" + good[1:]]),
        ("KDF id 1", "parameters", [good[:1] + b"\1" + good[2:]]),
        (
            "segments of 64 KiB",
            "parameters",
            [*stream(KEY, AAD, [b"CJI"], **ivs("streams/64", 1), segment=1 << 16).data],
        ),
        ("an IV length of 16", "parameters", [good[:6] + struct.pack(">I", 16) + good[10:]]),
        ("another IV", "header tag", [_flipped(good, 10)]),
        ("another header tag", "header tag", [_flipped(good, 73)]),
        ("the header of another stream", "segment", [other[:74] + segment]),
        (
            "the AAD of another part",
            "header tag",
            [*stream(KEY, part_aad(b"example header", 1), [b"CJI"], **ivs("streams/short", 1)).data],
        ),
        (
            "another key",
            "header tag",
            [*stream(chance("streams/other key", 32), AAD, [b"CJI"], **ivs("streams/short", 1)).data],
        ),
        ("a length that is too short", "length", [header + struct.pack(">I", len(segment) - 1) + segment[4:]]),
        ("a length that is too long", "length", [header + struct.pack(">I", len(segment) + 1) + segment[4:]]),
        ("a length of 0", "length", [header + bytes(4) + segment[4:]]),
        ("a short segment marked as not last", "length", [header + b"\xff\xff\xff\xff" + segment[4:]]),
        ("another segment IV", "segment", [_flipped(good, 78)]),
        ("another ciphertext", "segment", [_flipped(good, 90)]),
        ("another tag", "segment", [_flipped(good, len(good) - 1)]),
        ("a byte too few", "length", [good[:-1]]),
        ("a byte too many", "length", [good + b"\0"]),
        ("shorter than a header", "length", [good[:73]]),
        ("a header alone", "length", [header]),
        ("no last segment", "end", []),
        ("a second last segment", "end", [good, segment]),
        (
            "the first of two last segments",
            "segment",
            [*stream(KEY, AAD, [b"CJI", b""], **ivs("streams/two", 2), lasts=frozenset({1})).data],
        ),
    ):
        yield Case.broken(
            name, rule, "SEGMENT_INVALID", made_from="three bytes", data=[each.hex() for each in data], **given
        )


def result_keys() -> Iterator[Case]:
    """The result key, wrapped for a recipient (§4)."""
    key = chance("result keys/key", 32)
    for job in (CLASSICAL, HYBRID):
        header, to = job.header(), job.recipient
        wrapped, steps = result_key(to, key, header, f"result keys/{job.name}")
        given: dict[str, Any] = {"suite": job.suite, "recipient": to.name, "header": header.hex()}
        expected = {"result_key": key.hex()} | steps
        yield Case.valid(job.suite, expected=expected, wrapped_dek=wrapped.hex(), **given)
        wrongs = {
            "changed in its first byte": _flipped(wrapped, 0),
            "changed in its last byte": _flipped(wrapped, len(wrapped) - 1),
            "a byte short": wrapped[:-1],
            "a byte too long": wrapped + b"\0",
        }
        if job.hybrid:
            point = result_key(to, key, header, "result keys/elsewhere")[0][1568:1665]
            wrongs |= {
                "with a point off the curve": wrapped[:1600] + bytes(32) + wrapped[1632:],
                "with another point": wrapped[:1568] + point + wrapped[1665:],
                "for another job": result_key(to, key, CLASSICAL.header(), f"result keys/{job.name}")[0],
            }
        for name, wrong in wrongs.items():
            yield Case.broken(
                f"{job.suite}, {name}", "wrapped_dek", FAILED, made_from=job.suite, wrapped_dek=wrong.hex(), **given
            )
    for name in ("recipient 4096", "recipient 8192"):
        to, header = Recipient(name, hybrid=False), CLASSICAL.header()
        wrapped, steps = result_key(to, key, header, f"result keys/{name}")
        given = {"suite": "classical-1", "recipient": name, "header": header.hex()}
        yield Case.valid(
            f"a {name} bits", expected={"result_key": key.hex()} | steps, wrapped_dek=wrapped.hex(), **given
        )


def derived() -> Iterator[Case]:
    """Keys that are derived and nothing else: of segments past 2^20 (§3), of streams, buckets and statements (§10)."""
    iv, mk = chance("derived/iv", 32), chance("derived/mk", 48)
    prefix = struct.pack(">BBII", 0, 0, SEGMENT, 32) + iv
    for index in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, (1 << 40) - 1):
        dek = expand(mk, prefix + b"DEK:" + struct.pack(">Q", index >> 20 << 20) + AAD, 32)
        given = {"what": "dek", "mk": mk.hex(), "iv": iv.hex(), "aad": AAD.hex(), "index": index}
        yield Case.valid(f"dek({index})", expected={"key": dek.hex()}, **given)
    header, plan = sha384(b"header"), sha384(b"plan")
    for name, info, length in (
        ("shuffle", b"cji-shuffle-key/1\0" + header + plan, 32),
        ("bucket", b"cji-bucket-key/1\0" + header, 32),
        ("statement", b"cji-statement-key/1\0" + header, 48),
    ):
        given = {"what": name, "data_key": KEY.hex(), "header_sha384": header.hex(), "plan_sha384": plan.hex()}
        yield Case.valid(f"{name} key", expected={"key": expand(KEY, info, length).hex()}, **given)


def values() -> Iterator[Case]:
    """Values that are hashed or encrypted, and no keys."""
    header, jwk, root = sha384(b"header"), Signer("receipts", hybrid=False).jwk, sha384(b"root")
    key = algorithms.AES256(expand(KEY, b"cji-bucket-key/1\0" + header, 32))
    bucket = Cipher(key, modes.ECB()).encryptor()  # noqa: S305 - single blocks
    for number in (0, 1, 0x0123456789ABCDEF, (1 << 64) - 1):
        given = {"what": "bucket_hash", "data_key": KEY.hex(), "header_sha384": header.hex(), "h": str(number)}
        found = int.from_bytes(bucket.update(struct.pack("<QQ", number, 0))[:8], "little")
        yield Case.valid(f"bucket_hash({number})", expected={"value": f"{found:016x}"}, **given)
    nonce = hashlib.sha256(b"cji-reference/1\0" + header).hexdigest()
    given = {"what": "nonce of a reference", "header_sha384": header.hex()}
    yield Case.valid("the nonce of a job by reference", expected={"value": nonce}, **given)
    bound = hashlib.sha256(b"cji-attest/2\0" + thumbprint(jwk) + root).hexdigest()
    given = {"what": "qualifying data", "receipt_jwk": jwk, "root": root.hex()}
    yield Case.valid("the qualifying data of a quote", expected={"value": bound}, **given)
