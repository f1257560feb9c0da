"""An emulated machine whose kernel found no timer is turned off and on again; QEMU is a script here."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from cji_simulator.machine.errors import MachineError
from cji_simulator.machine.guest import Guest, accelerators

_NO_TIMER = "[   22.87] rcu: \\tPossible timer handling issue on cpu=1"
_BEGUN = "\\033[0;1;39mBooting initrd of \\033[0m\\033[1mDebian"


def guest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], *, first: str = "", kinds: Sequence[str] = ("tcg",)
) -> Guest:
    """A machine that prints the next of these lines at each start."""
    (folder / "variables").write_bytes(b"variables")
    cases = "\n".join(f"{number}) printf '{line}' ;;" for number, line in enumerate(lines, 1))
    script = folder / "qemu-system-x86_64"
    script.write_text(f"""#!/bin/sh
{first}
for last; do :; done
echo start >> {folder}/starts
case $(wc -l < {folder}/starts) in
{cases}
esac > "${{last##*logfile=}}"
exec sleep 60
""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Guest(
        folder / "disk", variables=folder / "variables", tpm="none", folder=folder / "machine", accelerate=kinds
    )


def test_a_machine_without_a_timer_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with guest(tmp_path, monkeypatch, [_NO_TIMER, _NO_TIMER, _BEGUN]) as machine:
        assert machine.printed() == "Booting initrd of Debian"
    assert (tmp_path / "starts").read_text().count("start") == 3


def test_a_machine_that_never_finds_a_timer_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="no timer"), guest(tmp_path, monkeypatch, [_NO_TIMER] * 9):
        pass
    assert (tmp_path / "starts").read_text().count("start") == 5


def test_kvm_that_starts_no_firmware_is_left_for_emulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nested KVM does: it ends at once, or complains and stays."""
    for name, fails in (("ends", "exit 1"), ("stays", "echo 'KVM internal error. Suberror: 1' >&2; exec sleep 60")):
        folder = tmp_path / name
        folder.mkdir()
        other = guest(
            folder, monkeypatch, [_BEGUN] * 2, first=f"case $* in *'-accel kvm'*) {fails} ;; esac", kinds=("kvm", "tcg")
        )
        with other as machine:
            assert (machine.accelerator, machine.printed()) == ("tcg", "Booting initrd of Debian")


def test_kvm_is_taken_where_this_user_may(tmp_path: Path) -> None:
    assert accelerators(tmp_path / "kvm") == ("tcg",)
    (tmp_path / "kvm").touch()
    assert accelerators(tmp_path / "kvm") == ("kvm", "tcg")


def test_each_new_line_of_the_console_is_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    with guest(tmp_path, monkeypatch, [f"{_BEGUN}\\nfirst\\nhalf"]) as machine:
        machine.follow(shown.append)
        assert machine.wait_for("half", seconds=10) == "half"
        assert shown == ["Booting initrd of Debian", "first"]
        with machine.log.open("a") as log:
            log.write(" and half\n")
        machine.look()
        machine.look()
        assert shown[2:] == ["half and half"]
