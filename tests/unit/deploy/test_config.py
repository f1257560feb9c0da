"""The example configurations are ones that worker and console accept, once their capitals are filled in."""

import re
from pathlib import Path

import msgspec

from cji_attestation.appraisal.reference import ReferenceValues, check_reference
from cji_attestation.trust import PRODUCTION
from cji_core.format.configuration.console import load as load_console
from cji_core.format.configuration.worker import load
from tests.support.paths import ROOT

EXAMPLE = ROOT / "deploy" / "worker.example.toml"


def test_the_example_configuration_loads() -> None:
    config = load(EXAMPLE)
    assert config.cloud in {trust.name for trust in PRODUCTION}
    assert config.listen.certificate == str(EXAMPLE.parent / "tls" / "server.pem")
    assert config.audit_file.startswith("/var/lib/cji/")  # the folder of cji-worker.tmpfiles.conf


def test_its_reference_values_are_sound_and_refuse_milan() -> None:
    values = msgspec.convert(load(EXAMPLE).attestation.reference_values, ReferenceValues, strict=False)
    check_reference(values)
    assert "Milan" not in values.products


def test_the_example_of_the_console_loads() -> None:
    example = EXAMPLE.with_name("console.example.toml")
    assert load_console(example).status_socket == load(EXAMPLE).status_socket


def test_every_setting_of_the_console_is_in_its_example(tmp_path: Path) -> None:
    """With [monitor], and with what stands in its place."""
    text = EXAMPLE.with_name("console.example.toml").read_text()
    whole = re.sub(r"(?m)^# (\[otlp\]|[a-z_]+ = )", r"\1", text)
    common, monitor, shown = re.match(r"(?s)(.*)(\[monitor\].*)(# In place of .*)", whole).groups()  # type: ignore[union-attr]
    path = tmp_path / "console.toml"
    path.write_text(common + monitor)
    sent = load_console(path)
    path.write_text(common + shown)
    seen = load_console(path)
    assert sent.monitor is not None
    assert seen.otlp is not None
    for section in (sent, sent.monitor, seen.otlp):
        for name in section.__struct_fields__:
            assert f"{name} = " in whole or name in {"otlp", "monitor"}
    assert None not in (seen.certificate, seen.reviews, seen.delivery, seen.disk, seen.otlp.trail)
    assert sent.monitor.machine == load(EXAMPLE).worker.id.replace("WORKER-1", "cji-{vm_id}")
