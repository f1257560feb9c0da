"""What a CI or an editor of others reads: the action, the container of development, and the image that both name."""

import json
import re
import subprocess

import jsonschema
import pytest
from rich.table import Table

from cji_simulator import cli
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
RECIPE_FILE = "docs/how-to/test-against-the-simulator.md"
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


def test_the_recipe_of_a_container_is_of_the_image() -> None:
    """Image, folder, network, user and the line to wait for, as the image's file and the program have them."""
    page, image = ((ROOT / path).read_text() for path in (RECIPE_FILE, "simulator/Containerfile"))
    recipe = next(block for block in re.findall(r"(?ms)^```python\n(.*?)^```", page) if "testcontainers" in block)
    compile(recipe, RECIPE_FILE, "exec")
    run = re.search(r"^#   podman run (.*)$", image, re.MULTILINE)
    program = re.search(r"^CMD (.*)$", image, re.MULTILINE)
    assert run is not None
    assert program is not None
    folder = json.loads(program[1])[-1]
    assert f'"{folder}", "rw"' in recipe
    assert f'-v "$PWD/state:{folder}" ' in run[0]
    assert f'DockerContainer("{run[1].split()[-1]}")' in recipe
    assert "--network=host" in run[1]
    assert 'network_mode="host"' in recipe
    assert f'state / "{cli.TRUST}"' in recipe
    assert f'state / "{cli.PROFILE}"' in recipe


def test_the_line_that_a_container_is_waited_for_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cli.show_running(Table())
    waited = re.search(r'LogMessageWaitStrategy\("(.*)"\)', (ROOT / RECIPE_FILE).read_text())
    assert waited is not None
    assert re.search(waited[1], capsys.readouterr().out, re.MULTILINE)
    assert "grep -q '^Running'" in (ROOT / "simulator/start-in-ci").read_text()
