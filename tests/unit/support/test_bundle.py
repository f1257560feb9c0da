"""The support bundle has nothing but facts of fixed types: its types, and canaries in everything it reads."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.deployment import Result
from cji_worker.support.bundle import Bundle, closed_words, deployment_facts, encoded, made, trail_facts
from cji_worker.verbs.support import WrittenBundle
from tests.support.deployed import as_file, good
from tests.support.json_answers import answered
from tests.support.rotated import two_years

CANARY = "SMITH-JOHN-123-45-6789"


def leaves(node: Any) -> list[Any]:
    match node:
        case msgspec.inspect.StructType():
            return [leaf for each in node.fields for leaf in leaves(each.type)]
        case msgspec.inspect.UnionType():
            return [leaf for each in node.types for leaf in leaves(each)]
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return leaves(node.item_type)
        case msgspec.inspect.Metadata():
            return [node] if (node.extra or {}).get("words") in closed_words() else leaves(node.type)
        case _:
            return [node]


def test_no_type_of_the_bundle_has_room_for_free_text() -> None:
    """Every text has a pattern of a time, digest or version, or is a word of a closed list."""
    patterns = set()
    for leaf in leaves(msgspec.inspect.type_info(Bundle)):
        if isinstance(leaf, msgspec.inspect.StrType):
            assert leaf.pattern, leaf
            patterns.add(leaf.pattern)
        else:
            permitted = (
                msgspec.inspect.IntType,
                msgspec.inspect.BoolType,
                msgspec.inspect.NoneType,
                msgspec.inspect.EnumType,
                msgspec.inspect.LiteralType,
                msgspec.inspect.Metadata,
            )
            assert isinstance(leaf, permitted), leaf
    assert len(patterns) == 4
    assert not any(set(each) & set("ghijklmnopqrsuvwxyz") for each in patterns), "letters beyond hexadecimal"


def test_the_bundle_has_no_canary_of_what_it_reads(tmp_path: Path) -> None:
    trail = tmp_path / f"{CANARY}.log"
    trail.write_bytes(b"".join(two_years().lines))
    names = {
        value
        for line in two_years().lines
        for key, value in json.loads(line)["event"].items()
        if isinstance(value, str) and key in {"requestor", "operator_id", "submitter", "job_id", "reason_text", "peer"}
    }
    assert len(names) > 2
    export = good()
    export["resources"].append(
        {
            "type": f"Microsoft.X/{CANARY}",
            "name": CANARY,
            "id": f"/{CANARY}",
            "location": CANARY,
            "tags": {CANARY: CANARY},
        }
    )
    (tmp_path / "export.json").write_bytes(as_file(export))
    out = tmp_path / "support.json"
    done = CliRunner().invoke(
        build(AZURE_US),
        [
            "support",
            "bundle",
            "--trail",
            str(trail),
            "--export",
            str(tmp_path / "export.json"),
            "--out",
            str(out),
            "--json",
        ],
    )
    text = out.read_text()
    assert answered(done, WrittenBundle) == WrittenBundle(file=str(out), bytes=len(text.encode()))
    assert CANARY.lower() not in text.lower()
    assert not [name for name in names if name in text]
    found = json.loads(text)
    assert found["trails"][0]["verified"]
    assert found["trails"][0]["lines"] == len(two_years().lines)
    assert any(each["failed"] for each in found["deployment"] if each["requirement"] == "other")


def test_a_trail_that_does_not_verify_is_counted_up_to_its_break(tmp_path: Path) -> None:
    trail = tmp_path / "audit.log"
    lines = two_years().lines
    trail.write_bytes(b"".join([*lines[:5], lines[6]]))
    facts = trail_facts(trail)
    assert (facts.verified, facts.lines) == (False, 5)


def test_a_word_of_nobodys_list_is_refused() -> None:
    facts = deployment_facts([Result(id=CANARY, resource=CANARY, state="failed", found=CANARY)])
    assert [each.requirement for each in facts] == ["other"]
    with pytest.raises(ValueError, match="lists"):
        encoded(made(deployment=tuple(msgspec.structs.replace(each, requirement="smith") for each in facts)))
