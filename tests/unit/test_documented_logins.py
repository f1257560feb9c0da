"""What needs a login is said to be for a machine with one: the image has none, and its readers must not look for it."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.paths import ROOT

PAGES: Final = sorted(
    (*(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy/runbooks/pages").glob("*.md"), ROOT / "deploy/README.md")
)
LOGIN: Final = re.compile(r"\b(systemctl|journalctl)\b|\bssh -|\bssh [a-z]+@")
"""In text and in code."""
ON_THE_MACHINE: Final = re.compile(
    r"/etc/cji/(worker|audit|console)\.toml|://127\.0\.0\.1:9464|\bcji (status|reload|renew|record|fleet run)\b"
)
"""In code that is to be typed."""
SAID: Final = re.compile(r"machines?\s+with\s+a\s+login|have\s+a\s+login")
# commands of a desk that name files as they are on a machine
AT_A_DESK: Final = frozenset({"audit-packet.md: "})


def sections(text: str) -> list[tuple[str, str]]:
    """Heading and text of each section of the second level; what stands before the first one belongs to all."""
    first, *others = re.split(r"(?m)^## ", text)
    found = [("", first)] + [(each.partition("\n")[0], each) for each in others]
    said = SAID.search(first) is not None
    return [(heading, first + body if said and heading else body) for heading, body in found]


def needs_login(text: str) -> list[str]:
    code = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    return [*(each[0] for each in LOGIN.finditer(text)), *ON_THE_MACHINE.findall("\n".join(code))]


def unsaid(path: Path, text: str) -> list[str]:
    """Sections with a command that needs a login, which do not say so."""
    return [
        f"{path.name}: {heading}"
        for heading, body in sections(text)
        if needs_login(body) and not SAID.search(body) and f"{path.name}: {heading}" not in AT_A_DESK
    ]


def test_what_needs_a_login_is_said_to() -> None:
    found = [each for path in PAGES for each in unsaid(path, path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "Look with `journalctl -u cji-worker`.",
        "Run systemctl status cji-worker.",
        "`ssh -L 9464:127.0.0.1:9464 worker-1`",
        "```sh\ncji reload --config worker.toml\n```\n",
        "```sh\ncji audit hold x --config /etc/cji/worker.toml\n```\n",
        "# One\n\n## Two\nOn a machine with a login:\n\n## Three\n`systemctl stop cji-worker`",
    ],
)
def test_an_unsaid_one_is_found(text: str) -> None:
    assert unsaid(Path("page.md"), text)
    assert not unsaid(Path("page.md"), f"For a machine with a login.\n\n{text}")


def test_the_image_names_what_stands_in_their_place() -> None:
    page = (ROOT / "docs/image.md").read_text()
    section = page.partition("## Nobody logs in")[2].partition("\n## ")[0]
    for command in (
        "cji status",
        "journalctl",
        "cji reload",
        "cji renew",
        "cji record",
        "audit hold",
        "prune",
        "resume",
    ):
        assert command in section
