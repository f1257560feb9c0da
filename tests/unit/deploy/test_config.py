"""The example configuration is one that the worker accepts, once its capitals are filled in."""

import msgspec

from attestation.appraisal.reference import ReferenceValues, check_reference
from attestation.trust import PRODUCTION
from tests.support.paths import ROOT
from worker.config import load

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
