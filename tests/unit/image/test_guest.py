"""An emulated machine whose kernel found no timer is turned off and on again; QEMU is a script here."""

from pathlib import Path

import pytest

from tests.support.machine.host import Guest

_NO_TIMER = "[   22.87] rcu: \\tPossible timer handling issue on cpu=1"
_BEGUN = "\\033[0;1;39mBooting initrd of \\033[0m\\033[1mDebian"


def guest(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> Guest:
    """A machine that prints the next of these lines at each start."""
    (folder / "variables").write_bytes(b"variables")
    cases = "\n".join(f"{number}) printf '{line}' ;;" for number, line in enumerate(lines, 1))
    script = folder / "qemu-system-x86_64"
    script.write_text(f"""#!/bin/sh
for last; do :; done
echo start >> {folder}/starts
case $(wc -l < {folder}/starts) in
{cases}
esac > "${{last#file:}}"
exec sleep 60
""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Guest(folder / "disk", variables=folder / "variables", tpm="none", folder=folder / "machine")


def test_a_machine_without_a_timer_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with guest(tmp_path, monkeypatch, [_NO_TIMER, _NO_TIMER, _BEGUN]) as machine:
        assert machine.printed() == "Booting initrd of Debian"
    assert (tmp_path / "starts").read_text().count("start") == 3


def test_a_machine_that_never_finds_a_timer_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="no timer"), guest(tmp_path, monkeypatch, [_NO_TIMER] * 9):
        pass
    assert (tmp_path / "starts").read_text().count("start") == 5
