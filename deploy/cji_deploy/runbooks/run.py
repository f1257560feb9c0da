"""The execution of a runbook, step by step: checks, command, verification. The first failure ends it."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cji_deploy.runbooks.steps import Check, Command, Runbook, Step
from cji_deploy.runbooks.values import RunbookError, Site, plain, select, shown, words

__all__ = ["Execution", "dry_run"]

_COMMAND_S: Final = 3600
_CHECK_S: Final = 600
_SHOWN: Final = 400
_SCRATCH: Final = "scratch"


def dry_run(runbook: Runbook, site: Site, *, chosen: frozenset[str], say: Callable[[str], None] = print) -> None:
    """Print every step with its reason, its checks and its commands; nothing is executed."""
    for number, step in enumerate(_chosen(runbook, chosen), 1):
        say(f"\n{number}. {step.title}{f'  [each of {step.each}]' if step.each else ''}")
        say(f"   why: {step.why}")
        for label, checks in (("before", step.requires), ("skip if", [step.done] if step.done else [])):
            for check in checks:
                say(f"   {label}: {check.holds}\n      $ {shown(check.command, site.values)}")
        say(
            f"   $ {shown(step.command, site.values)}"
            if step.command
            else f"   by a person: {plain(step.person, site.values)}"
        )
        if step.saves:
            say(f"     > {shown((step.saves,), site.values)}")
        if step.only_real:
            say(f"   in a drill: printed only, because {step.only_real}")
        for check in step.verify:
            wait = f", within {shown((check.within,), site.values)} s" if check.within != "0" else ""
            say(f"   after: {check.holds}{wait}\n      $ {shown(check.command, site.values)}")
        say(f"   if it fails: {step.remedy}")
    say(f"\nundo: {runbook.undo}")


def _chosen(runbook: Runbook, chosen: frozenset[str]) -> list[Step]:
    return [each for each in runbook.steps if (not each.option or each.option in chosen) and each.unless not in chosen]


class Execution:
    """One run. `confirm` asks a person whether something was done; `every` is the pause between tries of a check.

    A `drill` runs against a simulation: it prints the steps that only a real deployment can do, with the reason, and
    goes on without them. `printed` lists their ids, `seconds` has the duration of each executed step, `measured` the
    times that checks measure.
    """

    def __init__(
        self,
        runbook: Runbook,
        site: Site,
        *,
        chosen: frozenset[str] = frozenset(),
        confirm: Callable[[str], bool],
        say: Callable[[str], None] = print,
        every: float = 10.0,
        drill: bool = False,
    ) -> None:
        self._runbook, self._site, self._chosen, self._drill = runbook, site, chosen, drill
        self._confirm, self._say, self._every = confirm, say, every
        self._values = dict(site.values)
        self._lists: dict[str, list[str]] = {}
        self.measured: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.printed: list[str] = []
        self._began: dict[str, float] = {}

    def run(self) -> None:
        """Execute all steps. Raises RunbookError at the first that fails."""
        used = {name for step in _chosen(self._runbook, self._chosen) for name in step.values}
        if absent := sorted(name for name in used & self._runbook.needs.keys() if name not in self._values):
            raise RunbookError(f"{', '.join(absent)} must be set", "Set them in the site's file or with --set.")
        for number, step in enumerate(_chosen(self._runbook, self._chosen), 1):
            clock = time.monotonic()
            self._say(f"{number}. {step.title}")
            if self._drill and step.only_real:
                self._print(step)
                continue
            try:
                self._step(step)
            except RunbookError as error:
                remedy = " ".join(part for part in (error.remedy, step.remedy) if part)
                raise RunbookError(f"step {number}, {step.id}: {error.args[0]}", remedy) from error
            self.seconds[step.id] = time.monotonic() - clock
            self._say(f"   {self.seconds[step.id]:.1f} s")

    def _print(self, step: Step) -> None:
        self.printed.append(step.id)
        self._say(f"   not executed in a drill: {step.only_real}")
        what = f"$ {shown(step.command, self._values)}" if step.command else plain(step.person, self._values)
        self._say(f"   {what}")

    def _step(self, step: Step) -> None:
        for item in self._lists.get(step.each, []) if step.each else [None]:
            values = self._values if item is None else {**self._values, "item": item}
            if step.done is not None and self._answer(step.done, values)[0]:
                self._say(f"   already so: {step.done.holds}")
                continue
            for check in step.requires:
                self._require(check, values)
            self._began.setdefault(step.id, time.monotonic())
            self._act(step, values)
            for check in step.verify:
                self._require(check, values, since=check.since if check.since in self._began else step.id)

    def _act(self, step: Step, values: Mapping[str, str]) -> None:
        command = step.command or self._site.persons.get(step.id, ())
        if not command:
            if not self._confirm(plain(step.person, values)):
                raise RunbookError("it was not confirmed", "Run the book again after it is done.")
            return
        status, output = self._execute(command, values, _COMMAND_S)
        if status not in step.statuses:
            raise RunbookError(f"{shown(command, values)} ended with status {status}: {_last(output)}", "")
        if status:
            self._say(f"   a finding: status {status}: {_last(output)}")
        if step.saves:
            target = Path(words(("", step.saves), values)[1])
            target.write_text(output)
        if step.sets:
            found = select(output, step.path)
            if isinstance(found, list):
                self._lists[step.sets] = found
            else:
                self._values[step.sets] = found
            self._say(f"   {step.sets}: {', '.join(found) if isinstance(found, list) else found}"[:_SHOWN])

    def _require(self, check: Check, values: Mapping[str, str], *, since: str = "") -> None:
        """Repeat a check until it has held as often as it must, or its time has passed."""
        end = time.monotonic() + float(words(("", check.within), values)[1])
        held, otherwise, first, reason = 0, 0.0, 0.0, ""
        began = self._began.get(since, time.monotonic())
        while True:
            holds, reason = self._answer(check, values)
            held, after = held + 1 if holds else 0, time.monotonic() - began
            if not holds:
                otherwise = after
            elif held == 1:
                first = after
            if held >= check.in_a_row:
                break
            hopeless = bool(check.never) and re.search(check.never, reason) is not None
            if not holds and (hopeless or time.monotonic() >= end):
                raise RunbookError(f"not so: {check.holds}. {reason}", "")
            time.sleep(self._every)
        self._say(f"   {check.holds}")
        if check.measures:
            self.measured[check.measures] = otherwise
            self._say(f"   {check.measures}: {otherwise:.1f} s after `{since}` began, at the latest {first:.1f} s")

    def _answer(self, check: Check, values: Mapping[str, str]) -> tuple[bool, str]:
        """Whether it holds now, and what was found."""
        status, output = self._execute(check.command, values, _CHECK_S)
        if status not in check.statuses:
            return False, f"status {status}: {_last(output)}"
        try:
            found = select(output, check.path)
        except RunbookError as error:
            return False, str(error.args[0])
        text = "\n".join(found) if isinstance(found, list) else found
        if check.equals is not None:
            return text == words(("", check.equals), values)[1], f"found {text[:_SHOWN]!r}"
        pattern = words(("", check.matches), values)[1] if "{" in check.matches else check.matches
        return re.search(pattern, text) is not None, f"found {text[-_SHOWN:]!r}"

    def _execute(self, command: Command, values: Mapping[str, str], seconds: int) -> tuple[int, str]:
        """Status and output. A scratch path, new for each command, is removed after it."""
        folder = tempfile.mkdtemp(prefix="runbook-")
        try:
            arguments = words(command, {**values, _SCRATCH: f"{folder}/out"}, tools=self._site.tools)
            done = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds
            )
        except FileNotFoundError as error:
            raise RunbookError(f"{error.filename} is not installed", "Install it, or name it under [tools].") from None
        except subprocess.TimeoutExpired:
            raise RunbookError(f"{shown(command, values)} did not end within {seconds} s", "") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return done.returncode, done.stdout if not done.returncode else f"{done.stdout}\n{done.stderr}"


def _last(output: str) -> str:
    return " ".join(output.split())[-_SHOWN:]
