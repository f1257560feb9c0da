"""Consistency of the Bicep files in one folder: module paths, parameters, outputs and the parameters file.

Contract: `wiring_problems` names every module call with parameters that the compiler would refuse.
`parameter_file_problems` names every parameter in a deployment parameters file that the entry template does not have,
and every required one that is missing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from cji_deploy.check.bicep import Parameter, Template, nodes
from cji_deploy.check.outcome import resembling
from cji_deploy.check.values import Choice, Expression, Value, text

__all__ = ["parameter_file_problems", "wiring_problems"]

_KINDS: Final = {bool: "bool", int: "int", str: "string", list: "array", dict: "object"}
_SCHEMA: Final = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"


def wiring_problems(caller: Template, templates: Mapping[str, Template]) -> Iterator[str]:
    """Deviations in the module calls of `caller`; `templates` holds every template in the folder by file name."""
    called: dict[str, Template] = {}
    for module in caller.modules:
        where = f"line {module.line}: {module.symbol}"
        target = templates.get(module.path)
        if target is None:
            yield f"{where}: no readable template {module.path!r} beside this one"
            continue
        called[module.symbol] = target
        yield from _parameter_problems(target.parameters, module.params, where)
    for node in nodes(caller.root):
        # module.outputs.name
        parts = text(node).split(".") if node.type == "member_expression" else []
        if (
            len(parts) == 3
            and parts[1] == "outputs"
            and parts[0] in called
            and parts[2] not in called[parts[0]].outputs
        ):
            near = resembling(parts[2], called[parts[0]].outputs)
            yield f"line {node.start_point[0] + 1}: {parts[0]} has no output {parts[2]!r}{near}"


def parameter_file_problems(entry: Template, source: bytes) -> Iterator[str]:
    """Deviations of a deployment parameters file (JSON) from the entry template's parameters."""
    try:
        document = json.loads(source)
        given = {name: holder["value"] for name, holder in document["parameters"].items()}
        schema = document["$schema"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        yield f"not a deployment parameters file ({type(error).__name__})"
        return
    if schema != _SCHEMA:
        yield f"$schema must be {_SCHEMA}"
    yield from _parameter_problems(entry.parameters, given, "parameters")


def _parameter_problems(declared: Mapping[str, Parameter], given: Mapping[str, Value], where: str) -> Iterator[str]:
    for name, value in given.items():
        if name not in declared:
            yield f"{where}: unknown parameter {name!r}{resembling(name, declared)}"
            continue
        wanted = declared[name].kind
        for branch in value.branches if isinstance(value, Choice) else (value,):
            kind = _kind(branch)
            if wanted and kind and kind != wanted:
                yield f"{where}: parameter {name!r} is {kind}, expected {wanted}"
    for parameter in declared.values():
        if parameter.required and parameter.name not in given:
            yield f"{where}: missing required parameter {parameter.name!r}"


def _kind(value: Value) -> str | None:
    return value.kind if isinstance(value, Expression) else _KINDS.get(type(value))
