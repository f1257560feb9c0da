"""Every row of the pitfall list has a test that carries its id, or a reason why none can.

A row is something that went wrong in another system of this kind. The letters are A token and evidence, F freshness,
C channel, K key release, E envelope, S simulator, L leaks, R runtime, P policy, H hardware, O operation, X hostile
neighbours. A test that holds against rows has their ids behind `test_`: `test_a09_a10_debug_and_migration`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import ROOT

ROWS: Final = {
    "A01": "a token without a signature",
    "A02": "a public key taken for an HMAC secret",
    "A03": "keys that the token itself brings or points to",
    "A04": "an issuer compared by its beginning or its end",
    "A05": "times missing, of another type, or with too much tolerance",
    "A06": "a verifier that says yes without looking",
    "A07": "claims of one level, or one schema, read at another",
    "A08": "what the client or the host wrote into a token taken for a measurement",
    "A09": "debugging, test signing, empty measurements and untouched PCRs accepted",
    "A10": "guests that may be migrated",
    "A11": "the privilege level of the report not looked at",
    "A12": "a TCB compared as one number or as text",
    "A13": "the wrong one of a report's TCBs compared",
    "A14": "a VCEK of another chip or product",
    "A15": "an empty list of what is allowed that allows everything",
    "A16": "a quote over PCRs that say nothing of the boot",
    "A17": "an attestation key that the hardware report does not name",
    "A18": "a signed TPM structure that is no quote",
    "A19": "another encryption key in front of ours",
    "A20": "a policy of the attestation provider that nobody pinned",
    "A21": "signing keys kept for ever, or asked for at every unknown name",
    "A22": "certificate chains with too much, too little or another root of the same name",
    "A23": "tokens of policies that are drafts",
    "A24": "tokens without limit of size or depth",
    "A25": "layouts assumed for versions that are not known",
    "F01": "nonces that are constant or guessable",
    "F02": "no nonce taken for the right nonce",
    "F03": "tokens used for as long as they say",
    "F04": "one captured answer opened again and again",
    "F05": "freshness looked at when fetched and not when used",
    "F06": "a job run twice, after a restart or in a race",
    "F07": "a job id used again with other contents",
    "F08": "a clock that the host sets",
    "F09": "a machine attested at its start and changed since",
    "C01": "another machine's evidence shown on one's own channel",
    "C02": "a binding that may be missing",
    "C03": "one's own evidence sent back",
    "C04": "TLS that is silently not there",
    "C05": "attested TLS whose default verifier accepts any measurement",
    "C06": "evidence looked at when a certificate was issued and never again",
    "C07": "client certificates matched loosely",
    "K01": "a release policy that any confidential VM satisfies",
    "K02": "a release statement not verified, or in part",
    "K03": "a key of the attacker's own delivered instead",
    "K04": "a vault's address taken from a job or a challenge",
    "K05": "keys wrapped with SHA-1 or short keys",
    "K06": "wrapped data keys exchanged between jobs",
    "K07": "a decryption oracle in errors or times",
    "K08": "a released key that outlives its revocation",
    "K09": "cached keys found under less than their whole name",
    "K10": "a fleet that asks the vault all at once",
    "K11": "release policies that change unnoticed",
    "K12": "access tokens in logs and errors",
    "K13": "jobs stuck when a key is rotated",
    "K14": "key material left in the interpreter's memory",
    "E01": "segments exchanged, repeated or left out",
    "E02": "counters cut to 32 bits, so nonces used twice",
    "E03": "an environment variable that lets misordered data pass",
    "E04": "older versions accepted in the middle or at the start",
    "E05": "one ciphertext that opens to two plaintexts",
    "E06": "a way to send plaintext",
    "E07": "results of a stream whose end never came",
    "E08": "a small input that becomes a large one",
    "E09": "bytes that two parsers read in two ways",
    "E10": "lengths that are off by a little",
    "E11": "results sealed to somebody else",
    "E12": "one data key for two directions or purposes",
    "E13": "numbers and texts that no column can hold",
    "E14": "rows that disappear",
    "S01": "a setting that turns a simulator on",
    "S02": "a fake where the device is missing",
    "S03": "simulated evidence accepted under production's roots",
    "S04": "trust anchors replaced by configuration",
    "S05": "safe and unsafe settings mixed",
    "S06": "insecurity chosen because one's own evidence is missing",
    "S07": "the mode read from the environment again while running",
    "S08": "results of a simulation accepted as real ones",
    "L01": "inputs and tokens in logs",
    "L02": "texts of exceptions in what a caller is told",
    "L03": "identifiers in metrics",
    "L04": "a log level that changes without being measured",
    "L05": "reflection and debugging endpoints",
    "L06": "core dumps and tracebacks with values",
    "L07": "sizes that tell what is inside",
    "L08": "copies of records in the interpreter's memory",
    "R01": "code that Python loads by itself at start",
    "R02": "libraries and proxies steered by the environment",
    "R03": "plaintext on disk",
    "R04": "plaintext in swap",
    "R05": "firmware tables that execute in the guest's kernel",
    "R06": "pickle, eval and unsafe YAML",
    "R07": "a fork that copies keys",
    "P01": "a measurement that all tenants share taken for an identity",
    "P02": "policy fields that nobody knows, ignored",
    "P03": "a policy exchanged between decision and run",
    "P04": "a policy overwritten without a trace",
    "P05": "purposes logged and not enforced",
    "P06": "a way around for administrators",
    "P07": "a limiter that opens when it is full",
    "H01": "processors with known holes",
    "H02": "the attestation service itself taken over",
    "H03": "a paravisor whose source is closed",
    "H04": "the host's metadata service believed",
    "O01": "healthy while unable to work",
    "O02": "a key that is used after its end, or an outage at it",
    "O03": "jobs killed when machines are taken away",
    "O04": "a full store that forgets its oldest",
    "O05": "samples that do not run or are unsafe",
    "X01": "calls held by silent strangers",
    "X02": "a ledger in memory that grows for ever, with refused job ids",
    "X03": "processes that can do what only another of them needs",
    "X04": "a cell that signals other processes through a descriptor",
    "X05": "what one process states about a job, signed unseen",
    "X06": "plaintext on the standard error of a cell",
    "X07": "descriptors kept that no message names",
    "X08": "ready while a process is stopped",
    "X09": "not serving although the disk has room again",
    "X10": "a flood of requests for evidence",
    "X11": "silent connections that stay",
    "X12": "code that its own digest does not cover",
    "X13": "an audit trail rolled back to a backup",
    "X14": "secret memory read by root through the kernel",
    "X15": "one half of a hybrid stripped, exchanged, or carried to another suite",
    "X16": "who asked, for whom and why, read by everybody who carries the job",
    "X17": "TLS with keys of less than 256 bits, or a door that can be walked around",
}
DOCUMENTED: Final = {
    "H03": ("LIMITATIONS.md", "closed source on SNP"),
    "P01": ("LIMITATIONS.md", "any compliant confidential VM with your vault role"),
    "R05": ("LIMITATIONS.md", "**Below the kernel.**"),
}
"""What this system cannot refuse: (document, what it says of it)."""

NOT_HERE: Final = {
    "C03": "one side attests: a client has no evidence that could come back to it",
    "C05": "certificates carry no evidence, and the verifier of evidence has no default answer (A06, A15)",
    "L04": "there are no log levels: what may be logged is one list in the code",
}
"""What this system has no place for, and why."""

WHOLE: Final = frozenset({"adversarial", "integration"})
"""Folders with tests of whole parts, which rows of token, freshness, channel, release, simulator, hardware, operation
need. What goes wrong in an envelope, a log, a process or a policy is also held by tests of units."""


def row_ids(name: str) -> frozenset[str]:
    """The rows that a test function's name begins with."""
    found = re.match(r"test((?:_[a-z]\d\d(?=_))*)", name)
    return frozenset(found[1].upper().split("_")[1:] if found else ())


@cache
def functions() -> tuple[tuple[str, str], ...]:
    """(kind of test, name) of each test function of the files that have one with a row's id."""
    return tuple(_functions(ROOT / "tests"))


def _functions(tests: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(tests.glob("**/test_*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text if re.search(r"def test_[a-z]\d\d_", text) else "")):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path.relative_to(tests).parts[0], node.name


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_test_or_a_reason(row: str) -> None:
    tested = any(row in row_ids(name) and (row[0] in "ELRP" or folder in WHOLE) for folder, name in functions())
    assert tested + (row in DOCUMENTED) + (row in NOT_HERE) == 1, ROWS[row]


@pytest.mark.parametrize("row", DOCUMENTED)
def test_what_is_not_refused_is_said(row: str) -> None:
    document, phrase = DOCUMENTED[row]
    assert phrase in " ".join((ROOT / document).read_text().split())


def test_ids_in_names_are_those_of_rows() -> None:
    """N is the letter of features that are no pitfall."""
    named = {row for _, name in functions() for row in row_ids(name) if row[0] != "N"}
    assert named <= ROWS.keys()
    assert NOT_HERE.keys() | DOCUMENTED.keys() <= ROWS.keys()


def test_a_name_begins_with_its_rows() -> None:
    assert row_ids("test_a09_a10_debug_and_migration") == {"A09", "A10"}
    assert row_ids("test_k01_each_weakness_of_rp10_is_found") == {"K01"}
    assert not row_ids("test_of_a09_bits") | row_ids("test_a091_x") | row_ids("test_a09")
