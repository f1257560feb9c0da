"""Where a name is refused, the one that was meant is suggested; what is like none is left alone."""

import sys

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_client.errors import SpecError
from cji_client.profile import ClientProfile
from cji_client.sources import fit
from cji_client.spec import InputSpec, JobSpec
from cji_core.command import build
from cji_core.documents import convert, toml
from cji_core.errors import Refusal
from cji_core.format.configuration.worker import Config
from cji_core.jose import parse_p384
from cji_core.operations.parameters import ParametersError, decoded
from cji_core.operations.registry import AnyParameters
from cji_core.operations.standardize import Standardize, check_columns
from cji_core.suggest import close_to, did_you_mean, listed
from cji_core.trail.fields import token_or_none


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("DBO", ("DOB", "SOC"), "DOB"),
        ("dob", ("DOB", "SOC"), "DOB"),
        ("record-id", ("record_id", "last"), "record_id"),
        ("DOB", ("DOB",), None),
        ("xyz", ("DOB", "SOC"), None),
        ("", ("DOB",), None),
        ("D" * 65, ("D" * 64,), None),
    ],
)
def test_the_closest_name_is_meant(name: str, known: tuple[str, ...], meant: str | None) -> None:
    assert close_to(name, known) == meant
    assert did_you_mean(name, known) == (name if meant is None else f"{name} (did you mean {meant}?)")


def test_refused_names_are_listed_in_order() -> None:
    assert listed({"x", "DBO"}, iter(("DOB", "SOC"))) == "DBO (did you mean DOB?), x"


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        (AnyParameters, {"kind": "lnk"}, "link"),
        (AnyParameters, {"kind": "link", "mtach": 0.5}, "match"),
        (AnyParameters, {"kind": "link", "linkage": "avrage"}, "average"),
        (AnyParameters, {"kind": "link", "model": {"comparisns": []}}, "comparisons"),
        (AnyParameters, {"kind": "deidentify", "columns": {"NAM": {"do": "hmac_tokn"}}}, "hmac_token"),
        (ClientProfile, {"target": "x", "refrence": {}}, "reference"),
        (ClientProfile, {"storage": {"blob_ulr": "x"}}, "blob_url"),
        (JobSpec, {"operations": [{"kind": "link", "sed": 1}]}, "seed"),
        (JobSpec, {"input": {"schema": "x", "encoding": "utf8"}}, "utf-8"),
        (Config, {"audit_fil": "x"}, "audit_file"),
    ],
)
def test_documents_suggest_members_and_choices(kind: type, value: object, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"; did you mean {meant}[?]( - at `\$[^`]+`)?$"):
        convert(value, kind)


def test_a_document_of_toml_suggests_too() -> None:
    with pytest.raises(ValueError, match=r"`audit_fil`.*; did you mean audit_file[?]$"):
        toml('audit_fil = "x"', Config)


@pytest.mark.parametrize("value", [{"kind": "link", "zzz": 1}, {"kind": 5}, {"kind": "link", "match": "high"}])
def test_what_is_like_no_name_has_no_suggestion(value: object) -> None:
    with pytest.raises(ValueError, match=r"^[^;]*$"):
        convert(value, AnyParameters)


def test_columns_and_verbs_suggest() -> None:
    table = pa.table({"DBO": ["19820214"], "last": ["x"]})
    with pytest.raises(SpecError, match=r"unknown: DBO \(did you mean DOB\?\)"):
        fit(table, InputSpec(schema="person/1"))
    with pytest.raises(SpecError, match=r"no column lsat \(did you mean last\?\)"):
        fit(table, InputSpec(schema="person/1", rename={"lsat": "first"}))
    with pytest.raises(ParametersError, match=r"no column SCO \(did you mean SOC\?\)"):
        check_columns(Standardize(columns={"SCO": "date"}), frozenset({"SOC", "last"}))
    for words, meant in ((["jbo"], "job"), (["job", "rnu"], "run"), (["link", "evaluat"], "evaluate")):
        found = CliRunner().invoke(build(), words)
        assert (found.exit_code, f"'{meant}'" in found.output) == (2, True), found.output


def test_refusals_of_what_strangers_send_import_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in headers and parameters are read in processes that may open no file."""
    monkeypatch.setitem(sys.modules, "cji_core.member_suggestions", None)
    with pytest.raises(ValueError, match="not a JWK of this kind"):
        parse_p384('{"kty":"EC","crv":"P-384","x":"","y":"","kdi":""}')
    with pytest.raises(Refusal):
        decoded(Standardize, {"colums": {}})
    assert token_or_none("not a token") is None
