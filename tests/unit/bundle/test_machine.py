"""What one bundle leaves open is filled in by one rule, from the file that each machine writes."""

from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.machine import MACHINE, VM_ID, Machine, machine_in, named
from cji_core.format.configuration.worker import load
from tests.support.bundles import worker_toml

ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def written(folder: Path, worker_id: str, machine: str | None) -> Path:
    (folder / "worker.toml").write_bytes(worker_toml().replace(b'id = "worker-1"', f'id = "{worker_id}"'.encode()))
    if machine is not None:
        (folder / MACHINE).write_text(machine)
    return folder / "worker.toml"


def test_the_placeholder_stands_for_the_machines_id(tmp_path: Path) -> None:
    config = load(written(tmp_path, f"cji-{VM_ID}", None))
    assert (config.worker.id, config.vm_id) == ("cji-{vm_id}", "")  # at a desk
    of_a_machine = load(written(tmp_path, f"cji-{VM_ID}", f'{{"vm_id":"{ID}"}}'))
    assert (of_a_machine.worker.id, of_a_machine.vm_id) == (f"cji-{ID}", ID)
    assert of_a_machine.sha384 == config.sha384
    assert load(written(tmp_path, "worker-1", f'{{"vm_id":"{ID}"}}')).vm_id == ""


@pytest.mark.parametrize("text", ["{", "}", "{vm}", "{{vm_id}}", "{vm_id}{other}", "{VM_ID}"])
def test_another_placeholder_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one placeholder"):
        named(text, Machine(vm_id=ID))
    with pytest.raises(StartupError, match="one placeholder"):
        load(written(tmp_path, text, None))


@pytest.mark.parametrize(
    "text", ["", "{}", f'{{"vm_id":"{ID.upper()}"}}', f'{{"vm_id":"{ID}","x":1}}', '{"vm_id":"x"}', " " * 300]
)
def test_a_damaged_file_of_the_machine_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="is not valid"):
        load(written(tmp_path, f"cji-{VM_ID}", text))


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    assert machine_in(tmp_path) is None


def test_no_configuration_sets_what_is_computed(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_bytes(worker_toml(top=f'vm_id = "{ID}"'))
    with pytest.raises(StartupError, match="computed"):
        load(path)
