"""docs/cjis-azure-commercial.md and docs/azure.md: every file that is named exists, every command too."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cji_attestation import AZURE_US
from cji_core.command import build

ROOT = Path(__file__).parents[3]
PAGES = ("docs/cjis-azure-commercial.md", "docs/azure.md")
STEPS = ("1", "2", "3", "3b", "4", "5", "6", "7")


def commands(text: str) -> list[str]:
    """Commands in code spans and code blocks, without their comments."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [each.partition("  #")[0].strip() for each in (*spans, *blocks.splitlines()) if each.strip()]


def cji_problem(command: str) -> str:
    """Why a command of `cji` cannot be given; empty if it can."""
    here: click.Command = build(AZURE_US)
    words, context = shlex.split(command)[1:], click.Context(here)
    while words and isinstance(here, click.Group) and (found := here.get_command(context, words[0])) is not None:
        here, context, words = found, click.Context(found, parent=context), words[1:]
    if isinstance(here, click.Group) and words and not here.invoke_without_command:
        return f"no verb {words[0]}"
    known = {name for each in here.params for name in each.opts}
    unknown = [word for word in words if word.startswith("-") and word not in known]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("name", PAGES)
def test_every_file_and_command_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    links = [each for each in re.findall(r"\]\(([^)]+)\)", text) if "://" not in each]
    assert links
    for link in links:
        assert ((ROOT / name).parent / link.partition("#")[0]).exists(), link
    found = [each for each in commands(text) if each.startswith("cji ")]
    assert found
    assert {each: cji_problem(each) for each in found if cji_problem(each)} == {}
    for each in commands(text):
        if module := re.match(r"python -m ([a-z._]+)", each):
            path = (ROOT / "deploy" if module[1].startswith("cji_deploy") else ROOT) / module[1].replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), each
        if each.startswith("deploy/") and "example" not in each:
            assert (ROOT / each.split()[0]).exists(), each


def test_every_step_has_file_check_evidence_and_what_remains() -> None:
    text = (ROOT / PAGES[0]).read_text()
    sections = re.split(r"^## Step ", text, flags=re.MULTILINE)[1:]
    assert [each.partition(":")[0] for each in sections] == list(STEPS)
    for section in sections:
        rows = re.findall(r"^\| (\w+) \| (.+) \|$", section, re.MULTILINE)
        assert [row[0] for row in rows] == ["file", "check", "evidence", "agency"]


def test_a_command_that_does_not_exist_is_named() -> None:
    assert cji_problem("cji audit verify audit.log --yaml")
    assert cji_problem("cji polcy lint x")
    assert not cji_problem("cji policy lint policy.json")
