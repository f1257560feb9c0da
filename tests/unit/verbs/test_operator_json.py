"""Results as JSON of verbs that need a machine or an HSM: a forged HSM, a folder of code."""

from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_attestation.release import verify_key_attestation
from cji_client.verbs.answers import AttestedKey
from cji_core.certs import spki_sha256
from cji_core.command import build
from cji_core.manifest import verify, write
from cji_simulator.certificates import pem
from cji_worker.verbs.manifest import Manifest
from tests.support.hsm_forge import KEK, NOW, bundle, hsm
from tests.support.json_answers import answered, refusal


def test_an_hsm_made_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cmk.json").write_bytes(bundle())
    (tmp_path / "roots.pem").write_bytes(pem(hsm().root.certificate))
    command = ["key", "verify-attestation", str(tmp_path / "cmk.json"), "--kek-id", KEK, "--json"]
    command += ["--thumbprint", hsm().thumbprint, "--maker-roots", str(tmp_path / "roots.pem")]
    refused = refusal(CliRunner().invoke(build(), command))  # the forge's roots are nobody's
    assert (refused.status, refused.check is None, bool(refused.remedy)) == (3, False, True)
    roots = (spki_sha256(hsm().root.certificate.public_key()),)

    def pinned(data: bytes, **given: object) -> object:
        return partial(verify_key_attestation, data)(**{**given, "now": NOW, "roots": roots})  # type: ignore[arg-type]

    monkeypatch.setattr("cji_attestation.release.verify_key_attestation", pinned)
    found = answered(CliRunner().invoke(build(), command), AttestedKey)
    assert (found.kek_id, len(found.not_checked)) == (KEK, 2)
    assert found.checks


def test_a_manifest_agrees_with_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, path = tmp_path / "lib", tmp_path / "manifest.sha256"
    code.mkdir()
    (code / "rules.csv").write_text("1,2\n")
    for module in ("cji_worker.verbs.manifest", "cji_core.manifest"):
        monkeypatch.setattr(f"{module}.covered_folders", lambda: [code])
        monkeypatch.setattr(f"{module}.manifest_path", lambda: path)
    monkeypatch.setattr("cji_worker.verbs.manifest._mapped", set)
    written = answered(CliRunner().invoke(build(), ["manifest", "write", "--json"]), Manifest)
    assert written == Manifest(file=str(path), code_sha384=verify(path, [code]).sha384.hex())
    assert path.read_bytes() == write([code], [])
    assert answered(CliRunner().invoke(build(), ["manifest", "verify", "--json"]), Manifest) == written
    (code / "rules.csv").write_text("1,3\n")
    assert refusal(CliRunner().invoke(build(), ["manifest", "verify", "--json"])).reason == "REFUSED"
