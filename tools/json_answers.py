"""The JSON of `cji`: which verbs print which structs, as tables for docs/json.md and as one JSON Schema.

A verb names its struct in its option `--json` (`cji_core.command.json_output`) and can print no other.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import click
import msgspec

from cji_attestation import Fault
from cji_core.command import build
from cji_core.command.json_output import JsonOption, json_option
from cji_core.command.manual import contexts
from cji_core.command.refusals import INTERRUPTED, REASONS, Refused
from cji_core.errors import Reason

__all__ = ["ELSEWHERE", "WITHOUT", "members", "printed", "refusal", "schema", "verbs", "without"]

_RUNS: Final = "runs until it is stopped"
_DOCUMENT: Final = "prints a document for another program"
WITHOUT: Final[Mapping[str, str]] = {
    "cji serve": f"{_RUNS}; its log has one JSON object on each line",
    "cji fleet run": f"{_RUNS}; its log has one JSON object on each line",
    "cji console": f"{_RUNS}; it serves metrics, or sends them",
    "cji log serve": f"{_RUNS}; it answers over HTTP",
    "cji witness serve": f"{_RUNS}; it answers over HTTP",
    "cji probe": f"{_RUNS}; it answers over HTTP",
    "cji desk": f"{_RUNS}; it serves pages",
    "cji audit deliver": f"{_RUNS}; its state files have what was delivered",
    "cji audit delivered": "its exit status is the answer",
    "cji audit index": "prints how many lines it has; searches read the index",
    "cji audit review schema": "prints a JSON Schema",
    "cji evidence reference-values": "prints TOML, for a configuration or a profile",
    "cji policy build": "prints a release policy, which is JSON, or a provider's policy",
    "cji door config": f"{_DOCUMENT}: nginx",
    "cji door socket": f"{_DOCUMENT}: systemd",
    "cji completion": f"{_DOCUMENT}: a shell",
}
"""The verbs without --json, and why."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "cji status": "operation.md",
    "cji audit search": "audit.md",
}
"""The verbs whose JSON is not one of the structs, and the page that describes it."""


def verbs() -> dict[str, click.Command]:
    """Each verb by its words; a group is one if it does something by itself."""
    found = contexts(build(), "cji", None)
    return {
        each.command_path: each.command
        for each in found
        if not isinstance(each.command, click.Group) or each.command.invoke_without_command
    }


def printed() -> Iterator[str]:
    """The verbs with --json, each with what it prints."""
    yield "| verb | prints |"
    yield "|---|---|"
    for words, command in verbs().items():
        if (option := json_option(command)) is not None:
            name = option.answer.__name__
            yield f"| `{words}` | {'array of ' * option.listed}[{name}](#{name.lower()}) |"
        elif words in ELSEWHERE:
            yield f"| `{words}` | [{ELSEWHERE[words]}]({ELSEWHERE[words]}) |"


def without() -> Iterator[str]:
    """The verbs without --json."""
    yield "| verb | why |"
    yield "|---|---|"
    yield from (f"| `{words}` | {why} |" for words, why in WITHOUT.items())


def refusal() -> Iterator[str]:
    """The object of a refusal, and every reason."""
    yield from _table(_components()[Refused.__name__])
    others = (*REASONS.values(), INTERRUPTED)
    for whose, reasons in (("Of a worker", Reason), ("Of attestation", Fault), ("Other", others)):
        yield f"\n{whose}: {', '.join(f'`{one}`' for one in reasons)}."
    yield ""


def members() -> Iterator[str]:
    """A section for each struct, those within others included, by name."""
    for name, component in sorted(_components().items()):
        if "properties" in component and name != Refused.__name__:
            yield f"\n### {name}\n"
            yield f"{component['description']}\n"
            yield from _table(component)
    yield ""


def schema() -> str:
    """One document of JSON Schema 2020-12: `verbs` and `refusal` refer to `$defs`."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What cji prints with --json",
        "verbs": {words: _reference(option) for words, option in _options().items()},
        "refusal": {"$ref": f"#/$defs/{Refused.__name__}"},
        "$defs": dict(sorted(_components().items())),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _options() -> dict[str, JsonOption]:
    return {words: option for words, command in verbs().items() if (option := json_option(command)) is not None}


def _reference(option: JsonOption) -> dict[str, Any]:
    one = {"$ref": f"#/$defs/{option.answer.__name__}"}
    return {"type": "array", "items": one} if option.listed else one


@cache
def _components() -> dict[str, Any]:
    kinds: dict[str, type[msgspec.Struct]] = {
        Refused.__name__: Refused,
        **{one.answer.__name__: one.answer for one in _options().values()},
    }
    return msgspec.json.schema_components(sorted(kinds.values(), key=str), ref_template="#/$defs/{name}")[1]


def _table(component: Mapping[str, Any]) -> Iterator[str]:
    yield "| member | type | |"
    yield "|---|---|---|"
    for name, one in component["properties"].items():
        always = name in component.get("required", ())
        yield f"| `{name}` | {_type(one) if always else _type(_present(one)) + ', optional'} | {one['description']} |"


def _present(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of an optional member where it is there: such a member is absent, and never null."""
    rest = [each for each in one.get("anyOf", ()) if each != {"type": "null"}]
    return rest[0] if len(rest) == 1 else one


def _type(one: Mapping[str, Any]) -> str:
    """A schema in words. The names of other structs are links."""
    if "anyOf" in one:
        return " or ".join(map(_type, one["anyOf"]))
    if "$ref" in one:
        name = one["$ref"].rpartition("/")[2]
        component = _components()[name]
        return f"[{name}](#{name.lower()})" if "properties" in component else _type(component)
    if "enum" in one:
        return ", ".join(f"`{json.dumps(value)}`" for value in one["enum"])
    if one.get("type") == "array":
        return f"array of {_type(one['items'])}"
    if one.get("type") == "object":
        return f"object of {_type(one.get('additionalProperties', {}))}"
    return one["type"] + (f", {one['format']}" if "format" in one else "") if "type" in one else "any"
