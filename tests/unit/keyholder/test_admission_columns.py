"""Column keys at admission: nothing is opened for a job that may not use them, and all is tried for one that may."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cji_core.errors import Denied, DeniedBy, Reason, Stage
from cji_core.format.columns import ColumnKeys
from cji_core.format.columns.sealing import _to_be_signed
from cji_core.format.envelope import UnwrappingKey, seal_box, wrap_dek
from cji_core.format.job import InputPart, Policy, SizeClass
from cji_core.jose import es384_sign, public_jwk, thumbprint
from cji_worker.ipc.keyslot import SLOT_PAGE_BYTES
from cji_worker.keyholder.admission import open_keys
from cji_worker.keyholder.holdings import Holdings
from tests.support.column_keys import CEKS, agency_key, sealed, statement
from tests.support.policies import policy_file, submitter
from tests.support.refusals import refused
from tests.unit.keyholder.test_admission import (
    AGENCY,
    BY,
    CMK,
    DEK,
    HELD,
    KEK,
    NOW,
    PROJECT_KEY,
    SAN,
    SIGNING,
    Unopened,
    admit,
    authorise_again,
    header,
)

OPENED = InputPart(name="records", schema="person/1", sealed_columns=("DOB", "last"))


def keys(table: str = "one", **changes: Any) -> ColumnKeys:
    stated = statement(
        table=table,
        originating_ori="GA0600000",
        submitters=[thumbprint(SIGNING.public_key())],
        kek_id=KEK,
        created=NOW,
        not_after=NOW.replace(year=NOW.year + 1),
        **changes,
    )
    return sealed(stated, wrapping=HELD.private.public_key())


ONE, TWO = keys(), keys("two")


def granting(*granted: ColumnKeys) -> Policy:
    columns = {
        "signing_key": public_jwk(agency_key().public_key()),
        "statements": [each.statement.sha384.hex() for each in granted],
    }
    ours = submitter("agency", SIGNING.public_key(), {**AGENCY, "sealed_columns": columns}, san=SAN)
    return Policy.load(policy_file(ours))


def job(carried: ColumnKeys, **changes: Any) -> bytes:
    values = {"inputs": [OPENED], "column_keys": [carried], "size_class": SizeClass.POWER_OF_TWO, **changes}
    return header(**values)


def resealed(known: ColumnKeys, ceks: tuple[bytes, ...]) -> ColumnKeys:
    """The same statement around other keys, signed by its agency."""
    key = bytes(32)
    wrapped = wrap_dek(CMK.public_key(), key)
    box = seal_box(key, b"column-keys\0" + known.statement.sha384, b"".join(ceks))
    signature = es384_sign(agency_key(), _to_be_signed(known.statement, wrapped, box))
    return replace(known, wrapped_key=wrapped, sealed_keys=box, signature=signature)


def test_a_cell_gets_column_keys_after_its_other_keys() -> None:
    admission = admit(job(ONE), policy=granting(ONE, TWO))
    opened = open_keys(admission)
    assert opened.attribution == BY
    assert opened.keys == [DEK, PROJECT_KEY, *CEKS]


def test_nothing_is_opened_for_keys_that_are_not_granted() -> None:
    unopened = Holdings(keys={KEK: replace(HELD, private=UnwrappingKey(Unopened()))})  # type: ignore[arg-type]
    assert admit(job(ONE), policy=granting(ONE), holdings=unopened)
    with pytest.raises(Denied) as denied:
        admit(job(ONE), policy=granting(TWO), holdings=unopened)
    assert denied.value.by is DeniedBy.COLUMN_KEYS
    assert (denied.value.reason, denied.value.stage) == (Reason.POLICY_DENIED, Stage.ADMIT)


def test_a_statement_that_leaves_the_policy_is_revoked() -> None:
    """A reload looks again at the jobs that run: `Jobs.end_unauthorised`."""
    admission = admit(job(ONE), policy=granting(ONE, TWO))
    authorise_again(admission, granting(ONE))
    with pytest.raises(Denied) as denied:
        authorise_again(admission, granting(TWO))
    assert denied.value.by is DeniedBy.COLUMN_KEYS


class Counted(UnwrappingKey):
    """Counts its private operations."""

    def __init__(self) -> None:
        self.__dict__["used"] = 0

    @property
    def rsa_key(self) -> rsa.RSAPrivateKey:
        self.__dict__["used"] += 1
        return CMK


@pytest.mark.parametrize("wrong_keys", [False, True])
@pytest.mark.parametrize("wrong_dek", [False, True])
def test_every_key_is_tried_before_a_failure_is_reported(wrong_keys: bool, wrong_dek: bool) -> None:
    """The work for a job does not depend on which of its keys is wrong."""
    carried = resealed(ONE, CEKS[::-1]) if wrong_keys else ONE
    changes = {"wrapped_dek": bytes(384)} if wrong_dek else {}
    counted = Counted()
    holdings = Holdings(keys={KEK: replace(HELD, private=counted)})
    admission = admit(job(carried, **changes), policy=granting(ONE), holdings=holdings)
    assert used(counted) == 0
    if wrong_keys or wrong_dek:
        with refused(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT):
            open_keys(admission)
    else:
        open_keys(admission)
    assert used(counted) == 2


def used(counted: Counted) -> int:
    return int(counted.__dict__["used"])


@pytest.mark.parametrize(
    "ceks", [CEKS[::-1], (CEKS[0], CEKS[0]), (bytes(32), CEKS[1])], ids=["order", "twice", "other"]
)
def test_a_key_that_is_not_the_stated_one_is_refused(ceks: tuple[bytes, ...]) -> None:
    admission = admit(job(resealed(ONE, ceks)), policy=granting(ONE))
    with refused(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT):
        open_keys(admission)


def test_the_most_keys_of_a_job_fit_into_its_slot() -> None:
    operations, statements, of_each = 8, 4, 16
    assert 1 + (1 + operations + statements * of_each) * 33 <= SLOT_PAGE_BYTES
