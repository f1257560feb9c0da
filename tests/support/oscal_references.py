"""References between the OSCAL documents of a packet: each must lead to something that is there."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

__all__ = ["broken", "documents"]


def documents(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The content of each document, without the name of its model."""
    return {name: next(iter(json.loads(data).values())) for name, data in files.items() if name.endswith(".json")}


def broken(files: Mapping[str, bytes]) -> Iterator[str]:
    """Ids that are declared twice, and references of all kinds that lead nowhere."""
    found = documents(files)
    every = {each for document in found.values() for key, each in _members(document) if key == "uuid"}
    controls = {each["id"] for group in found["catalog.json"]["groups"] for each in group["controls"]}
    statements = {each for key, each in _members(found["catalog.json"]) if key == "id"} - controls
    for name, document in found.items():
        members = [*_members(document)]
        declared = Counter(each for key, each in members if key == "uuid")
        yield from (f"{name}: {uuid} twice" for uuid, times in declared.items() if times > 1)
        known = {
            "role-id": {each["id"] for each in document["metadata"]["roles"]},
            "control-id": controls,
            "with-ids": controls,
            "statement-id": statements,
            "statement-ids": statements,
            "target-id": statements,
        }
        for key, value in members:
            if key.endswith(("-uuid", "-uuids")) and value not in every:
                yield f"{name}: {key} {value}"
            if key in known and value not in known[key]:
                yield f"{name}: {key} {value}"
            if key in {"href", "source"}:
                yield from _href(name, value, declared, files)
        for resource in document.get("back-matter", {}).get("resources", []):
            yield from _resource(name, resource, files)


def _members(of: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the name of its member; a property counts as a member of its name."""
    if isinstance(of, dict):
        if of.keys() >= {"name", "value"}:
            yield of["name"], of["value"]
        for name, each in of.items():
            yield from _members(each, name)
    elif isinstance(of, list):
        for each in of:
            yield from _members(each, key)
    elif isinstance(of, str):
        yield key, of


def _href(name: str, value: str, declared: Mapping[str, int], files: Mapping[str, bytes]) -> Iterator[str]:
    leads = value[1:] in declared if value.startswith("#") else value.startswith("https://") or value in files
    if not leads:
        yield f"{name}: href {value}"


def _resource(name: str, resource: Any, files: Mapping[str, bytes]) -> Iterator[str]:
    for link in resource.get("rlinks", []):
        digests = [each["value"] for each in link["hashes"]]
        if digests != [sha256(files.get(link["href"], b"")).hexdigest()]:
            yield f"{name}: digest of {link['href']}"
