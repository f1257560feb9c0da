"""A running simulation is found from any folder of its user, and never by a link that somebody else made."""

import os
import socket
from pathlib import Path

import pytest

from cji_simulator.ports import PORTS, free_port, listeners, require_free
from cji_simulator.whereabouts import announced, found_state


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a simulation, and a runtime folder beside it."""
    for name in ("runtime", "elsewhere"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_it_is_found_while_it_runs(elsewhere: Path) -> None:
    state = elsewhere / "project/.demo"
    assert found_state() == Path(".demo")
    with announced(state):
        assert found_state() == state
    assert found_state() == Path(".demo")


def test_one_that_ends_leaves_a_later_one_found(elsewhere: Path) -> None:
    with announced(elsewhere / "one"):
        with announced(elsewhere / "two"):
            assert found_state() == elsewhere / "two"
        with announced(elsewhere / "three"):
            pass


def test_that_of_the_folder_comes_first(elsewhere: Path) -> None:
    (elsewhere / "elsewhere/.demo").mkdir()
    (elsewhere / "elsewhere/.demo/trust.json").touch()
    with announced(elsewhere / "project/.demo"):
        assert found_state() == Path(".demo")


def test_a_link_that_others_could_make_is_not_followed(elsewhere: Path) -> None:
    with announced(elsewhere / "project/.demo"):
        os.chmod(elsewhere / "runtime", 0o777)
        assert found_state() == Path(".demo")
        os.chmod(elsewhere / "runtime", 0o700)
        assert found_state() == elsewhere / "project/.demo"


def test_one_without_a_runtime_folder_runs(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `su`: the variable is that of another session."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(elsewhere / "none/1000"))
    with announced(elsewhere / "project/.demo"):
        assert found_state() == Path(".demo")


def test_what_an_ended_process_left_is_replaced(elsewhere: Path) -> None:
    (elsewhere / f"runtime/cji-simulator.{os.getpid()}").symlink_to("old")
    with announced(elsewhere / "project/.demo"):
        assert found_state() == elsewhere / "project/.demo"


def test_fixed_ports_are_named_and_refused_if_taken() -> None:
    base = free_port()
    names = [*PORTS]
    with socket.create_server(("127.0.0.1", base)), pytest.raises(OSError, match=f"port {base}, for the {names[0]}"):
        require_free(base)
    found = [port for listener, port in listeners(base) if not listener.close()]  # type: ignore[func-returns-value]
    assert found == [base + number for number in range(1, len(PORTS))]
