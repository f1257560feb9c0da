"""Each operation from a sealed job to its sealed outputs."""

import pyarrow as pa
import pytest
from cji_simulator.site import Site

from worker.client import Deidentify, Disseminate, InputSpec, WorkerRefused


def events(rows: int) -> pa.Table:
    return pa.table(
        {
            "subject": [f"S{i // 2:05d}" for i in range(rows)],
            "event": ["arrest"] * rows,
            "date": ["20250801"] * rows,
            "disposition": ["convicted"] * rows,
            "sealed": pa.array([i % 5 == 0 for i in range(rows)]),
            "expunged": pa.array([i % 7 == 0 for i in range(rows)]),
            "juvenile": pa.array([False] * rows),
            "non_conviction": pa.array([False] * rows),
        }
    )


def test_disseminate_for_criminal_justice_and_for_a_licence(site: Site) -> None:
    rows = 20_000  # more than a chunk and than a batch
    table = events(rows)
    for purpose, recipient, kept in (
        ("C", "criminal_justice", [i for i in range(rows) if i % 7]),
        ("I", "non_criminal_justice", [i for i in range(rows) if i % 7 and i % 5]),
    ):
        spec = site.spec(
            deidentify=None,
            disseminate=Disseminate(recipient_class=recipient),
            input=InputSpec(schema="chri_event/1"),
            purpose_code=purpose,
            secondary_recipient="Licensing Board",
        )
        result = site.run(table, spec)
        out = site.open(result)
        assert list(out) == ["result", "row_status", "ledger", "withheld"]
        assert out["result"].equals(table.take(pa.array(kept)).cast(out["result"].schema))
        assert [i for i, status in enumerate(out["row_status"]["status"].to_pylist()) if status == 0] == kept
        subjects = list(dict.fromkeys(table["subject"][i].as_py() for i in kept))
        assert [s.decode() for s in out["ledger"]["subject"].to_pylist()] == subjects
        assert set(out["ledger"]["secondary_recipient"].to_pylist()) == {"Licensing Board"}
        volumes = result.receipt.claims.volumes
        assert (volumes.rows_in, volumes.rows_out, volumes.chri_rows_out) == (rows, len(kept), len(kept))
        assert volumes.subjects_out == len(subjects)


def test_deidentify_then_disseminate(site: Site) -> None:
    """Two operations in one job; findings of the second name columns of the input."""
    table = events(100)
    rules = dict.fromkeys(table.column_names, "keep") | {"event": "drop"}
    spec = site.spec(
        deidentify=Deidentify(project="p1", columns=rules),
        disseminate=Disseminate(recipient_class="non_criminal_justice"),
        input=InputSpec(schema="chri_event/1"),
        purpose_code="I",
    )
    out = site.open(site.run(table, spec))
    assert "event" not in out["result"].column_names
    assert out["result"].num_rows == len([i for i in range(100) if i % 7 and i % 5])
    assert out["row_status"].num_rows == 100


@pytest.mark.parametrize(("recipient", "schema"), [("press", "chri_event/1")])
def test_what_the_table_does_not_know_is_refused(site: Site, recipient: str, schema: str) -> None:
    spec = site.spec(
        deidentify=None, disseminate=Disseminate(recipient_class=recipient), input=InputSpec(schema=schema)
    )
    with pytest.raises(WorkerRefused) as refused:
        site.run(events(1), spec)
    assert refused.value.reason.value == "BAD_PARAMETERS"
