"""A job full of planted values, and every form in which one of them could show itself outside of secret memory.

All values are seeded per run, so that nothing on the machine holds them by chance. `Planted.patterns` are those of
the records and of the outputs; `key_patterns` are those of the job's keys and of what is derived from them.
"""

import random
import secrets
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Self

import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from cji_client.seal import SealedJob, seal
from cji_client.spec import JobSpec
from cji_core.format.envelope import input_aad
from cji_core.format.keys import ProjectKey, load_signing_key, new_project_key
from cji_core.operations.deidentify import AgeBand, DateShift, Deidentify, HmacToken, Mask, Transform, ZipPrefix
from cji_simulator.scan import encodings
from cji_simulator.site import Site

__all__ = ["Planted", "key_patterns", "prime_patterns", "seed_patterns"]

_PROJECT: Final = "canaries"
_SAMPLES: Final = 400
_BATCH_ROWS: Final = 8192  # about a segment, so that little input makes output
_DOMAIN: Final = "soc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A hybrid job over rows of person/1 under every transform.

    These are token, mask, shifted date, age band, ZIP prefix, keep, drop, null.
    """

    table: pa.Table
    marks: dict[str, str]
    requestor: str
    """A person's name in the job's attribution."""
    project_key: ProjectKey = field(repr=False)

    @classmethod
    def new(cls, rows: int) -> Self:
        """New values. Each text of one column holds the column's mark and its own number."""
        dice = random.Random(secrets.randbits(64))
        columns = {"last": "keep", "first": "drop", "SOC": "token", "OLN": "mask", "SMT": "null", "SID": "subject"}
        marks = {name: f"{kind[:1].upper()}z{secrets.token_hex(5).upper()}" for name, kind in columns.items()}
        texts = {name: [f"{mark}{i:07d}" for i in range(rows)] for name, mark in marks.items()}
        dates = [f"{dice.randint(1930, 2005)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}" for _ in range(rows)]
        births = [f"{dice.randint(1930, 2005)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}" for _ in range(rows)]
        codes = [f"{dice.randint(0, 99999):05d}" for _ in range(rows)]
        table = pa.table({**texts, "DOB": dates, "OLY": births, "postcode": codes})
        table = pa.Table.from_batches(table.to_batches(max_chunksize=_BATCH_ROWS))
        requestor = f"Rz{secrets.token_hex(8).upper()}"
        return cls(table=table, marks=marks, requestor=requestor, project_key=new_project_key(_PROJECT))

    def spec(self, site: Site) -> JobSpec:
        """The job."""
        columns: dict[str, Transform] = {
            "last": "keep",
            "first": "drop",
            "SOC": HmacToken(domain=_DOMAIN, bits=128),
            "OLN": Mask(keep_first=1, keep_last=2),
            "SMT": "null",
            "SID": HmacToken(domain="sid", bits=160),
            "DOB": DateShift(subject_column="SID", max_days=180),
            "OLY": AgeBand(width=5, top=90, as_of=date(2026, 1, 1)),
            "postcode": ZipPrefix(digits=3),
        }
        return site.hybrid_spec(Deidentify(project=_PROJECT, columns=columns), requestor=self.requestor)

    def seal(self, site: Site) -> SealedJob:
        """A new job over the same rows with the same project key: its outputs have the same plaintext."""
        return seal(
            self.spec(site),
            kek=site.hybrid_kek,
            signing_key=load_signing_key(Path(site.profile.signing_key)),
            project_key=self.project_key,
            rows=self.table.num_rows,
        )

    def tokens(self) -> list[str]:
        """The token of a SOC, computed exactly as docs/format.md specifies."""
        key = _mac(self.project_key.key, b"cji-token/1\0" + _PROJECT.encode() + b"\0" + _DOMAIN.encode())
        return [_base32hex(_mac(key, value.encode())[:16]) for value in self._sample("SOC")]

    def patterns(self) -> dict[str, bytes]:
        """The values in all encodings, runs of neighbouring dates and codes as Arrow lays them out, and the tokens."""
        found = {f"{name} {how}": data for name, mark in self.marks.items() for how, data in encodings(mark).items()}
        for name in ("DOB", "OLY", "postcode"):
            values = self.table[name].to_pylist()
            for at in range(0, len(values) - 3, max(1, len(values) // _SAMPLES)):
                found[f"{name} row {at}"] = "".join(values[at : at + 3]).encode()
        for number, token in enumerate(self.tokens()):
            found[f"token {number}"] = token.encode()
            found[f"token {number} utf-32"] = token.encode("utf-32-le")
        return found

    def person_patterns(self) -> dict[str, bytes]:
        """The requestor in all encodings: of all files, the audit trail alone has it."""
        return {f"requestor {how}": data for how, data in encodings(self.requestor).items()}

    def _sample(self, name: str) -> list[str]:
        values: list[str] = self.table[name].to_pylist()
        return values[:: max(1, len(values) // _SAMPLES)]


def key_patterns(planted: Planted, job: SealedJob, first_segment: bytes) -> dict[str, bytes]:
    """The data key, the project key, and the keys that FLOE and the tokens derive from them."""
    dek, header, project = job._dek, first_segment[:74], _PROJECT.encode()
    parameters, iv, aad = header[:10], header[10:42], input_aad(job.header.sha384, 0)

    def expand(key: bytes, purpose: bytes, length: int) -> bytes:
        info = parameters + iv + purpose + aad
        return HKDFExpand(algorithm=hashes.SHA384(), length=length, info=info).derive(key)

    message_key = expand(dek, b"MESSAGE_KEY:", 48)
    root = planted.project_key.key
    return {
        "data key": dek,
        "data key reversed": dek[::-1],
        "data key hex": dek.hex().encode(),
        "message key": message_key,
        "segment key": expand(message_key, b"DEK:" + bytes(8), 32),
        "project key": root,
        "token key": _mac(root, b"cji-token/1\0" + project + b"\0" + _DOMAIN.encode()),
        "shift key": _mac(root, b"cji-shift/1\0" + project),
    }


def prime_patterns(private: rsa.RSAPrivateKey) -> dict[str, bytes]:
    """Both primes and the exponents of an RSA key, as DER has them and as OpenSSL's little-endian limbs."""
    numbers = private.private_numbers()
    found = {}
    for name in ("p", "q", "d", "dmp1", "dmq1", "iqmp"):
        value: int = getattr(numbers, name)
        size = (value.bit_length() + 7) // 8
        found[f"{name} big-endian"] = value.to_bytes(size, "big")[:48]
        found[f"{name} little-endian"] = value.to_bytes(size, "little")[:48]
    return found


def seed_patterns(seed: bytes) -> dict[str, bytes]:
    """Both halves of the seed of an ML-KEM key (FIPS 203: d, z)."""
    return {"ML-KEM d": seed[:32], "ML-KEM z": seed[32:]}


def _mac(key: bytes, message: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


def _base32hex(data: bytes) -> str:
    """Base32hex of the bits from the first on, lower case, without padding."""
    digits = (len(data) * 8 + 4) // 5
    number = int.from_bytes(data, "big") << (digits * 5 - len(data) * 8)
    return "".join("0123456789abcdefghijklmnopqrstuv"[number >> (5 * (digits - 1 - i)) & 31] for i in range(digits))
