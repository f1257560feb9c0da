"""console.toml: only loopback, no unknown key, paths relative to the file."""

from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig, TcpAddress, UnixAddress, address, load

WHOLE = """
status_socket = "/run/cji-status/status.sock"
listen = ["127.0.0.1:9464", "[::1]:9464", "unix:/run/cji-console/page.sock"]
certificate = "tls/server.pem"
reviews = "/var/lib/cji-reviews"
review_days = 5
delivery = "/var/lib/cji-audit"
[otlp]
endpoint = "http://127.0.0.1:4318"
instance = "worker-1"
interval_seconds = 30
trail = "audit.log"
"""


def loaded(folder: Path, text: str) -> object:
    (folder / "console.toml").write_text(text)
    return load(folder / "console.toml")


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "console.toml").write_text(WHOLE)
    found = load(tmp_path / "console.toml")
    assert found.certificate == str(tmp_path / "tls/server.pem")
    assert found.delivery == "/var/lib/cji-audit"
    assert found.otlp is not None
    assert found.otlp.trail == str(tmp_path / "audit.log")
    assert [address(each) for each in found.addresses] == [
        TcpAddress(host="127.0.0.1", port=9464),
        TcpAddress(host="::1", port=9464),
        UnixAddress(path="/run/cji-console/page.sock"),
    ]


def test_little_is_needed(tmp_path: Path) -> None:
    (tmp_path / "console.toml").write_text('status_socket = "s"')
    found = load(tmp_path / "console.toml")
    assert (found.status_socket, found.addresses, found.otlp) == (str(tmp_path / "s"), ("127.0.0.1:9464",), None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("127.0.0.1:9464", "0.0.0.0:9464"),
        ("127.0.0.1:9464", "10.0.0.4:9464"),
        ("127.0.0.1:9464", "localhost:9464"),
        ("127.0.0.1:9464", "127.0.0.1"),
        ("127.0.0.1:9464", "127.0.0.1:0"),
        ("127.0.0.1:9464", "127.0.0.1:65536"),
        ("127.0.0.1:9464", "127.0.0.1:9x"),
        ("unix:/run", "unix:run"),
        ("unix:/run", f"unix:/{'x' * 100}"),
        ("http://127.0.0.1:4318", "https://127.0.0.1:4318"),
        ("http://127.0.0.1:4318", "http://collector.example:4318"),
        ("http://127.0.0.1:4318", "http://169.254.169.254:80"),
        ("http://127.0.0.1:4318", "http://127.0.0.1"),
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1"),
        ("http://127.0.0.1:4318", "http://a@127.0.0.1:4318"),
        ("http://127.0.0.1:4318", "http://127.0.0.1:x"),
        ('instance = "worker-1"', ""),
        ('instance = "worker-1"', 'instance = "a b"'),
        ("review_days = 5", "review_days = 0"),
        ("review_days = 5", "reviews_days = 5"),
        ('listen = ["127.0.0.1:9464", "[::1]:9464", "unix:/run/cji-console/page.sock"]', "listen = []"),
        ("status_socket", "control_socket"),
    ],
)
def test_anything_else_is_refused_with_a_remedy(tmp_path: Path, old: str, new: str) -> None:
    assert old in WHOLE
    with pytest.raises(StartupError, match="is not valid") as refused:
        loaded(tmp_path, WHOLE.replace(old, new))
    assert "docs/console.md" in refused.value.remedy


SENDS = """
status_socket = "s"
[monitor]
endpoint = "https://cji-1a2b.eastus2-1.ingest.monitor.azure.com"
rule = "dcr-0123456789abcdef0123456789abcdef"
client_id = "00000000-0000-4000-8000-000000000001"
"""
VM_ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


def test_one_that_sends_has_the_name_of_its_machine(tmp_path: Path) -> None:
    at_a_desk = loaded(tmp_path, SENDS)
    assert isinstance(at_a_desk, ConsoleConfig)
    assert at_a_desk.monitor is not None
    assert (at_a_desk.monitor.machine, at_a_desk.addresses) == ("{vm_id}", ())
    (tmp_path / "machine.json").write_text(f'{{"vm_id":"{VM_ID}"}}')
    on_a_machine = loaded(tmp_path, f'{SENDS}machine = "cji-{{vm_id}}"')
    assert isinstance(on_a_machine, ConsoleConfig)
    assert on_a_machine.monitor is not None
    assert on_a_machine.monitor.machine == f"cji-{VM_ID}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[monitor]", 'listen = ["127.0.0.1:9464"]\n[monitor]'),
        ("[monitor]", '[otlp]\ninstance = "a"\n[monitor]'),
        ("dcr-0", "dce-0"),
        ("00000000-0000-4000", "0000-4000"),
        ("client_id", "client"),
        ("[monitor]", '[monitor]\nmachine = "a b"'),
        ("[monitor]", '[monitor]\nmachine = "{host}"'),
        ("[monitor]", "[monitor]\ninterval_seconds = 1"),
        ("[monitor]", "[monitor]\ninterval_seconds = 301"),
        ("[monitor]", '[monitor]\nstream = "Custom-CjiAudit"'),
    ],
)
def test_one_that_sends_has_no_other_way(tmp_path: Path, old: str, new: str) -> None:
    assert loaded(tmp_path, SENDS)
    with pytest.raises(StartupError, match="is not valid"):
        loaded(tmp_path, SENDS.replace(old, new))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    with pytest.raises(StartupError, match="larger"):
        loaded(tmp_path, "#" * 70_000)
