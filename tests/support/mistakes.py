"""Mistakes of submitters: each changes one thing in a job or a command that would succeed, and has its command.

A mistake is a function of a `Desk`, a folder with everything of one job; it returns the command's arguments. `printed`
makes the output the same in every run: names of folders, ports, ids and times are replaced.
"""

import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cji_core.format.keys import new_project_key, save_project_key
from cji_simulator.certificates import authority, leaf, pem, private_pem
from cji_simulator.raw import RawWorker, forge
from cji_simulator.site import Site
from tests.support.cells_of_form import cell, written
from tests.support.column_mistakes import COLUMN_MISTAKES
from tests.support.private_files import put_private

RECORDS: Final = """\
record_id,last,first,DOB,SOC
1,DOE,JANE,1982-02-14,123456789
2,ROE,RICHARD,1975-11-03,219099999
3,POE,EDGAR,1949-01-19,000123456
"""
SPEC: Final = """\
[input]
schema = "person/1"

[[operations]]
kind = "deidentify"
project = "study"
project_key = "study.json"

[operations.columns]
record_id = "keep"
last = { do = "hmac_token", domain = "name" }
first = "drop"
DOB = { do = "date_to", unit = "year" }
SOC = "null"
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Files of a job that would succeed, for one mistake to spoil."""

    site: Site
    folder: Path
    held: ExitStack = field(default_factory=ExitStack)
    """Calls of others that last as long as the command."""

    def run(self, *more: str) -> list[str]:
        """The command that would succeed."""
        names = (f"{self.folder}/people.csv", "--spec", f"{self.folder}/job.toml")
        return ["job", "run", *names, "--profile", f"{self.folder}/client.toml", "--out", f"{self.folder}/out", *more]

    def swap(self, name: str, old: str, new: str) -> list[str]:
        """The command, after `old` was replaced in a file; `old` must be there."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, (name, old)
        path.write_text(text.replace(old, new))
        return self.run()

    def set(self, name: str, key: str, value: str) -> list[str]:
        """The command, after the value of a key was replaced in a file."""
        path = self.folder / name
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", path.read_text())
        assert count, (name, key)
        path.write_text(text)
        return self.run()

    def head(self, line: str) -> list[str]:
        """The command, with one more line at the top of the spec."""
        path = self.folder / "job.toml"
        path.write_text(f"{line}\n{path.read_text()}")
        return self.run()

    def records(self, data: bytes | str, name: str = "people.csv") -> list[str]:
        """The command, with other records."""
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        command = self.run()
        command[2] = str(path)
        return command

    def table(self, table: pa.Table) -> list[str]:
        """The command, with a Parquet file."""
        pyarrow.parquet.write_table(table, self.folder / "people.parquet")
        command = self.run()
        command[2] = f"{self.folder}/people.parquet"
        return command

    def without(self, name: str) -> list[str]:
        """The command, after a file was removed."""
        (self.folder / name).unlink()
        return self.run()

    def credential(self, *, subject: str = "another agency") -> list[str]:
        """The command, with a client certificate of an authority that the worker does not know."""
        other, key = (
            authority("Another CA", ec.generate_private_key(ec.SECP256R1())),
            ec.generate_private_key(ec.SECP256R1()),
        )
        made = leaf(subject, key, other, uris=["urn:another"])
        (self.folder / "client.pem").write_bytes(b"".join(pem(one) for one in made.chain[:-1]))
        put_private(self.folder / "client.key", private_pem(key))
        return self.run()

    def key(self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> list[str]:
        """The command, with another private key."""
        put_private(self.folder / name, private_pem(key))
        return self.run()


def desk(site: Site, folder: Path) -> Desk:
    """A new desk. The records and the spec are those above, the rest is what the worker's operator handed out."""
    shutil.copytree(site.files.profile.parent, folder)
    (folder / "people.csv").write_text(RECORDS)
    (folder / "job.toml").write_text(SPEC)
    save_project_key(new_project_key("study"), folder / "study.json")
    return Desk(site=site, folder=folder)


def _other_ca(at: Desk) -> list[str]:
    other = authority("Another CA", ec.generate_private_key(ec.SECP256R1()))
    (at.folder / "ca.pem").write_bytes(pem(other.certificate))
    return at.run()


def _expired(at: Desk) -> list[str]:
    key, day = ec.generate_private_key(ec.SECP256R1()), datetime(2026, 1, 31, tzinfo=UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agency")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(day - timedelta(days=365)).not_valid_after(day)
    (at.folder / "client.pem").write_bytes(pem(made.sign(key, hashes.SHA256())))
    return at.key("client.key", key)


def _busy(at: Desk) -> list[str]:
    """Others occupy both cells and send nothing."""
    worker = at.held.enter_context(RawWorker.of(at.site))
    for _ in range(2):
        at.held.enter_context(worker.stream()).begin(forge(at.site).open())
    return at.head("deadline_seconds = 3")


def _other_project(at: Desk) -> list[str]:
    (at.folder / "study.json").unlink()
    save_project_key(new_project_key("another"), at.folder / "study.json")
    return at.run()


def _pandas_index(at: Desk) -> list[str]:
    frame = pd.read_csv(at.folder / "people.csv", dtype=str).set_index("record_id")
    frame.index.name = None
    return at.table(pa.Table.from_pandas(frame))


def _column(at: Desk, name: str, column: pa.Array) -> list[str]:
    frame = pd.read_csv(at.folder / "people.csv", dtype=str)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return at.table(table.set_column(table.column_names.index(name), name, column))


def _columns(at: Desk) -> list[str]:
    """The option that names SOC as encrypted."""
    return ["--columns", str(written(at.folder, ("SOC", "SOC")))]


def _taken(at: Desk) -> list[str]:
    (at.folder / "out").mkdir()
    (at.folder / "out/result.csv").write_text("")
    return at.run()


def _receipt(at: Desk, *more: str, text: str | None = None) -> list[str]:
    """Verify the receipt of a job that succeeded, or `text`."""
    kept = at.folder / "kept"
    if text is not None:
        (kept / "receipt.jws").write_text(text)
    return ["receipt", "verify", f"{kept}/receipt.jws", "--evidence", f"{kept}/evidence.json", *more]


def _cut(at: Desk) -> list[str]:
    text = (at.folder / "kept/receipt.jws").read_text()
    profile = ("--profile", f"{at.folder}/client.toml")
    return _receipt(
        at, *profile, text=f"{text[:-8]}AAAAAAAA" if not text.endswith("AAAAAAAA") else f"{text[:-8]}BBBBBBBB"
    )


def _other_job(at: Desk) -> list[str]:
    (at.folder / "other.bin").write_bytes(at.site.seal().header.data)
    return _receipt(at, "--profile", f"{at.folder}/client.toml", "--expect-header", f"{at.folder}/other.bin")


def _in_folder(mistake: Callable[[Path], list[str]]) -> Callable[[Desk], list[str]]:
    return lambda at: mistake(at.folder)


Mistake = Callable[[Desk], list[str]]

MISTAKES: Final[dict[str, Mistake]] = {
    # the way to the worker
    "nothing listens at the target": lambda at: at.set("client.toml", "target", '"127.0.0.1:9"'),
    "the worker's authority is another one": _other_ca,
    "the client certificate is of another authority": Desk.credential,
    "the private key is not that of the certificate": lambda at: at.key(
        "client.key", ec.generate_private_key(ec.SECP256R1())
    ),
    "the client certificate has expired": _expired,
    "all cells are busy": _busy,
    "the file of the authority is missing": lambda at: at.without("ca.pem"),
    # the profile
    "the profile has a field too many": lambda at: at.swap("client.toml", "target =", "tagret = 1\ntarget ="),
    "the profile is not TOML": lambda at: at.swap("client.toml", "target =", "target"),
    "the cloud is unknown": lambda at: at.set("client.toml", "cloud", '"azure-eu"'),
    "the attestation provider is another one": lambda at: at.set(
        "client.toml", "maa_url", '"https://shared.eus.attest.azure.net"'
    ),
    "the processor is not one that the profile accepts": lambda at: at.set("client.toml", "products", '["Turin"]'),
    "no risk was accepted": lambda at: at.set("client.toml", "acceptances", "[]"),
    # keys
    "the signing key is missing": lambda at: at.without("signing.key"),
    "the signing key is another one": lambda at: at.key("signing.key", ec.generate_private_key(ec.SECP384R1())),
    "the signing key is on another curve": lambda at: at.key("signing.key", ec.generate_private_key(ec.SECP256R1())),
    "the recipient's key is not that of the job": lambda at: at.key(
        "recipient.key", rsa.generate_private_key(65537, 3072)
    ),
    "the worker's key is not the pinned one": lambda at: at.set("client.toml", "kek_thumbprint", f'"{"A" * 43}"'),
    "the worker has no key of that name": lambda at: at.swap("client.toml", "/keys/", "/keys/other-"),
    "the project key is missing": lambda at: at.without("study.json"),
    "the project key is of another project": _other_project,
    # the spec
    "the spec has a field too many": lambda at: at.head('colour = "blue"'),
    "the operation is unknown": lambda at: at.swap("job.toml", "deidentify", "anonymise"),
    "a column has no rule": lambda at: at.swap("job.toml", 'SOC = "null"\n', ""),
    "a rule has no column": lambda at: at.swap("job.toml", 'SOC = "null"\n', 'SOC = "null"\nOLN = "drop"\n'),
    "the rule is unknown": lambda at: at.swap("job.toml", '"null"', '"hide"'),
    "the ORI is not one": lambda at: at.head('originating_ori = "Fulton"'),
    "the purpose is not permitted": lambda at: at.head('purpose_code = "Z"'),
    "the agency is not permitted": lambda at: at.head('requesting_ori = "NY0600000"'),
    "the job is valid for too long": lambda at: at.head("valid_hours = 48"),
    "the pool is another one": lambda at: at.head('audience = "cji-pool-west"'),
    "the suite needs other keys": lambda at: at.head('suite = "hybrid-1"'),
    "the deadline is too short": lambda at: at.head("deadline_seconds = 0"),
    # records
    "a column is not of the schema": lambda at: at.records(RECORDS.replace("SOC", "badge")),
    "the file is empty": lambda at: at.records(""),
    "a row has too few fields": lambda at: at.records(RECORDS.replace("2,ROE,", "2,")),
    "the encoding is another one": lambda at: at.records(RECORDS.replace("ROE", "PEÑA").encode("windows-1252")),
    "the name promises another kind of file": lambda at: at.records(RECORDS, "people.parquet"),
    "the table has the index of pandas": _pandas_index,
    "a column is a list": lambda at: _column(at, "last", pa.array([["DOE"], ["ROE"], ["POE"]])),
    "a Social Security number is a fraction": lambda at: _column(at, "SOC", pa.array([1.5, 2.5, 3.5])),
    "the target of the result exists": _taken,
    # encrypted columns
    "a value of an encrypted column is in clear": lambda at: [*at.run(), *_columns(at)],
    "a cell was cut off": lambda at: [
        *at.records(f"record_id,last,SOC\n1,DOE,0x{cell(1).hex()}\n2,ROE,0x{cell(2).hex()[:100]}\n"),
        *_columns(at),
    ],
    "an encrypted column is in a workbook": lambda at: [*at.records(b"PK\x03\x04", "people.xlsx"), *_columns(at)],
    "a job with encrypted columns asks for exact sizes": lambda at: [
        *at.head('size_class = "exact"'),
        *_columns(at),
    ],
    # receipts
    "the receipt was changed": _cut,
    "the receipt is empty": lambda at: _receipt(at, "--profile", f"{at.folder}/client.toml", text=""),
    "the receipt is that of another job": _other_job,
    "the profile with the provider's keys was not given": _receipt,
    # keys of encrypted columns
    **{name: _in_folder(mistake) for name, mistake in COLUMN_MISTAKES.items()},
}
"""By name; each would succeed without its one change."""

_REPLACED: Final = (
    (r"[\w./-]*/desk\d+/", ""),
    (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
    (r"correlation id [0-9a-f]{16}", "correlation id ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|\+00:00)?", "TIME"),
    (r"\b[0-9a-f]{32,96}\b", "HEX"),
    (r"(?<![\w-])(?!A{43})[A-Za-z0-9_-]{43}(?![\w-])", "THUMBPRINT"),
)


def printed(output: str) -> str:
    """The output without what differs between runs."""
    for pattern, instead in _REPLACED:
        output = re.sub(pattern, instead, output)
    return "\n".join(line.rstrip() for line in output.strip().splitlines())
