"""What `cji` prints moves nothing in a terminal: names of columns and files are those of other people's files."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cji_client.errors import SpecError
from cji_client.spec import JobSpec, decode_spec
from cji_client.verbs.job.prepare import prepare
from cji_core.command.common import Failure, explained
from tests.support.job_specs import head

SPEC = head(recipient="{}", kek_thumbprint="x" * 43) + '[input]\nschema = "person/1"\n[[operations]]\nkind = "link"\n'
HOSTILE = "\x1b]0;a title\x07\x1b[2J\u202e"


@pytest.fixture(scope="module")
def spec() -> JobSpec:
    return decode_spec(SPEC)


def test_an_error_shows_what_cannot_be_printed(spec: JobSpec, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"record_id,last{HOSTILE},DOB\n1,a,19820214\n")
    with pytest.raises(SpecError) as refused:
        prepare(tmp_path / "a.csv", spec, Console(quiet=True))

    @explained
    def verb() -> None:
        raise refused.value

    with pytest.raises(Failure) as failed:
        verb()
    lines = failed.value.format_message().split("\n")
    assert "⟨U+001B⟩]0;a title⟨U+0007⟩⟨U+001B⟩[2J⟨U+202E⟩" in lines[0]
    assert all(line.isprintable() for line in lines)


def test_a_note_shows_what_cannot_be_printed(spec: JobSpec, tmp_path: Path) -> None:
    file = tmp_path / f"{HOSTILE}.csv"
    file.write_text("record_id,last,DOB\n1,a,19820214\n")
    console = Console(file=(out := io.StringIO()), width=200, force_terminal=False)
    prepare(file, spec, console)
    assert "⟨U+001B⟩[2J⟨U+202E⟩.csv: utf-8, 3 columns" in out.getvalue()
    assert all(line.isprintable() for line in out.getvalue().splitlines())
