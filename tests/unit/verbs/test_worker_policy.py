"""`cji policy` on the policy of a worker: check, explain, diff, test and sign, with the examples of docs/policy.md."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.errors import DeniedBy, Reason, Stage
from cji_core.format.job import InputPart, Policy, Recipient, SizeClass
from cji_core.format.job.policy import Subject
from cji_core.format.keys import new_signing_key, save_private_key
from cji_core.jose import key_id
from cji_core.operations.registry import OPERATIONS
from cji_core.operations.screen import Screen
from cji_core.trail import Attributed, Event, FileDigests, FilesReloaded, JobEnded, JobRefused, WorkerStarted
from cji_deploy.verbs.policy.diff import _WORDS
from cji_deploy.verbs.policy.explain import Explained
from cji_deploy.verbs.policy.sign import SignedPolicy
from cji_deploy.verbs.public_half import PublicHalf
from cji_worker.trail.file import AuditFile
from tests.support import audit_events
from tests.support.column_keys import agency_key, sealed
from tests.support.job_headers import NOW, OURS, THEIRS, make
from tests.support.json_answers import answered
from tests.support.paths import ROOT
from tests.support.policies import ALL_CLASSES, agency, pem, policy_file, purpose, rule, submitter
from tests.support.worker_configs import WORKER_CONFIG

_BLOCKS = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "policy.md").read_text(), re.DOTALL)
EXAMPLE, CASES = _BLOCKS[0], _BLOCKS[1]
KEY = ec.derive_private_key(7, ec.SECP384R1()).public_key()
COLUMN_KEY = agency_key().public_key()
DAY = NOW.date()
RULE = rule(
    [OURS.key_id],
    data_classes=["biographic", "control number"],
    secondary_recipients=["Board"],
    limits={"rows": 50, "bytes": 9},
)
ESCROWED = rule([OURS.key_id, THEIRS.key_id], "validate", escrow=[{"one_of": [THEIRS.key_id]}])
AGREED = {"id": "MOU-2", "from": DAY - timedelta(days=9), "until": DAY + timedelta(days=9)}


def metro(*rules: dict[str, Any], **changes: Any) -> bytes:
    columns = {"signing_key": pem(COLUMN_KEY), "statements": ["0a" * 48]}
    ours = agency(
        "WI0130000", purpose("C", *(rules or [RULE])), agreement=AGREED, jobs_per_day=4, sealed_columns=columns
    )
    return policy_file(submitter("metro-pd", KEY, {**ours, **changes}))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes | str, str], Path]:
    def written(data: bytes | str, name: str = "policy.toml") -> Path:
        (tmp_path / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return tmp_path / name

    return written


Write = Callable[..., Path]


def cji(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["policy", *map(str, arguments)], catch_exceptions=False)


def printed(*arguments: str | Path) -> str:
    result = cji(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


# ------------------------------------------------------------------ check


def test_check_prints_who_may_do_what(write: Write) -> None:
    path = write(EXAMPLE)
    text = printed("check", path)
    assert text.startswith("valid: 1 submitter, SHA-384 ")
    assert "WI0130000  MOU-2026-17 from 2026-01-01 until 2027-12-31; 500 jobs a day" in text
    line = next(line for line in text.splitlines() if "disseminate" in line)
    assert "identity history" in line
    assert "on to Board of Private Security; up to 10000 rows, 100000000 bytes" in line
    summary = json.loads(printed("check", path, "--json"))
    assert summary["policy_sha384"] == Policy.load(path.read_bytes()).sha384.hex()
    (submitter_,) = summary["submitters"]
    assert [each["operation"] for each in submitter_["agencies"][0]["rules"]] == [
        "validate",
        "deidentify",
        "disseminate",
    ]


def test_check_shows_sealed_columns(write: Write) -> None:
    path = write(metro())
    listing = f"sealed columns: signed by {key_id(COLUMN_KEY)}, statements {'0a' * 48}"
    assert listing in printed("check", path)
    (submitter_,) = json.loads(printed("check", path, "--json"))["submitters"]
    (ours,) = submitter_["agencies"]
    assert (ours["column_signing_key"], ours["column_statements"]) == (key_id(COLUMN_KEY), ["0a" * 48])
    assert "signs headers" not in printed("check", path)
    same = metro(sealed_columns={"signing_key": pem(KEY), "statements": ["0a" * 48]})
    said = "statements on column keys of metro-pd and WI0130000 are signed by a key that signs headers"
    assert said in printed("check", write(same))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(-9, -1, "ended on"), (1, 90, "begins on"), (-9, 0, "in 0 days"), (-9, 30, "in 30 days"), (0, 31, None)],
)
def test_check_warns_of_agreements_that_end(write: Write, first: int, last: int, said: str | None) -> None:
    today = datetime.now(UTC).date()
    agreement = {"id": "MOU-2", "from": today + timedelta(days=first), "until": today + timedelta(days=last)}
    path = write(metro(agreement=agreement))
    found = json.loads(printed("check", path, "--json"))["warnings"]
    assert [said in each for each in found if said] == [True] * bool(said)
    assert len(found) == bool(said)
    assert ("warning" in printed("check", path)) is bool(said)


def test_check_refuses_by_position(write: Write) -> None:
    for data, said in (
        (metro(purposes=[]), "purposes"),
        (metro({**RULE, "recipients": []}), "recipients"),
        (b"version = 1\n", "version"),
        (metro({**RULE, "operations": ["*"]}), "submitters[0].agencies[0].purposes[0].rules[0].operations"),
    ):
        result = cji("check", write(data))
        assert (result.exit_code, said in result.stderr, "docs/policy.md" in result.stderr) == (2, True, True)


# ------------------------------------------------------------------ sign


def test_sign_and_check_with_the_configuration(write: Write, tmp_path: Path) -> None:
    path, keys = write(metro()), [new_signing_key() for _ in range(2)]
    for name, key in zip("ab", keys, strict=True):
        save_private_key(key, tmp_path / f"{name}.key", passphrase=None)
    signers = json.dumps([printed("signer", tmp_path / f"{name}.key").strip() for name in "ab"])
    config = write(f"policy_signers = {signers}\npolicy_signatures = 2\n{WORKER_CONFIG}", "worker.toml")

    def checked() -> Result:
        return cji("check", path, "--config", config)

    missing = checked()
    assert (missing.exit_code, "policy_signatures: it does not exist" in missing.stderr) == (2, True)
    assert "1 signature on this policy" in printed("sign", path, "--key", tmp_path / "a.key")
    assert "1 signature on this policy" in printed("sign", path, "--key", tmp_path / "a.key")
    assert "1 of 2 signatures" in checked().stderr
    signed = tmp_path / "policy.toml.signatures"
    signed.write_bytes(signed.read_bytes() * 2)  # one person's line twice
    assert "2 signatures on this policy" in printed("sign", path, "--key", tmp_path / "b.key")
    told = answered(cji("sign", path, "--key", tmp_path / "b.key", "--json"), SignedPolicy)
    assert (told.signatures, told.key) == (2, key_id(keys[1].public_key()))
    assert told.policy_sha384 == Policy.load(path.read_bytes()).sha384.hex()
    half = answered(cji("signer", tmp_path / "a.key", "--json"), PublicHalf)
    assert half.jwk == printed("signer", tmp_path / "a.key").strip()
    both = checked()
    assert (both.exit_code, all(key_id(key.public_key()) in both.stdout for key in keys)) == (0, True)
    write(metro(jobs_per_day=5))
    assert "0 of 2 signatures" in checked().stderr
    assert "1 signature on this policy" in printed("sign", path, "--key", tmp_path / "b.key")
    assert (tmp_path / "policy.toml.signatures").read_text().count("\n") == 1  # those on other bytes are gone
    write("x\n", "policy.toml.signatures")
    damaged = cji("sign", path, "--key", tmp_path / "a.key")
    assert (damaged.exit_code, "line 1 is not a signature" in damaged.stderr) == (2, True)
    assert (tmp_path / "policy.toml.signatures").read_text() == "x\n"


def test_what_is_no_policy_is_not_signed(write: Write, tmp_path: Path) -> None:
    save_private_key(new_signing_key(), tmp_path / "a.key", passphrase=None)
    assert cji("sign", write(b"version = 1\n"), "--key", tmp_path / "a.key").exit_code == 2
    assert not (tmp_path / "policy.toml.signatures").exists()


# ------------------------------------------------------------------ test


def test_the_cases_of_the_documentation_are_as_it_says(write: Write) -> None:
    policy, cases = write(EXAMPLE), write(CASES, "cases.toml")
    assert printed("test", policy, cases) == "3 of 3 cases are as expected\n"
    changed = write(
        CASES.replace('"data_class"', '"granted"').replace("rows = 50_000", "rows = 2_000_000"), "cases.toml"
    )
    result = cji("test", policy, changed)
    first, second = (n for n, line in enumerate(CASES.splitlines(), 1) if line.startswith("[[cases]]") and n < 20)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{changed}:{first}: expected granted, but it is denied by rows",
        f"{changed}:{second}: expected granted, but it is denied by data_class",
        "1 of 3 cases are as expected",
    ]
    assert json.loads(cji("test", policy, changed, "--json").stdout)[0] == {
        "line": first,
        "expected": "granted",
        "decided": "rows",
    }


CASE = f"""[[cases]]
submitter = "metro-pd"
requesting_ori = "WI0130000"
purpose = "C"
operations = ["deidentify"]
schemas = ["person/1"]
recipients = ["{OURS.key_id}"]
on = {DAY}
"""


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ('submitter = "x"', "submitter"),
        ('requesting_ori = "WI0140000"', "requesting_agency"),
        ('originating_ori = "WI0140000"', "originating_agency"),
        ("on = 2001-01-01", "agreement"),
        ('purpose = "D"', "purpose"),
        ('operations = ["link"]', "operation"),
        ('schemas = ["hotfile/1"]', "data_class"),
        (f'recipients = ["{THEIRS.key_id}"]', "recipient"),
        ('operations = ["validate"]', "escrow"),
        ('secondary_recipient = "Court"', "secondary_recipient"),
        ('secondary_recipient = "Board"', "granted"),
        ("rows = 51", "rows"),
        ("bytes = 10", "bytes"),
        ("jobs_today = 4", "jobs_per_day"),
        ("jobs_today = 3", "granted"),
        (f'column_statements = ["{"0a" * 48}"]', "granted"),
        (f'column_statements = ["{"0a" * 48}", "{"0b" * 48}"]', "column_keys"),
    ],
)
def test_every_rule_can_be_expected(write: Write, change: str, rule: str) -> None:
    key = change.partition(" ")[0]
    text = "".join(line for line in CASE.splitlines(keepends=True) if not line.startswith(f"{key} ="))
    policy = write(metro(RULE, ESCROWED))
    for expect in ("granted", *DeniedBy):
        cases = write(f'{text}{change}\nexpect = "{expect}"\n', "cases.toml")
        assert cji("test", policy, cases).exit_code == (expect != rule)


def test_cases_that_cannot_be_read_are_refused(write: Write) -> None:
    policy = write(metro())
    for text in (
        "",
        "cases = []\n",
        f"{CASE}expect = 'maybe'\n",
        f"{CASE}expect = 'granted'\nmore = 1\n",
        f"{CASE}expect = 'granted'\n".replace("person/1", "person/9"),
        f"cases = [{{{', '.join(CASE.splitlines()[1:])}, expect = 'granted'}}]\n",
        'x = """\n[[cases]]\n"""\n',
    ):
        assert cji("test", policy, write(text, "cases.toml")).exit_code == 2


# ------------------------------------------------------------------ diff


def test_diff_names_what_came_and_went(write: Write) -> None:
    old = write(metro(), "old.toml")
    assert printed("diff", old, write(metro() + b"# a comment\n", "new.toml")).startswith("no change")
    wider = {**RULE, "data_classes": ["biographic", "case"], "recipients": [OURS.key_id, THEIRS.key_id]}
    new = write(metro(wider, rule([OURS.key_id], "link"), jobs_per_day=9), "new.toml")
    lines = printed("diff", old, new).splitlines()
    where = "metro-pd for WI0130000, purpose C"
    assert [line for line in lines if "link" not in line] == [
        "granted    metro-pd for WI0130000: 9 jobs a day",
        "withdrawn  metro-pd for WI0130000: 4 jobs a day",
        f"granted    {where}, deidentify: data: case, to {THEIRS.key_id}",
        f"withdrawn  {where}, deidentify: data: control number",
    ]
    assert any(line.startswith(f"granted    {where}, link: the operation, data: biographic") for line in lines)
    found = json.loads(printed("diff", old, new, "--json"))
    assert {
        "direction": "granted",
        "submitter": "metro-pd",
        "ori": "WI0130000",
        "purpose": "C",
        "operation": "deidentify",
        "subject": "data_class",
        "value": "case",
    } in found


def test_diff_shows_an_escrow_that_goes(write: Write) -> None:
    """What a worker no longer demands is granted."""
    both, escrow = [OURS.key_id, THEIRS.key_id], [{"one_of": [THEIRS.key_id, OURS.key_id]}]
    free, bound = rule(both, "validate"), write(metro(ESCROWED), "old.toml")
    where = "metro-pd for WI0130000, purpose C, validate"
    assert printed("diff", bound, write(metro(free), "new.toml")).splitlines() == [
        f"granted    {where}: escrow: none",
        f"withdrawn  {where}: escrow: {THEIRS.key_id}",
    ]
    either = printed("diff", bound, write(metro({**free, "escrow": escrow}), "new.toml"))
    assert f"granted    {where}: escrow: {' or '.join(sorted(both))}\n" in either
    agencys = metro(free, escrow=[{"one_of": [THEIRS.key_id]}])
    assert printed("diff", bound, write(agencys, "new.toml")).startswith("no change")


# ------------------------------------------------------------------ explain


def test_explain_decides_again(write: Write) -> None:
    policy = write(metro())

    def said(*options: str, **changes: Any) -> str:
        header = write(make(**changes), "header.bin")
        command = ["--header", str(header), "--submitter", "metro-pd", "--on", str(DAY), *options]
        text = printed("explain", policy, *command)
        assert text.count("\n") == 1
        told = answered(cji("explain", policy, *command, "--json"), Explained)
        assert f"{told.explanation}\n" == text
        by = f"denied by {told.denied_by}: " if told.denied_by else f"{told.decision}: "
        assert text.startswith(by)
        assert told.time is None
        return text.rstrip()

    assert said().startswith(
        "granted: metro-pd for WI0130000, purpose C: deidentify on biographic, control number; to "
    )
    assert said(purpose_code="D") == "denied by purpose: metro-pd for WI0130000 has no purpose D, only C"
    assert "denied by recipient" in said(recipients=[THEIRS])
    assert THEIRS.key_id in said(recipients=[THEIRS])
    assert said("--secondary-recipient", "Court").endswith("may not go on to Court, only to Board")
    ended = said("--on", "2001-01-01")
    dates = f"MOU-2 of WI0130000 from {AGREED['from']} until {AGREED['until']}"
    assert ended == f"denied by agreement: on 2001-01-01, not every agreement is in force: {dates}"
    assert said(requesting_ori="WI0140000").endswith("may not act for WI0140000, only for WI0130000")
    other = cji("explain", policy, "--header", write(make(), "h"), "--submitter", "x").stdout
    assert other == "denied by submitter: x is not one of metro-pd\n"


def test_escrow_is_explained_and_checked(write: Write) -> None:
    policy = write(metro({**ESCROWED, "operations": ["deidentify"]}))

    def said(*recipients: Recipient) -> str:
        header = write(make(recipients=recipients), "header.bin")
        return printed("explain", policy, "--header", header, "--submitter", "metro-pd", "--on", str(DAY)).rstrip()

    assert said(OURS) == (
        "denied by escrow: metro-pd for WI0130000, purpose C must send results to "
        f"{THEIRS.key_id} as well: `escrow` in [job] of the profile"
    )
    assert said(OURS, THEIRS).startswith("granted: metro-pd for WI0130000, purpose C: deidentify on ")
    assert f", always to {THEIRS.key_id}; up to" in said(OURS, THEIRS)
    assert f", always to {THEIRS.key_id}; up to" in printed("check", policy)
    (submitter_,) = json.loads(printed("check", policy, "--json"))["submitters"]
    assert [each["escrow"] for each in submitter_["agencies"][0]["rules"]] == [[[THEIRS.key_id]]]


@pytest.mark.parametrize("page", ["policy.md", "how-to/keys.md"])
def test_the_escrow_of_the_documentation(write: Write, page: str) -> None:
    (line,) = re.findall(r"^escrow = \[\{.*\n", (ROOT / "docs" / page).read_text(), re.MULTILINE)[:1]
    policy = write(EXAMPLE.replace("jobs_per_day = 500\n", f"jobs_per_day = 500\n{line}"))
    rules = [each for each in printed("check", policy).splitlines() if each.startswith("    C")]
    assert [", always to NzbLsXh8uDCcd-" in each for each in rules] == [True] * 3


def test_explain_knows_the_data_of_a_resident_reference(write: Write) -> None:
    screened = OPERATIONS["screen"].message(Screen(preset="ncic_qw", resident_reference="00" * 32))
    header = write(make(operations=[screened]), "header.bin")
    for classes, decision in ((["biographic", "control number"], "denied by data_class"), (ALL_CLASSES, "granted")):
        policy = write(metro(rule([OURS.key_id], "screen", data_classes=classes)))
        said = printed("explain", policy, "--header", header, "--submitter", "metro-pd", "--on", str(DAY))
        assert said.startswith(f"{decision}: metro-pd for WI0130000")


def test_explain_says_what_is_wrong_with_column_keys(write: Write) -> None:
    keys = sealed()
    people = InputPart(name="people", schema="person/1", sealed_columns=("last",))
    made = make(inputs=[people], column_keys=[keys], size_class=SizeClass.POWER_OF_TWO)
    header = write(made, "header.bin")
    digest = keys.statement.sha384.hex()
    options = ["--header", str(header), "--submitter", "metro-pd", "--on", str(DAY)]
    said = printed("explain", write(metro()), *options).rstrip()
    assert said == (
        f"denied by column_keys: the policy does not list the statement; statements of WI0130000: {'0a' * 48}"
    )
    listed = metro(sealed_columns={"signing_key": pem(COLUMN_KEY), "statements": [digest]})
    assert printed("explain", write(listed), *options).startswith("granted: ")
    other = metro(sealed_columns={"signing_key": pem(KEY), "statements": [digest]})
    assert "the policy's signing_key did not sign the statement" in printed("explain", write(other), *options)


def test_diff_has_words_for_every_fact(write: Write) -> None:
    confirmed = {"recipient": OURS.key_id, "key": pem(COLUMN_KEY), "from": DAY, "until": DAY}
    old = write(metro(), "old.toml")
    new = metro(
        {**RULE, "confirmations": [confirmed]}, sealed_columns={"signing_key": pem(KEY), "statements": ["0b" * 48]}
    )
    text = printed("diff", old, write(new, "new.toml"))
    assert f"column keys signed by {key_id(KEY)}, column keys of statement {'0b' * 48}" in text
    assert f"withdrawn  metro-pd for WI0130000: column keys signed by {key_id(COLUMN_KEY)}" in text
    assert f"confirmation key {key_id(COLUMN_KEY)} for {OURS.key_id}" in text
    assert set(_WORDS) == set(Subject)


def test_explain_needs_one_job(write: Write) -> None:
    policy, header = write(metro()), write(make(), "header.bin")
    for options in (
        [],
        ["--header", header],
        ["--submitter", "x"],
        ["--trail", header, "--header", header, "--job", "x"],
    ):
        assert cji("explain", policy, *options).exit_code == 2
    assert cji("explain", policy, "--header", policy, "--submitter", "metro-pd").exit_code == 2


_ID = "0f" * 16


def _refused(by: DeniedBy) -> JobRefused:
    return JobRefused(
        source="127.0.0.1:1",
        stage=Stage.ADMIT,
        reason=Reason.POLICY_DENIED,
        correlation_id="c",
        submitter="metro-pd",
        job_id=_ID,
        header_sha384="00" * 48,
        requesting_ori="WI0130000",
        purpose_code="C",
        denied_by=by,
    )


@pytest.fixture
def trail(tmp_path: Path) -> Callable[..., Path]:
    def written(*given: Event) -> Path:
        path = tmp_path / "audit.jsonl"
        for old in tmp_path.glob("audit.jsonl*"):
            old.unlink()
        with AuditFile(path, worker="w", clock=lambda: NOW) as file:
            for event in given:
                file.append(event)
        return path

    return written


@pytest.mark.parametrize("by", list(DeniedBy))
def test_explain_reads_the_trail(write: Write, trail: Callable[..., Path], by: DeniedBy) -> None:
    text = printed("explain", write(metro()), "--trail", trail(_refused(by)), "--job", _ID)
    assert text.startswith(f"2026-11-24T15:00:00.00Z denied by {by}: ")
    assert (text.count("\n"), "None" in text, "  " in text) == (1, False, False)
    command = ("explain", write(metro()), "--trail", trail(_refused(by)), "--job", _ID, "--json")
    told = answered(cji(*command), Explained)
    assert (told.decision, told.denied_by, told.time) == ("denied", by, "2026-11-24T15:00:00.00Z")


@pytest.mark.parametrize("reloaded", [False, True])
def test_explain_names_a_policy_of_another_time(write: Write, trail: Callable[..., Path], reloaded: bool) -> None:
    policy = write(metro())
    digest = Policy.load(policy.read_bytes()).sha384.hex()
    other = "0a" * 48
    start = WorkerStarted(
        version="1", code_sha384=other, config_sha384=other, policy_sha384=digest, simulated=True, host_profile="none"
    )
    files = [FileDigests(policy_file=each, client_roots="0b" * 48, client_crl=None) for each in (digest, "0c" * 48)]
    reload = [FilesReloaded(by="command", uid=0, before=files[0], after=files[1])] if reloaded else []
    text = printed("explain", policy, "--trail", trail(start, *reload, _refused(DeniedBy.ROWS)), "--job", _ID)
    assert text.endswith(", under another policy than this\n") is reloaded


def test_explain_reads_the_last_attempt(write: Write, trail: Callable[..., Path]) -> None:
    policy, job = write(metro()), bytes.fromhex(_ID)
    by = Attributed(operator_id="op", requestor="r", secondary_recipient="A newspaper")
    admitted = audit_events.admitted(job, bytes(48))
    ended = JobEnded(
        job_id=_ID,
        header_sha384="00" * 48,
        submitter="metro-pd",
        requesting_ori="WI0130000",
        purpose_code="C",
        duration_ms=1,
        stage=Stage.ADMIT,
        reason=Reason.POLICY_DENIED,
        correlation_id="c",
        denied_by=DeniedBy.SECONDARY_RECIPIENT,
    )
    onward = msgspec.structs.replace(admitted, attribution=by)
    said = printed("explain", policy, "--trail", trail(onward, ended), "--job", _ID)
    assert said.endswith("may not go on to A newspaper, only to Board\n")
    said = printed("explain", policy, "--trail", trail(onward, ended, admitted), "--job", _ID)
    assert "granted: metro-pd for WI0130000, purpose C: deidentify" in said
    assert "under another policy than this" in said
    failed = msgspec.structs.replace(ended, denied_by=None, reason=Reason.DEADLINE, stage=Stage.COMPUTE)
    said = printed("explain", policy, "--trail", trail(admitted, failed), "--job", _ID)
    assert said.endswith("not denied by the policy: it ended with DEADLINE at compute\n")
    path = trail(admitted)
    assert cji("explain", policy, "--trail", path, "--job", "00" * 16).exit_code == 2
    path.write_bytes(path.read_bytes().replace(b"metro-pd", b"metro-px"))
    assert cji("explain", policy, "--trail", path, "--job", _ID).exit_code == 3
