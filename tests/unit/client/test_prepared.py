"""Before anything is sealed: records and spec that a worker would refuse."""

import pyarrow as pa
import pytest

from cji_client.errors import SpecError
from cji_client.prepared import prepare
from cji_client.spec import JobSpec, decode_spec
from cji_core.jose import key_id, public_jwk
from tests.support.job_specs import head
from tests.support.rsa_keys import rsa_key

HEAD = head(recipient=public_jwk(rsa_key(1, 3072).public_key()), kek_thumbprint=key_id(rsa_key(0, 3072).public_key()))
EVENTS = pa.table({"subject": ["1", "1", "2"], "county": ["A", "A", "A"]})


def spec(person: str) -> JobSpec:
    """A de-identification of events whose classes count rows, or persons."""
    return decode_spec(f"""{HEAD}
[input]
schema = "chri_event/2"

[[operations]]
kind = "deidentify"
small_classes = {{ quasi_identifiers = ["county"], k = 2, person = "{person}" }}
columns = {{ subject = "drop", county = "keep" }}
""")


def test_events_without_a_person_are_refused_before_sealing() -> None:
    with pytest.raises(SpecError, match="a person may have several rows") as refused:
        prepare(EVENTS, spec(""))
    assert "subject of events" in (refused.value.remedy or "")
    with pytest.raises(SpecError, match="county does not name persons"):
        prepare(EVENTS, spec("county"))
    assert prepare(EVENTS, spec("subject")).spec == spec("subject")
