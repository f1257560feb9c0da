"""What the desk says before a job is sent: what the worker's description rules out, and what its policy compares."""

from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.description import Description
from cji_client.desk.outlook import case, compared, outlook
from cji_client.prepared import Prepared, prepare
from cji_client.spec import decode_spec
from cji_core.jose import key_id, public_jwk
from cji_core.wire.v1 import worker_pb2 as pb
from cji_deploy.verbs.policy.cases import read_cases
from tests.support.job_specs import KEK_ID, head, profile
from tests.support.rsa_keys import rsa_key

CMK = rsa_key(0, 3072).public_key()
PROFILE = profile()
OPERATION = '[input]\nschema = "person/1"\n[[operations]]\nkind = "link"\n'


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    spec = decode_spec(head(recipient=public_jwk(CMK), kek_thumbprint=key_id(CMK)) + OPERATION)
    people = pa.table({"last": ["Doe", "Roe"], "first": ["Jane", "Jim"], "DOB": ["19800102", "19900304"]})
    return prepare(people, spec)


def described(
    audience: str = "pool",
    operations: tuple[str, ...] = ("link",),
    schemas: tuple[str, ...] = ("person/1",),
    kek_id: str = KEK_ID,
    most: int = 1 << 30,
) -> Description:
    """What a worker says of itself."""
    return Description(
        audience=audience,
        worker_id="worker-1",
        operations=operations,
        schemas=schemas,
        keys={kek_id: (public_jwk(CMK), "")},
        limits=pb.Limits(job_bytes=most),
    )


def test_a_job_that_fits_the_worker_is_not_refused(prepared: Prepared) -> None:
    found = outlook(prepared, PROFILE, described())
    assert not found.refused
    assert len(found.points) == 5


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (described(audience="another"), "works for another"),
        (described(operations=("screen",)), "does not offer this task (link)"),
        (described(schemas=("hotfile/1",)), "does not read records of this kind (person/1)"),
        (described(kek_id="https://vault.example/keys/cji/1"), "not the one that your agency expects"),
        (described(most=10), "its limit is"),
    ],
)
def test_what_the_worker_rules_out_is_said(prepared: Prepared, known: Description, words: str) -> None:
    """Each alone, with something to do about it."""
    found = outlook(prepared, PROFILE, known)
    assert found.refused
    (point,) = (each for each in found.points if each.remedy)
    assert words in point.words


def test_the_operator_can_try_the_case(prepared: Prepared, tmp_path: Path) -> None:
    """`cji policy test` reads what the page shows, and it says what the page says."""
    (tmp_path / "cases.toml").write_text(case(prepared), encoding="utf-8")
    (found,) = read_cases(tmp_path / "cases.toml")
    assert (found.requesting_ori, found.purpose, found.operations) == ("CA0190000", "C", ("link",))
    assert (found.schemas, found.recipients, found.rows) == (("person/1",), (key_id(CMK),), 2)
    shown = compared(prepared)
    assert shown["Keys that can open the result"] == key_id(CMK)
    assert shown["Classes of data"] == "biographic, control number"
    assert "Jane" not in case(prepared) + str(shown)
