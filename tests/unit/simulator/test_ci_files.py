"""What a CI or an editor of others reads: the action, the container of development, and the image that both name."""

import json
import re
import subprocess

import jsonschema
import pytest

from tests.support.paths import ROOT

_TEXT = {"type": "string", "minLength": 1}
_STEP = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "name", "run", "shell", "if", "working-directory"), _TEXT),
        "env": {"type": "object"},
    },
    "required": ["run", "shell"],
    "additionalProperties": False,
}
ACTION = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "inputs": {
            "additionalProperties": {
                "type": "object",
                "properties": {"description": _TEXT, "required": {"type": "boolean"}, "default": {"type": "string"}},
                "required": ["description"],
                "additionalProperties": False,
            }
        },
        "outputs": {
            "additionalProperties": {
                "type": "object",
                "properties": {"description": _TEXT, "value": _TEXT},
                "required": ["description", "value"],
                "additionalProperties": False,
            }
        },
        "runs": {
            "type": "object",
            "properties": {"using": {"const": "composite"}, "steps": {"type": "array", "items": _STEP, "minItems": 1}},
            "required": ["using", "steps"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
}
"""Composite actions. Source: docs.github.com, "Metadata syntax reference". JSON is YAML, so that is what is read."""
_COMMAND = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
DEVCONTAINER = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "image": _TEXT,
        "runArgs": {"type": "array", "items": _TEXT},
        "onCreateCommand": _COMMAND,
        "postCreateCommand": _COMMAND,
        "forwardPorts": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["image"],
    "additionalProperties": False,
}
"""The members that are used. Source: containers.dev, "Dev Container metadata reference"."""
ACTION_FILE = ROOT / "simulator/action.yml"
DEVCONTAINER_FILE = ROOT / ".devcontainer/devcontainer.json"


def test_the_action_is_one_of_github() -> None:
    action = json.loads(ACTION_FILE.read_text())
    jsonschema.validate(action, ACTION)
    steps = action["runs"]["steps"]
    named = set(re.findall(r"inputs\.([a-z]+)", json.dumps(steps)))
    assert named == {*action["inputs"]}
    outputs = {each["value"] for each in action["outputs"].values()}
    assert outputs == {f"${{{{ steps.{steps[0]['id']}.outputs.{name} }}}}" for name in action["outputs"]}
    action["runs"]["steps"][0].pop("shell")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(action, ACTION)


def test_the_actions_program_is_there_and_is_bash() -> None:
    script = ROOT / "simulator/start-in-ci"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    variables = json.loads(ACTION_FILE.read_text())["runs"]["steps"][0]["env"]
    assert all(f"${name}" in script.read_text() or f"${{{name}:-" in script.read_text() for name in variables)


def test_the_container_of_development_has_the_pinned_base() -> None:
    container = json.loads(DEVCONTAINER_FILE.read_text())
    jsonschema.validate(container, DEVCONTAINER)
    base = re.search(r"^ARG BASE=(\S+)$", (ROOT / "simulator/Containerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert container["image"] == base[1]
    assert "@sha256:" in base[1]
