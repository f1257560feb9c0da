"""Runbooks as data: their frame, their checks, and what a planted mistake in each of them leads to."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_deploy.check.runbooks import _pages, _values, cji_problems, runbook_outcomes
from cji_deploy.runbooks.az_table import TABLE, command_problems
from cji_deploy.runbooks.books import BOOKS
from cji_deploy.runbooks.export import COMMANDS, Azure, export
from cji_deploy.runbooks.run import Execution, dry_run
from cji_deploy.runbooks.steps import Check, Runbook, Step
from cji_deploy.runbooks.values import RunbookError, Site, read_site, select, words

FOLDER = Path(__file__).parents[3] / "deploy" / "runbooks"
PYTHON = {"python": (sys.executable,)}


def book(*steps: Step, **changes: Any) -> Runbook:
    values: dict[str, Any] = {
        "name": "x", "title": "X", "when": "w", "who": "w", "prerequisites": (), "undo": "u", "verification": "v",
    }  # fmt: skip
    return Runbook(steps=steps, **{**values, **changes})


def step(code: str, **changes: Any) -> Step:
    values: dict[str, Any] = {"id": "s", "title": "t", "why": "w", "remedy": "Repair it."}
    return Step(command=("python", "-c", code), **{**values, **changes})


def check(code: str, **changes: Any) -> Check:
    return Check(holds="it holds", command=("python", "-c", code), **changes)


def run(*steps: Step, values: dict[str, str] | None = None, **changes: Any) -> tuple[list[str], Execution]:
    said: list[str] = []
    site = Site(values or {}, tools=PYTHON)
    execution = Execution(book(*steps, **changes), site, confirm=lambda _: False, say=said.append, every=0.01)
    execution.run()
    return said, execution


def test_all_checks_of_the_shipped_runbooks_pass() -> None:
    assert [each for each in runbook_outcomes(FOLDER) if each.reasons] == []


def test_the_first_failure_ends_the_run_with_the_remedy(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(RunbookError) as caught:
        run(step("raise SystemExit(3)"), step(f"open({str(mark)!r}, 'w')"))
    assert "status 3" in caught.value.args[0]
    assert caught.value.remedy == "Repair it."
    assert not mark.exists()


def test_a_requirement_comes_before_the_command(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(RunbookError, match="not so: it holds"):
        run(step(f"open({str(mark)!r}, 'w')", requires=(check("print(1)", equals="2"),)))
    assert not mark.exists()


def test_a_step_that_is_done_is_skipped(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import os; open({str(mark)!r}, 'x'); print('{{}}')"
    done = check(f"import os; print(os.path.exists({str(mark)!r}))", equals="True")
    assert mark.exists() is False
    run(step(code, done=done))
    said, _ = run(step(code, done=done))
    assert "   already so: it holds" in said


def test_a_check_is_repeated_and_measured(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import os; p = {str(mark)!r}; print(os.path.exists(p)); open(p, 'w')"
    _, execution = run(step("", verify=(check(code, equals="True", within="500", in_a_row=2, measures="time"),)))
    assert execution.measured["time"] > 0


def test_values_that_were_read_reach_later_steps_and_each_item() -> None:
    said, _ = run(
        step('print(\'[{"id": "a"}, {"id": "b"}]\')', sets="ids", path="*.id"),
        dataclasses.replace(
            step("", id="two", each="ids"),
            command=("python", "-c", "import sys; sys.exit(sys.argv[1] not in 'ab')", "{item}"),
        ),
        step('print(\'{"x": "y"}\')', sets="one", path="x"),
    )
    assert "   ids: a, b" in said
    assert "   one: y" in said


def test_a_persons_step_needs_a_yes() -> None:
    with pytest.raises(RunbookError, match="not confirmed"):
        run(Step(id="p", title="t", why="w", person="Do it.", remedy="r"))


@pytest.mark.parametrize("value", ["", "-o", "--query", "a\nb", "a;b", "$(x)`", "a'b", "x" * 2000, "a|b"])
def test_a_value_that_is_no_name_is_refused(value: str) -> None:
    with pytest.raises(RunbookError):
        Site({"vault": value})


@given(st.text(max_size=40))
def test_no_value_becomes_an_option_or_a_second_word(value: str) -> None:
    try:
        site = Site({"v": value})
    except RunbookError:
        return
    found = words(("az", "x", "{v}"), site.values)
    assert found[2] == value
    assert not value.startswith("-")
    assert "\n" not in value


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_answer_is_selected_from_or_refused(output: str, path: str) -> None:
    try:
        found = select(output, path)
    except RunbookError:
        return
    assert isinstance(found, str | list)


@pytest.mark.parametrize("name", BOOKS)
def test_dry_run_prints_every_command_and_executes_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    dry_run(BOOKS[name], Site({}, tools={"az": ("false",)}), chosen=frozenset(BOOKS[name].options))
    printed = capsys.readouterr().out
    for _, command in BOOKS[name].commands:
        assert f"$ {command[0]} {command[1]}" in printed
    assert "undo:" in printed


def test_the_executables_help_and_print() -> None:
    help_text = subprocess.run([FOLDER / "revoke", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(word in help_text for word in ("--dry-run", "--with stop", "wait_s"))
    site = ["--site", str(FOLDER / "site.example.toml")]
    dry = subprocess.run([FOLDER / "revoke", *site, "--dry-run"], capture_output=True, text=True, check=True).stdout
    assert "az keyvault key list-versions --vault-name cji-kv --name cji-cmk" in dry
    missing = subprocess.run([FOLDER / "deploy", "--set", "group=g"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "must be set" in missing.stderr
    bad = subprocess.run([FOLDER / "deploy", "--set", "group=-g"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2


def test_a_site_with_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[tools]\nbash = "/bin/sh"\n')
    with pytest.raises(RunbookError, match="bash"):
        read_site(path)


PLANTED = {
    "unknown command": ("az", "keyvault", "key", "spin", "--name", "k"),
    "unknown option": ("az", "vmss", "show", "--group", "g", "--name", "s"),
    "required option absent": ("az", "group", "show", "--output", "json"),
    "given twice": ("az", "group", "show", "--name", "a", "-n", "b"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_az_command_is_named(name: str) -> None:
    assert list(command_problems("here", PLANTED[name], json.loads(TABLE.read_text())))


def test_a_wrong_cji_command_is_named() -> None:
    cji = build(AZURE_US)
    assert not list(cji_problems("here", ("cji", "audit", "verify", "T", "--json"), cji))
    for wrong in (("cji", "audit", "verify", "T", "--yaml"), ("cji", "job", "run", "IN"), ("sh", "-c", "x")):
        assert list(cji_problems("here", wrong, cji))


def test_wrong_values_and_pages_are_named(tmp_path: Path) -> None:
    rotate = BOOKS["rotate-cmk"]
    assert not list(_values(rotate))
    assert list(_values(dataclasses.replace(rotate, needs={})))
    assert list(_values(dataclasses.replace(rotate, needs={**rotate.needs, "unused": "u"})))
    assert any("pages/revoke.md" in each for each in _pages(tmp_path))


AZ = """
import json, sys
name = " ".join(sys.argv[1:4])
words = dict(zip(sys.argv, sys.argv[1:]))
G = "/subscriptions/1/resourceGroups/cji"
V = G + "/providers/Microsoft.KeyVault/vaults/kv"
def answer():
    if name.startswith("cloud show"): return {"endpoints": {"resourceManager": "https://management.azure.com/"}}
    if name.startswith("resource list"): return [{"id": V, "type": "Microsoft.KeyVault/vaults", "name": "kv"}]
    if name.startswith("resource show"):
        key = words["--ids"] != V
        kind = "Microsoft.KeyVault/vaults" + "/keys" * key
        return {"id": words["--ids"], "type": kind, "name": "kv", "location": "eastus",
                "properties": {"enablePurgeProtection": True}, "tags": {"owner": "SMITH"}}
    if name.startswith("rest"):
        return {"value": [{"id": V + "/keys/k", "type": "Microsoft.KeyVault/vaults/keys", "name": "kv/k"}]}
    if name.startswith("monitor"):
        return [{"id": V + "/providers/microsoft.insights/diagnosticSettings/a", "name": "a", "workspaceId": "/w",
                 "logs": [{"enabled": True}]}]
    if name.startswith("role assignment"):
        return [{"id": "/ra", "name": "ra", "scope": G, "principalId": "p", "roleDefinitionId": "/x/b24988ac"}]
    if name.startswith("role definition"): return []
    if name.startswith("group show"): return {"id": G}
    raise SystemExit("unknown " + name)
print(json.dumps(answer()))
"""


def test_an_export_has_children_and_extension_resources(tmp_path: Path) -> None:
    program = tmp_path / "az.py"
    program.write_text(AZ)
    document = export(Azure((sys.executable, str(program))), "cji")
    kinds = sorted({each["type"] for each in document["resources"]})
    assert kinds == [
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.Insights/diagnosticSettings",
        "Microsoft.KeyVault/vaults",
        "Microsoft.KeyVault/vaults/keys",
    ]
    assert "SMITH" not in json.dumps(document)
    assert len(COMMANDS) == 8


def test_a_drill_prints_what_only_a_real_deployment_can_do(tmp_path: Path) -> None:
    mark, said = tmp_path / "mark", list[str]()
    real = step(f"open({str(mark)!r}, 'w')", id="real", only_real="a drill has no roof")
    execution = Execution(
        book(real, step("print(1)")), Site({}, tools=PYTHON), confirm=lambda _: False, say=said.append, drill=True
    )
    execution.run()
    assert not mark.exists()
    assert (execution.printed, list(execution.seconds)) == (["real"], ["s"])
    assert "   not executed in a drill: a drill has no roof" in said
    Execution(book(real), Site({}, tools=PYTHON), confirm=lambda _: False, say=said.append).run()
    assert mark.exists()


def test_a_finding_goes_on_and_is_said() -> None:
    said, _ = run(step("raise SystemExit(3)", statuses=(0, 3)))
    assert any("a finding: status 3" in each for each in said)


def test_an_answer_that_ends_the_wait() -> None:
    with pytest.raises(RunbookError, match="not so: it holds"):
        run(step("", verify=(check("print('Faulted')", equals="Completed", within="1000", never="Faulted"),)))


def test_a_time_begins_with_the_step_that_it_names() -> None:
    """Each time is taken when its check ends, so the later one is from the earlier beginning, however slow both are."""
    own, first = (check("print(1)", equals="1", measures="time", since=since) for since in ("", "first"))
    said, _ = run(step("import time; time.sleep(0.3)", id="first"), step("", id="second", verify=(own, first)))
    lines = [each for each in said if "time:" in each]
    assert ["`second` began" in lines[0], "`first` began" in lines[1]] == [True, True]
    since_second, since_first = (float(line.rpartition("at the latest ")[2].split()[0]) for line in lines)
    assert since_first > since_second


def test_a_step_runs_unless_the_option_is_chosen() -> None:
    either = book(step("", id="a", unless="stop"), step("", id="b", option="stop"))
    for chosen, ran in ((frozenset[str](), ["a"]), (frozenset({"stop"}), ["b"])):
        execution = Execution(
            either, Site({}, tools=PYTHON), chosen=chosen, confirm=lambda _: False, say=lambda _: None
        )
        execution.run()
        assert list(execution.seconds) == ran


def test_only_values_of_chosen_steps_are_needed() -> None:
    optional = step("", id="o", option="x", saves="{absent}")
    run(step(""), optional, needs={"absent": "only for --with x"})
    with pytest.raises(RunbookError, match="absent must be set"):
        run(dataclasses.replace(optional, option=""), needs={"absent": "a"})
