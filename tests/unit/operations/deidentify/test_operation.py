"""The operation as a whole: which parameters it takes, and what its output may and may not hold."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import METADATA_KEY, Status, tagged
from cji_core.operations.deidentify.declaration import Code
from cji_core.operations.registry import OPERATIONS
from cji_core.operations.status_codes import ValueCode
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.deidentify import tokens
from cji_operations.operation import BatchOperation
from tests.reference.deidentify import slow_cmac_token
from tests.support.contexts import context, planned, prepare_batch, prepare_table
from tests.support.refusals import refused

KEY = bytes(range(32))
TEXT = pa.utf8()


def rule(column: str, **transform: Any) -> wire.ColumnRule:
    return wire.ColumnRule(column=column, **transform)


def keep(column: str) -> wire.ColumnRule:
    return rule(column, keep=wire.Keep())


def drop(column: str) -> wire.ColumnRule:
    return rule(column, drop=wire.Drop())


def mask(column: str, fill: str = "*", **kept: int) -> wire.ColumnRule:
    return rule(column, mask={"with": fill} | kept)


def token(column: str, domain: str = "id", bits: int = 128) -> wire.ColumnRule:
    return rule(column, hmac_token=wire.HmacToken(domain=domain, bits=bits))


def shift(column: str, subject: str = "SID", days: int = 100) -> wire.ColumnRule:
    return rule(column, date_shift=wire.DateShift(subject_column=subject, max_days=days))


def generalise(column: str, **method: Any) -> wire.ColumnRule:
    return rule(column, generalise=wire.Generalise(**method))


def band(width: int = 5, top: int = 90, as_of: str = "2026-01-01") -> wire.ColumnRule:
    return generalise("DOB", age_band=wire.AgeBand(width=width, top=top, as_of=as_of))


def aes(column: str, domain: str = "id") -> wire.ColumnRule:
    return rule(column, aes_token=wire.AesToken(domain=domain))


def ff1(column: str, domain: str = "id", radix: int = 10) -> wire.ColumnRule:
    return rule(column, ff1=wire.Ff1(domain=domain, radix=radix))


def cmac(column: str, domain: str = "id", bits: int = 128) -> wire.ColumnRule:
    return rule(column, cmac_token=wire.CmacToken(domain=domain, bits=bits))


def redact(column: str, *patterns: str, also: Sequence[str] = ()) -> wire.ColumnRule:
    return rule(column, redact=wire.Redact(patterns=patterns, also=also))


def group(column: str = "", **groups: str) -> wire.ColumnRule:
    categories = [wire.Category(name=name, values=values.split()) for name, values in groups.items()]
    return generalise(column, group=wire.Group(categories=categories))


def zip_(digits: int, column: str = "") -> wire.ColumnRule:
    return generalise(column, zip_prefix=wire.ZipPrefix(digits=digits))


def hierarchy(column: str, *steps: wire.ColumnRule) -> wire.ColumnRule:
    return rule(column, hierarchy=wire.Hierarchy(steps=steps))


NULL = rule("", null=wire.Null())
ZIP_STEPS = hierarchy("postcode", keep(""), zip_(3), zip_(1), NULL)


def operation(
    *rules: wire.ColumnRule, project: str = "study-7", wrapped: bytes = b"sealed elsewhere", **more: Any
) -> wire.Operation:
    parameters = wire.Deidentify(project=project, wrapped_project_key=wrapped, columns=list(rules), **more)
    return wire.Operation(deidentify=parameters)


def small(*columns: str, k: int = 5, sensitive: Sequence[str] = (), person: str = "") -> wire.SmallClasses:
    return wire.SmallClasses(quasi_identifiers=columns, k=k, sensitive=sensitive, person=person)


def batch_of(schema_id: str = "person/1", **columns: Sequence[object]) -> pa.RecordBatch:
    arrays = [pa.array(values, pa.bool_() if isinstance(values[0], bool) else TEXT) for values in columns.values()]
    fields = [pa.field(name, array.type) for name, array in zip(columns, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=tagged(schema_id, fields))


def prepared(batch: pa.RecordBatch, *rules: wire.ColumnRule, schema_id: str = "person/1") -> BatchOperation:
    return prepare_batch(operation(*rules), schema_id, batch.schema, context(KEY))


# ---------------------------------------------------------------- parameters


def test_good_parameters_pass() -> None:
    planned(
        [operation(keep("last"), drop("first"), rule("NAM", null=wire.Null()), mask("SOC", keep_last=4))], "hotfile/1"
    )
    planned(
        [operation(token("SOC", bits=80), token("OLN", bits=160), shift("expires"), band(), project="a.b/c:d-1_2")],
        "hotfile/1",
    )
    planned([operation(generalise("DOB", date_to=wire.DateTo(unit=wire.DateTo.YEAR)))], "hotfile/1")
    planned(
        [operation(generalise("postcode", zip_prefix=wire.ZipPrefix(digits=3)), project="", wrapped=b"")], "hotfile/1"
    )
    planned(
        [operation(cmac("SOC", bits=80), redact("SMT", "phone", also=["X+"]), group("RAC", a="A B", b="W"))], "person/1"
    )
    planned(
        [operation(ZIP_STEPS, keep("SEX"), keep("RAC"), small_classes=small("postcode", sensitive=["RAC"]))], "person/1"
    )
    assert "deidentify" in OPERATIONS


@pytest.mark.parametrize(
    "bad",
    [
        wire.Operation(),
        operation(),
        operation(drop("last")),
        operation(keep("last"), keep("last")),
        operation(keep("")),
        operation(wire.ColumnRule(column="last")),
        operation(rule("last", generalise=wire.Generalise())),
        operation(mask("last", fill="")),
        operation(mask("last", fill="**")),
        operation(mask("last", fill=" ")),
        operation(mask("last", fill="é")),
        operation(mask("last", keep_first=20, keep_last=13)),
        operation(mask("last", keep_first=2**32 - 1, keep_last=1)),
        operation(token("SOC", bits=0)),
        operation(token("SOC", bits=64)),
        operation(token("SOC", domain="")),
        operation(token("SOC", domain="a\0b")),
        operation(token("SOC", domain="x" * 65)),
        operation(aes("SOC", domain="")),
        operation(aes("SOC"), wrapped=b""),
        operation(ff1("SOC", domain="a b")),
        operation(ff1("SOC", radix=0)),
        operation(ff1("SOC", radix=16)),
        operation(ff1("SOC"), wrapped=b""),
        operation(keep("SOC"), token_map=True),
        operation(keep("SOC"), small_classes=small()),
        operation(keep("SOC"), small_classes=small("SOC", "SOC")),
        operation(keep("SOC"), small_classes=small("SEX")),
        operation(keep("SOC"), drop("SEX"), small_classes=small("SEX")),
        operation(keep("SOC"), small_classes=small("SOC", k=1)),
        operation(keep("SOC"), small_classes=small("SOC", k=1001)),
        operation(keep("SOC"), small_classes=small("SOC", sensitive=["SOC"])),
        operation(keep("SOC"), small_classes=small("SOC", sensitive=["SEX"])),
        operation(cmac("SOC", bits=160)),
        operation(cmac("SOC", domain="")),
        operation(cmac("SOC"), wrapped=b""),
        operation(cmac("SOC"), project=""),
        operation(redact("SMT")),
        operation(redact("SMT", "name")),
        operation(redact("SMT", "phone", "phone")),
        operation(redact("SMT", also=["x" * 257])),
        operation(redact("SMT", also=["x"] * 17)),
        operation(group("RAC")),
        operation(group("RAC", a="A", b="A")),
        operation(group("RAC", a="")),
        operation(generalise("RAC", group={"categories": [{"name": "a", "values": [v]} for v in "AB"]})),
        operation(ZIP_STEPS),
        operation(ZIP_STEPS, keep("SEX"), small_classes=small("SEX")),
        operation(keep("SEX"), small_classes=small("SEX", person="SID")),
        operation(keep("SEX"), keep("RAC"), small_classes=small("SEX", person="RAC")),
        operation(hierarchy("postcode"), small_classes=small("postcode")),
        operation(hierarchy("postcode", keep("")), small_classes=small("postcode")),
        operation(hierarchy("postcode", zip_(3), keep("")), small_classes=small("postcode")),
        operation(hierarchy("postcode", NULL, zip_(3)), small_classes=small("postcode")),
        operation(hierarchy("postcode", zip_(3), zip_(3)), small_classes=small("postcode")),
        operation(hierarchy("postcode", keep(""), mask("")), small_classes=small("postcode")),
        operation(hierarchy("postcode", keep(""), token("")), small_classes=small("postcode")),
        operation(hierarchy("postcode", keep("SEX"), zip_(3)), small_classes=small("postcode")),
        operation(hierarchy("postcode", keep(""), ZIP_STEPS), small_classes=small("postcode")),
        operation(
            *(hierarchy(c, keep(""), zip_(3), zip_(2), zip_(1), NULL) for c in ("SEX", "RAC", "EYE", "HAI", "SKN")),
            small_classes=small("SEX", "RAC", "EYE", "HAI", "SKN"),
        ),
        operation(token("SOC"), project=""),
        operation(token("SOC"), project="a b"),
        operation(token("SOC"), project="p\0q"),
        operation(token("SOC"), project="name\n"),
        operation(token("SOC"), wrapped=b""),
        operation(shift("DOB"), wrapped=b""),
        operation(shift("DOB", days=0)),
        operation(shift("DOB", days=3651)),
        operation(shift("DOB", subject="")),
        operation(shift("DOB", days=5), shift("expires", days=6)),
        operation(generalise("DOB", date_to=wire.DateTo())),
        operation(generalise("DOB", date_to=wire.DateTo(unit=7))),  # type: ignore[arg-type]
        operation(generalise("postcode", zip_prefix=wire.ZipPrefix())),
        operation(generalise("postcode", zip_prefix=wire.ZipPrefix(digits=4))),
        operation(band(width=0)),
        operation(band(width=51)),
        operation(band(width=5, top=4)),
        operation(band(top=121)),
        operation(band(as_of="")),
        operation(band(as_of="2026-02-30")),
        operation(band(as_of="20260101")),
        operation(band(as_of="2026-W01-1")),
        operation(band(as_of="٢٠٢٦-01-01")),
    ],
)
def test_bad_parameters_are_refused_before_any_key(bad: wire.Operation) -> None:
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([bad], "person/1")


@pytest.mark.parametrize("schema_id", ["chri_event/1", "chri_event/2", "hotfile/1"])
def test_rows_that_are_not_persons_need_a_person(schema_id: str) -> None:
    person = "subject" if schema_id.startswith("chri") else "SID"
    rules = (drop(person), keep("ORI"))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([operation(*rules, small_classes=small("ORI"))], schema_id)
    planned([operation(*rules, small_classes=small("ORI", person=person))], schema_id)
    planned([operation(*rules)], schema_id)
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([operation(*rules, small_classes=small("ORI", person="ORI"))], schema_id)


def test_clusters_need_a_person() -> None:
    batch = batch_of(SEX=["M"], SID=["1"])
    whole = batch.append_column("cluster", pa.array([1], pa.uint64())).replace_schema_metadata(batch.schema.metadata)
    rules = (keep("SEX"), drop("SID"), drop("cluster"))
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        prepare_table(operation(*rules, small_classes=small("SEX")), "person/1", whole.schema, context(KEY))
    prepare_table(
        operation(*rules, small_classes=small("SEX", person="cluster")), "person/1", whole.schema, context(KEY)
    )


@pytest.mark.parametrize(
    "bad",
    [
        keep("charge"),
        mask("charge", keep_first=32),
        hierarchy("charge", keep(""), NULL),
    ],
)
def test_free_text_is_never_kept(bad: wire.ColumnRule) -> None:
    small_one = small("charge", person="subject") if bad.HasField("hierarchy") else None
    with refused(Reason.BAD_PARAMETERS, stage=Stage.ADMIT):
        planned([operation(bad, small_classes=small_one)], "chri_event/1")
    for good in (redact("charge", "number"), drop("charge"), rule("charge", null=wire.Null()), token("charge")):
        planned([operation(good, keep("date"))], "chri_event/1")


def test_a_pattern_that_is_none_is_refused_in_the_cell() -> None:
    for pattern in ("(", "a*", "a)|(b"):
        assert reason(batch_of(SMT=["x"]), redact("SMT", also=[pattern])) == "BAD_PARAMETERS"


def test_cmac_tokens_have_a_key_of_their_own() -> None:
    values = ["123456789", "a value of more than a single block", "", None]
    batch = batch_of(SOC=values)
    of_cmac, of_hmac = (
        prepared(batch, one).apply(batch).batch.column(0).to_pylist() for one in (cmac("SOC"), token("SOC"))
    )
    twin = [slow_cmac_token(value.encode(), "study-7", "id", 128).decode() if value else None for value in values]
    assert of_cmac == twin
    assert not set(filter(None, of_cmac)) & set(of_hmac)


def test_values_in_no_group_are_null_with_a_code() -> None:
    batch = batch_of(RAC=["A", "W", "X", "", None])
    applied = prepared(batch, group("RAC", other="A B I U", white="W")).apply(batch)
    assert applied.batch.column(0).to_pylist() == ["other", "white", None, None, None]
    assert (applied.status.rows.tolist(), applied.status.codes.tolist()) == ([2], [Code.IN_NO_GROUP])


def test_which_key_is_needed() -> None:
    for keyed in (operation(keep("last"), token("SOC")), operation(shift("DOB"))):
        (project,) = planned([keyed], "person/1").projects
        assert (project.name, project.wrapped_key) == ("study-7", b"sealed elsewhere")
    assert planned([operation(keep("last"), mask("SOC"), band())], "person/1").projects == ()
    with refused(Reason.BAD_PARAMETERS):
        planned([wire.Operation()], "person/1")


def test_the_output_parts_of_a_job() -> None:
    parts = (("result", "person/1"), ("row_status", "row_status/1"))
    outputs = planned([operation(keep("last")), operation(mask("last"))], "person/1").outputs
    assert tuple((part.name, part.schema.schema_id) for part in outputs) == parts
    with refused(Reason.BAD_PARAMETERS):
        planned([operation(keep("last")), wire.Operation()], "person/1")


def reason(batch: pa.RecordBatch, *rules: wire.ColumnRule, schema_id: str = "person/1", key: bytes | None = KEY) -> str:
    with refused() as refusal:
        prepare_batch(operation(*rules), schema_id, batch.schema, context(key))
    return str(refusal.value.reason)


def test_rules_and_columns_must_match_exactly() -> None:
    batch = batch_of(last=["a"], SOC=["1"])
    assert reason(batch, keep("last")) == "BAD_PARAMETERS"
    assert reason(batch, keep("last"), keep("SOC"), keep("first")) == "BAD_PARAMETERS"
    assert reason(batch, keep("last"), shift("SOC", subject="SID")) == "BAD_PARAMETERS"
    assert reason(batch, keep("last"), keep("SOC"), schema_id="hotfile/1") == "SCHEMA_MISMATCH"
    assert reason(batch_of(shoe=["a"]), keep("shoe")) == "SCHEMA_MISMATCH"


def test_a_key_of_another_length_is_refused() -> None:
    batch = batch_of(SOC=["1"])
    for key in (None, b"", bytes(31), bytes(33)):
        assert reason(batch, token("SOC"), key=key) == "BAD_PARAMETERS"


def test_flags_have_no_text_to_transform_nibrs_lines_no_columns() -> None:
    flags = batch_of("chri_event/1", subject=["s"], date=["20200101"], sealed=[True])
    assert reason(flags, keep("subject"), keep("date"), mask("sealed"), schema_id="chri_event/1") == "BAD_PARAMETERS"
    assert reason(flags, keep("subject"), shift("date", "sealed"), keep("sealed"), schema_id="chri_event/1") == (
        "BAD_PARAMETERS"
    )
    fields = [pa.field("segment", pa.binary())]
    lines = pa.RecordBatch.from_arrays([pa.array([b"x"])], schema=tagged("nibrs.flat/3.1", fields))
    assert reason(lines, keep("segment"), schema_id="nibrs.flat/3.1") == "SCHEMA_MISMATCH"


# ---------------------------------------------------------------- results


def test_every_transform_once() -> None:
    batch = batch_of(
        SID=["MN1", "MN1", None, "MN2"],
        last=["NEUMANN", "", None, "PAINTER"],
        first=["a", "b", "c", "d"],
        suffix=["JR", None, "SR", "III"],
        SOC=["123456789", "XXXXX1234", "12", None],
        DOB=["19820214", "1982-02-XX", "19830230", "20300101"],
        postcode=["55401", "03601-1234", "4223", ""],
        address_1=["stanley street", None, "x", "y"],
    )
    run = prepared(
        batch,
        token("SID"),
        keep("last"),
        drop("first"),
        rule("suffix", null=wire.Null()),
        mask("SOC", keep_last=4),
        band(),
        generalise("postcode", zip_prefix=wire.ZipPrefix(digits=3)),
        mask("address_1", fill="#", keep_first=1),
    )
    applied = run.apply(batch)
    out, status = applied.batch, applied.status
    out.validate(full=True)
    assert out.schema.equals(run.output_schema, check_metadata=True)
    assert run.output_schema.metadata[METADATA_KEY].decode() == "person/1"
    got = out.to_pydict()
    subjects = got.pop("SID")
    assert subjects[0] == subjects[1] != subjects[3]
    assert subjects[2] is None
    assert all(len(t) == 26 for t in subjects if t)
    assert got == {
        "last": ["NEUMANN", "", None, "PAINTER"],
        "suffix": [None] * 4,
        "SOC": ["*****6789", "*****1234", None, None],
        "DOB": ["40-44", "40-44", None, None],
        "postcode": ["554", "000", None, None],
        "address_1": ["s#############", None, None, None],
    }
    rows = status.to_batch(0).to_pydict()
    assert rows["status"] == [Status.OK, Status.OK, Status.PARTLY_USED, Status.PARTLY_USED]
    soc, dob, postcode, address = (batch.schema.get_field_index(c) for c in ("SOC", "DOB", "postcode", "address_1"))
    assert [list(zip(c, k, strict=True)) for c, k in zip(rows["codes"], rows["columns"], strict=True)] == [
        [],
        [],
        [
            (Code.TOO_SHORT_TO_MASK, soc),
            (ValueCode.NOT_A_DATE, dob),
            (Code.NOT_A_ZIP, postcode),
            (Code.TOO_SHORT_TO_MASK, address),
        ],
        [(Code.BORN_AFTER_AS_OF, dob), (Code.TOO_SHORT_TO_MASK, address)],
    ]


def test_all_dates_of_a_subject_move_together_and_intervals_stay() -> None:
    batch = batch_of(
        "chri_event/1",
        subject=["s1", "s1", "s2", None],
        date=["20200228", "2021-01-01", "20200228", "20200228"],
        disposition_date=["20200301", "2021-01-31", "202003XX", None],
        sealed=[False, True, False, True],
    )
    run = prepared(
        batch,
        token("subject"),
        shift("date", "subject", 300),
        shift("disposition_date", "subject", 300),
        keep("sealed"),
        schema_id="chri_event/1",
    )
    applied = run.apply(batch)
    out, status = applied.batch, applied.status
    days = pa.compute.strptime(pa.compute.replace_substring(out["date"], "-", ""), "%Y%m%d", "s").cast(pa.date32())
    ends = pa.compute.strptime(pa.compute.replace_substring(out["disposition_date"], "-", ""), "%Y%m%d", "s").cast(
        pa.date32()
    )
    gaps = [(e - d).days if d and e else None for d, e in zip(days.to_pylist(), ends.to_pylist(), strict=True)]
    assert gaps == [2, 30, None, None]
    assert status.status.tolist() == [0, 0, 2, 2]
    assert status.codes.tolist() == [Code.PARTIAL_DATE, Code.NO_SUBJECT]


def test_operations_in_a_row_name_columns_of_the_first_input() -> None:
    batch = batch_of(first=["a"], suffix=["b"], SOC=["123456"], DOB=["bad"])
    one = prepared(batch, drop("first"), drop("suffix"), mask("SOC", keep_last=4), keep("DOB"))
    applied = one.apply(batch)
    middle, found = applied.batch, applied.status
    two = prepare_batch(
        operation(mask("SOC", keep_last=8), band()),
        one.output_schema.metadata[METADATA_KEY].decode(),
        one.output_schema,
        context(),
    )
    applied = two.apply(middle)
    last, later = applied.batch, applied.status
    assert last.to_pydict() == {"SOC": [None], "DOB": [None]}
    assert later.columns.tolist() == [0, 1]
    assert found.merge(later.traced(one.sources)).columns.tolist() == [2, 3]


def test_every_code_has_a_meaning() -> None:
    assert all(code.meaning for code in Code)


def test_0_rows_are_a_batch_like_any_other() -> None:
    batch = batch_of(SID=["x"], DOB=["20200101"], SOC=["1"], postcode=["1"]).slice(0, 0)
    run = prepared(
        batch,
        token("SID"),
        shift("DOB"),
        mask("SOC", keep_last=4),
        generalise("postcode", zip_prefix=wire.ZipPrefix(digits=3)),
    )
    applied = run.apply(batch)
    out, status = applied.batch, applied.status
    out.validate(full=True)
    assert (out.num_rows, status.counts()) == (0, (0, 0, 0, 0))


def test_keep_drop_and_null_copy_nothing() -> None:
    batch = batch_of(last=["NEUMANN"] * 1000, first=["x"] * 1000, SOC=["123"] * 1000)
    out = prepared(batch, keep("last"), drop("first"), rule("SOC", null=wire.Null())).apply(batch).batch
    kept, source = out.column(0).buffers(), batch.column(0).buffers()
    assert [b and b.address for b in kept] == [b and b.address for b in source]
    assert out.column(1).null_count == 1000


def test_same_input_same_bytes_however_it_is_cut() -> None:
    values = [f"{i % 37:09d}" for i in range(500)]
    dates = [f"{1900 + i % 120}-0{1 + i % 9}-1{i % 10}" for i in range(500)]
    batch = batch_of(SID=values, DOB=dates, SOC=values)
    rules = (token("SID"), shift("DOB"), mask("SOC", keep_last=4))
    whole = prepared(batch, *rules).apply(batch).batch
    again = prepared(batch, *rules).apply(batch).batch
    assert whole.serialize().equals(again.serialize())
    run = prepared(batch, *rules)
    parts = [run.apply(batch.slice(i, 77)).batch for i in range(0, 500, 77)]
    assert pa.Table.from_batches(parts).combine_chunks().to_batches()[0].equals(whole)


@pytest.mark.parametrize("make", [token, aes, ff1])
def test_tokens_join_within_a_project_and_not_across(make: Callable[..., wire.ColumnRule]) -> None:
    batch = batch_of(SOC=["123456789"], OLN=["123456789"])
    binary = batch.cast(pa.schema([("SOC", pa.binary()), ("OLN", pa.binary())], metadata=batch.schema.metadata))

    def run(project: str, key: bytes, data: pa.RecordBatch) -> list[str]:
        rules = (make("SOC"), make("OLN", "licence"))
        out = prepare_batch(operation(*rules, project=project), "person/1", data.schema, context(key)).apply(data).batch
        return [value.cast(pa.utf8())[0].as_py() for value in out.columns]

    first = run("p1", KEY, batch)
    assert run("p1", KEY, binary) == first
    assert first[0] != first[1]
    assert not set(first) & set(run("p2", KEY, batch))
    assert not set(first) & set(run("p1", bytes(32), batch))


def test_the_three_kinds_of_tokens_have_keys_of_their_own() -> None:
    uses: tuple[tokens.KeyUse, ...] = ("cji-token/1", "cji-block/1", "cji-ff1/1")
    keys = {tokens.token_key(KEY, project="p", domain=domain, use=use) for use in uses for domain in ("a", "b")}
    assert len(keys | {KEY, tokens.shift_key(KEY, project="p")}) == 8


def test_a_key_is_in_no_repr() -> None:
    batch = batch_of(SID=["1"], DOB=["20200101"], SOC=["1"], OLN=["1"])
    rules = (token("SID"), shift("DOB"), aes("SOC"), ff1("OLN"))
    parameters = operation(*rules, small_classes=small("DOB"), token_map=True)
    text = repr(prepare_table(parameters, "person/1", batch.schema, context(KEY))) + repr(context(KEY))
    derived = tokens.shift_key(KEY, project="study-7")
    for key in (KEY, derived, tokens.token_key(KEY, project="study-7", domain="id", use="cji-ff1/1")):
        assert repr(key)[2:-1] not in text
        assert key.hex() not in text
