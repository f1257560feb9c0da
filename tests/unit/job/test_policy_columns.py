"""The decision on sealed columns: each rule broken once, by the first job that would profit from it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem

from cji_core.errors import Denied, DeniedBy
from cji_core.format.columns import ColumnEncryption, ColumnKeys, ColumnRight
from cji_core.format.envelope import WrappingKey
from cji_core.format.job import Header, InputPart, Policy, PolicyInvalid, SealedOutput, SizeClass, parse
from cji_core.format.job.policy import ReferenceUse
from cji_core.format.records import SCHEMAS, DataClass
from cji_core.jose import public_jwk
from cji_core.pairs import SigningPair
from cji_core.suites import Suite
from tests.support.column_keys import COLUMNS, CREATED, KEYS, agency_key, column, sealed, statement, worker_key
from tests.support.job_headers import NOW, OURS, make
from tests.support.policies import agency, policy_file, purpose, rule, submitter

ORI, OTHER_ORI = "WI0130000", "WI0140000"
KEYS_OF_TABLE = sealed()
DIGEST = KEYS_OF_TABLE.statement.sha384.hex()
GOOD = InputPart(name="people", schema="person/1", sealed_columns=("DOB", "last"))
SIDE = InputPart(name="link_to", schema="person/1")
SEALED_SIDE = InputPart(name="link_to", schema="person/1", sealed_columns=("SOC",))
LATER = NOW + timedelta(hours=1)


@dataclass(frozen=True)
class Used:
    """A resident reference, as a plan has it."""

    side: str
    schema: str
    seconds: int


def policy(*statements: str, key: Any = None, **changes: Any) -> Policy:
    columns = {
        "signing_key": public_jwk((key or agency_key()).public_key()),
        "statements": list(statements or [DIGEST]),
        **changes,
    }
    rules = purpose("C", rule([OURS.key_id]))
    agencies = [agency(ORI, rules, sealed_columns=columns), agency(OTHER_ORI, rules)]
    return Policy.load(policy_file(submitter("metro", agency_key(9).public_key(), *agencies)))


def header(*, keys: ColumnKeys = KEYS_OF_TABLE, **changes: Any) -> Header:
    values = {"column_keys": [keys], "inputs": [GOOD], "size_class": SizeClass.POWER_OF_TWO, **changes}
    return parse(make(**values))


def why(
    job: Header, under: Policy | None = None, *, reference: ReferenceUse | None = None, now: datetime = NOW
) -> str | None:
    """The rule that denies the job, None for a grant."""
    found = under or policy(job.column_keys[0].statement.sha384.hex() if job.column_keys else DIGEST)
    (only,) = found
    try:
        found.authorise_columns(job, only, reference=reference, now=now)
    except Denied as denied:
        return str(denied.__cause__) if denied.by is DeniedBy.COLUMN_KEYS else f"denied by {denied.by}"
    return None


def stating(**changes: Any) -> ColumnKeys:
    return sealed(statement(**changes))


def test_a_job_that_breaks_no_rule_is_granted() -> None:
    assert why(header()) is None
    assert why(parse(make()), policy()) is None
    output = SealedOutput(output="result", column="SOC", column_keys=0, as_column="SOC")
    assert why(header(inputs=[replace(GOOD, sealed_columns=("SOC",))], sealed_outputs=[output])) is None


def test_only_statements_of_the_list_are_granted() -> None:
    unlisted = "the policy does not list the statement"
    assert why(header(), policy("00" * 48)) == unlisted
    assert why(header(keys=stating(table="other")), policy()) == unlisted
    bare = Policy.load(
        policy_file(submitter("metro", agency_key(9).public_key(), agency(ORI, purpose("C", rule([OURS.key_id])))))
    )
    assert why(header(), bare) == unlisted
    both = header(
        inputs=[replace(SEALED_SIDE, column_keys=1), GOOD],
        column_keys=[KEYS_OF_TABLE, stating(table="other")],
    )
    assert why(both, policy()) == unlisted


def test_a_list_is_of_the_originating_agency() -> None:
    """The records are those of `originating_ori`, whoever asks: the list of another agency does not count."""
    theirs = header(originating_ori=OTHER_ORI, keys=stating(originating_ori=OTHER_ORI))
    assert why(theirs) == "the policy does not list the statement"
    assert why(header(requesting_ori=OTHER_ORI)) is None
    assert why(header(originating_ori="WI0150000")) == "the policy does not list the statement"


def test_the_pinned_key_signed_the_statement_and_the_keys() -> None:
    unsigned = "the policy's signing_key did not sign the statement"
    assert why(header(), policy(DIGEST, key=agency_key(1))) == unsigned
    taken = sealed(statement(signing_key=agency_key(1)), signing_key=agency_key(1))
    assert why(header(keys=taken)) == unsigned
    other = stating(table="other")
    swapped = replace(KEYS_OF_TABLE, wrapped_key=other.wrapped_key, sealed_keys=other.sealed_keys)
    assert why(header(keys=swapped)) == unsigned
    assert why(header(keys=replace(KEYS_OF_TABLE, signature=bytes(96)))) == unsigned


STATEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "agency": ({"originating_ori": OTHER_ORI}, "the statement is of another agency"),
    "purpose": ({"purpose_codes": ["F"]}, "the statement is for other purposes"),
    "submitter": ({"submitters": [b"t" * 32]}, "the statement is for other submitters"),
    "kek": (
        {"kek_id": "https://v.vault.azure.net/keys/cmk/" + "cd" * 16},
        "the statement is for another key of a worker",
    ),
    "future": ({"created": NOW + timedelta(seconds=61)}, "the statement is of the future"),
    "end": ({"not_after": LATER - timedelta(seconds=1)}, "the statement ends before the job may"),
    "not stated": (
        {"columns": [column("DOB", "date", key=1), column("SOC", "char(9) cp1252")]},
        "a sealed column is not stated, or not one of the schema: last",
    ),
    "class": (
        {"columns": [*COLUMNS[:2], column("last", "nvarchar(60)", data_class=DataClass.CONTROL_NUMBER)]},
        "a column has another class of data: last",
    ),
    "right": (
        {"columns": [*COLUMNS[:2], column("last", "nvarchar(60)", rights=frozenset({ColumnRight.SEAL}))]},
        "a column may not be opened: last",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_something_else_is_denied(name: str) -> None:
    """Each is listed by the policy and signed by its key."""
    change, rule_broken = STATEMENTS[name]
    assert why(header(keys=stating(**change))) == rule_broken


def test_another_suite_is_denied() -> None:
    pair = SigningPair.generate()
    wrapping = WrappingKey(worker_key().rsa_key.public_key(), mlkem.MLKEM1024PrivateKey.generate().public_key())
    keys = sealed(statement(signing_key=pair, suite=Suite.HYBRID_1), signing_key=pair, wrapping=wrapping)
    under = policy(keys.statement.sha384.hex(), key=pair)
    assert why(header(keys=keys), under) == "the statement is of another suite"


def test_dates_are_good_to_the_second() -> None:
    assert why(header(keys=stating(created=NOW + timedelta(seconds=60)))) is None
    assert why(header(keys=stating(not_after=LATER))) is None
    assert why(header(), now=CREATED - timedelta(seconds=61)) == "the statement is of the future"


def test_a_sealed_column_is_one_of_its_schema() -> None:
    renamed = stating(columns=[*COLUMNS[:2], column("surname", "nvarchar(60)")])
    part = replace(GOOD, sealed_columns=("DOB", "surname"))
    assert (
        why(header(keys=renamed, inputs=[part])) == "a sealed column is not stated, or not one of the schema: surname"
    )


@pytest.mark.parametrize("name", ["last", "DOB", "middle"])
def test_a_result_is_sealed_only_with_the_right_to(name: str) -> None:
    """Whoever may seal as a deterministic column can look values up in it."""
    output = SealedOutput(output="result", column="SOC", column_keys=0, as_column=name)
    assert why(header(sealed_outputs=[output])) == f"a result may not be sealed so: {name}"


def test_a_result_is_looked_up_only_with_the_right_to() -> None:
    """A submitter has a column of guesses sealed as one that is opened beside it, and gets the cell of each value."""
    guesses = SealedOutput(output="result", column="record_id", column_keys=0, as_column="SOC")
    for part, name in ((GOOD, "last"), (replace(GOOD, sealed_columns=("SOC",)), "SOC")):
        rights = {"SOC": {ColumnRight.OPEN, ColumnRight.SEAL}, "last": {ColumnRight.OPEN}}
        columns = [replace(each, rights=frozenset(rights.get(each.column, each.rights))) for each in COLUMNS]
        denied = f"a result may not be looked up in a column without the right compare: {name}"
        assert why(header(keys=stating(columns=columns), inputs=[part], sealed_outputs=[guesses])) == denied
    of_another_key = replace(GOOD, sealed_columns=("DOB",))
    assert why(header(inputs=[of_another_key], sealed_outputs=[guesses])) is None
    randomized = [replace(each, encryption=ColumnEncryption.RANDOMIZED) for each in COLUMNS]
    assert why(header(keys=stating(columns=randomized), sealed_outputs=[guesses])) is None


def test_a_column_is_compared_only_with_the_right_to() -> None:
    """A submitter finds out values by linking them with a table of guesses."""
    compared = "a column without the right compare may not meet unsealed values: DOB"
    soc = replace(GOOD, sealed_columns=("SOC",))
    assert why(header(inputs=[SIDE, GOOD])) == compared
    assert why(header(inputs=[SIDE, soc])) is None
    assert why(header(inputs=[SEALED_SIDE, replace(GOOD, sealed_columns=())])) is None
    last = replace(SEALED_SIDE, sealed_columns=("last",))
    assert why(header(inputs=[last, replace(GOOD, sealed_columns=())])) == compared.replace("DOB", "last")
    every = replace(SIDE, sealed_columns=tuple(sorted(_biographic())))
    columns = [column(name, "nvarchar(60)", key=0) for name in _biographic()]
    all_sealed = sealed(statement(columns=columns, keys=KEYS[:1]), ceks=(bytes(range(32)),))
    assert why(header(inputs=[every, GOOD], keys=all_sealed)) == compared  # the records have other columns unsealed
    assert why(header(inputs=[every, replace(every, name="people")], keys=all_sealed)) is None
    offenses = InputPart(name="offense_codes", schema="offense_codes/1")
    assert why(header(inputs=[offenses, GOOD])) is None


def _biographic() -> list[str]:
    columns = SCHEMAS["person/1"].columns.items()
    return [name for name, each in columns if each.data_class is DataClass.BIOGRAPHIC]


def test_a_resident_reference_is_unsealed_too() -> None:
    used = Used(side="reference", schema="hotfile/1", seconds=0)
    assert why(header(), reference=used) == "a column without the right compare may not meet unsealed values: DOB"
    assert why(header(inputs=[replace(GOOD, sealed_columns=("SOC",))]), reference=used) is None


def test_no_opened_column_stays_resident() -> None:
    """A later job of the submitter would use it without a statement."""
    brought = InputPart(name="reference", schema="hotfile/1", sealed_columns=("SOC",))
    inputs = [brought, replace(GOOD, sealed_columns=())]
    stays, ends = (Used(side="reference", schema="hotfile/1", seconds=seconds) for seconds in (60, 0))
    assert why(header(inputs=inputs), reference=stays) == "a reference with sealed columns may not stay resident"
    assert why(header(inputs=inputs), reference=ends) is None
    soc = [replace(brought, sealed_columns=()), replace(GOOD, sealed_columns=("SOC",))]
    assert why(header(inputs=soc), reference=stays) is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"statements": [DIGEST, DIGEST]}, "statement named twice"),
        ({"statements": []}, "statements"),
        ({"statements": [DIGEST.upper()]}, "statements"),
        ({"statements": [DIGEST[:-2]]}, "statements"),
        ({"signing_key": "x"}, r"sealed_columns\.signing_key"),
        ({"more": 1}, "more"),
    ],
    ids=["twice", "empty", "capitals", "short", "no key", "unknown"],
)
def test_a_list_that_is_none_makes_the_policy_invalid(change: dict[str, Any], where: str) -> None:
    with pytest.raises(PolicyInvalid, match=where):
        policy(**change)
