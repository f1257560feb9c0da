"""console.toml: only loopback, no unknown key, paths relative to the file."""

from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_core.format.configuration.console import TcpAddress, UnixAddress, address, load

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
    assert [address(each) for each in found.listen] == [
        TcpAddress(host="127.0.0.1", port=9464),
        TcpAddress(host="::1", port=9464),
        UnixAddress(path="/run/cji-console/page.sock"),
    ]


def test_little_is_needed(tmp_path: Path) -> None:
    (tmp_path / "console.toml").write_text('status_socket = "s"')
    found = load(tmp_path / "console.toml")
    assert (found.status_socket, found.listen, found.otlp) == (str(tmp_path / "s"), ("127.0.0.1:9464",), None)


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


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    with pytest.raises(StartupError, match="larger"):
        loaded(tmp_path, "#" * 70_000)
