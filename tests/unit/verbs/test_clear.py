"""`cji clear`: a table in words, or its mistakes with remedies."""

from pathlib import Path

from click.testing import CliRunner

from cji_client.verbs.answers import ExampleRules
from cji_core.command import build
from tests.support.json_answers import answered


def test_the_example_is_printed_and_explained(tmp_path: Path) -> None:
    printed = CliRunner().invoke(build(), ["clear", "example"])
    path = tmp_path / "rules.toml"
    path.write_text(printed.stdout)
    found = CliRunner().invoke(build(), ["clear", "check", str(path)])
    assert found.exit_code == 0
    written = CliRunner().invoke(build(), ["clear", "example", str(tmp_path / "written.toml")])
    assert written.exit_code == 0
    assert (tmp_path / "written.toml").read_text() == printed.stdout
    shown = CliRunner().invoke(build(), ["clear", "example", "--json"])
    assert answered(shown, ExampleRules) == ExampleRules(rules=printed.stdout)
    other = str(tmp_path / "other.toml")
    assert answered(CliRunner().invoke(build(), ["clear", "example", other, "--json"]), ExampleRules).file == other
    again = CliRunner().invoke(build(), ["clear", "example", str(tmp_path / "written.toml")])
    assert again.exit_code == 2
    assert "1. p64-dismiss: dismiss. Possession" in found.stdout
    assert "   - the conviction is before 2016-11-09" in found.stdout
    assert "   - the subject was 21 or older at conviction" in found.stdout


def test_mistakes_are_listed_with_remedies(tmp_path: Path) -> None:
    text = CliRunner().invoke(build(), ["clear", "example"]).stdout
    path = tmp_path / "rules.toml"
    path.write_text(text.replace('"11358 HS"', '"11358"').replace('["never_dismissed"]', '["nothing"]'))
    found = CliRunner().invoke(build(), ["clear", "check", str(path)])
    assert found.exit_code == 2
    assert not found.stdout
    assert "list former_felonies: 11358 names no law of this table\n  End it with one of BP" in found.stderr
    assert "rule no-dismissal, sections: no list is called nothing\n  Add it under [lists]" in found.stderr
    assert "rules.toml: 3 mistakes" in found.stderr
