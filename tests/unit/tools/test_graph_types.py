"""The schema of Graph that deploy/identity is checked against keeps what a body can have, and nothing else."""

import pytest

from tests.support.paths import ROOT
from tools import graph_types

TEXT = """
export type NullableOption<T> = T | null;
export type Colour = "red" | "green";
export type Size =
    | "small"
    | "large";
export interface Entity {
    // The id; read-only.
    id?: string;
}
export interface SubjectSet {}
export interface Thing extends Entity {
    /**
     * Its colour; "blue" is gone.
     */
    colour?: NullableOption<Colour>;
    sizes?: Size[];
    owner?: NullableOption<User>;
    count?: number;
    approvers?: SubjectSet[];
}
export interface User extends Entity {
    name?: string;
}
"""


def test_types_are_kept_with_what_a_body_can_have() -> None:
    found = graph_types.schema(TEXT, ["Thing"], "here")
    assert found["source"] == "here"
    assert found["types"] == {
        "Entity": {"properties": {"id": "string"}},
        "SubjectSet": {"properties": {}},
        "Thing": {
            "base": "Entity",
            "properties": {"colour": "Colour", "sizes": "Size[]", "count": "number", "approvers": "SubjectSet[]"},
        },
    }
    assert found["enums"] == {"Colour": ["red", "green"], "Size": ["small", "large"]}


def test_a_root_that_is_gone_is_an_error() -> None:
    with pytest.raises(KeyError):
        graph_types.schema(TEXT, ["Nothing"], "here")


@pytest.mark.parametrize(
    ("version", "package", "roots"),
    [
        ("v1.0", "@microsoft/microsoft-graph-types 2.", graph_types.ROOTS),
        ("beta", "@microsoft/microsoft-graph-types-beta 0.", graph_types.BETA_ROOTS),
    ],
)
def test_the_shipped_schemas_state_their_source(version: str, package: str, roots: tuple[str, ...]) -> None:
    text = (ROOT / f"deploy/identity/schema/{version}.json").read_text()
    assert package in text
    assert all(f'"{root}": {{' in text for root in roots)
