"""`cji policy`: what it writes, what it finds, and the exit status of each."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US, AZURE_USGOV
from cji_attestation.provider_policy import policy_hash
from cji_attestation.release.policy import RULES
from cji_core.command import build
from tests.support.paths import ROOT

SHIPPED = ROOT / "deploy" / "policy" / "release-policy.json"
MAA_SHIPPED = ROOT / "deploy" / "policy" / "attestation-policy.txt"
OWN = "https://agency.eus2.attest.azure.net"
GOV = "https://agency.ugv.attest.azure.us"


def cji(*arguments: str | Path, given: bytes = b"") -> Result:
    return CliRunner().invoke(
        build(AZURE_US, AZURE_USGOV), ["policy", *(str(a) for a in arguments)], input=given, catch_exceptions=False
    )


def test_the_template_is_what_deploy_ships() -> None:
    made = cji("build", "--template")
    assert made.exit_code == 0
    assert made.stdout_bytes == SHIPPED.read_bytes()


@pytest.mark.parametrize("hardware", [[], ["--hardware", "tdx"], ["--hardware", "snp", "--hardware", "tdx"]])
def test_what_is_built_is_clean(hardware: list[str]) -> None:
    pin = ["--pin", "x-ms-azurevm-attested-pcr-values.pcr4=AAAA=="]
    made = cji("build", "--authority", OWN, *hardware, *pin)
    checked = cji("lint", "-", "--authority", OWN, "--strict", given=made.stdout_bytes)
    assert (made.exit_code, checked.exit_code, checked.stdout) == (0, 0, "0 errors, 0 warnings\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of them"),
        (["--template", "--authority", OWN], "one of them"),
        (["--authority", "https://sharedeus2.eus2.attest.azure.net"], "RP01"),
        (["--authority", "https://agency.weu.attest.azure.net"], "RP03"),
        (["--authority", GOV], "RP03"),
        (["--authority", OWN, "--pin", "secureboot=false"], "cannot be pinned"),
        (["--authority", OWN, "--pin", "secureboot"], "no value"),
        (["--authority", OWN, "--pin", "x-ms-sevsnpvm-vmpl=0"], "RP20"),
        (["--authority", OWN, "--cloud", "azure-moon"], "Use one of azure-us, azure-usgov"),
    ],
)
def test_build_writes_nothing_weak(arguments: list[str], said: str) -> None:
    made = cji("build", *arguments)
    assert made.exit_code == 2
    assert said in made.stderr
    assert made.stdout == ""


def test_government_has_its_own_providers() -> None:
    assert cji("build", "--authority", GOV, "--cloud", "azure-usgov").exit_code == 0
    assert cji("build", "--template", "--cloud", "azure-usgov").stdout_bytes == SHIPPED.read_bytes()


def test_lint_explains_and_counts() -> None:
    bare = cji("lint", SHIPPED)
    assert bare.exit_code == 1
    assert RULES["RP02"].remedy in bare.stdout
    filled = cji("lint", SHIPPED, "--authority", OWN)
    assert filled.exit_code == 0
    assert "0 errors, 1 warning\n" in filled.stdout
    assert RULES["RP17"].why in filled.stdout
    assert cji("lint", SHIPPED, "--authority", OWN, "--strict").exit_code == 1


def test_lint_reads_what_the_vault_prints_and_prints_json() -> None:
    encoded = base64.urlsafe_b64encode(SHIPPED.read_bytes()).rstrip(b"=") + b"\n"
    found = json.loads(cji("lint", "-", "--json", given=encoded).stdout)
    assert [(one["rule"]["id"], one["where"]) for one in found] == [
        ("RP02", ["anyOf[0].authority"]),
        ("RP17", ["anyOf[0]"]),
    ]


def test_lint_names_the_place_of_a_broken_grammar() -> None:
    broken = SHIPPED.read_bytes().replace(b'"claim": "secureboot", "equals"', b'"claim": "secureboot", "exists"')
    found = cji("lint", "-", given=broken)
    assert found.exit_code == 1
    assert "RP43 unknown operator" in found.stdout
    assert "anyOf[0].allOf[1]" in found.stdout


def test_lint_takes_providers_of_the_cloud_only() -> None:
    found = cji("lint", SHIPPED, "--authority", "https://evil.example")
    assert found.exit_code == 2
    assert "not a provider in azure-us" in found.stderr


def test_the_providers_policy_is_written_checked_and_named() -> None:
    made = cji("build", "--for", "maa")
    assert made.exit_code == 0
    assert made.stdout_bytes == MAA_SHIPPED.read_bytes()
    checked = cji("lint", "--for", "maa", "--strict", MAA_SHIPPED)
    assert (checked.exit_code, checked.stdout) == (0, "0 errors, 0 warnings\n")
    assert cji("hash", MAA_SHIPPED).stdout.strip() == policy_hash(MAA_SHIPPED.read_bytes())


def test_the_providers_policy_is_explained() -> None:
    default = b"version= 1.0;authorizationrules{=> permit();};"
    found = cji("lint", "--for", "maa", "-", given=default)
    assert found.exit_code == 1
    assert "error    MP10 permits without a condition: => permit()" in found.stdout
    assert cji("hash", "-", given=default).stdout == "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco\n"
    as_json = json.loads(cji("lint", "--for", "maa", "--json", "-", given=default).stdout)
    assert [(one["rule"]["id"], one["where"]) for one in as_json] == [("MP10", ["authorizationrules 1"])]


def test_what_is_no_provider_policy() -> None:
    broken = b'version=1.0;authorizationrules{[type="a"] => permit();};'
    found = cji("lint", "--for", "maa", "-", given=broken)
    assert found.exit_code == 1
    assert "MP41 outside the grammar" in found.stdout
    assert "line 1, column 37" in found.stdout
    named = cji("hash", "-", given=broken)
    assert named.exit_code == 2
    assert "MP41 at line 1, column 37" in named.stderr
    assert cji("hash", "-", given=b"a" * (65 << 10)).exit_code == 2


@pytest.mark.parametrize("option", [["--authority", OWN], ["--template"], ["--hardware", "snp"], ["--pin", "a=b"]])
def test_the_providers_policy_has_no_variants(option: list[str]) -> None:
    made = cji("build", "--for", "maa", *option)
    assert (made.exit_code, made.stdout) == (2, "")
    assert "no variants" in made.stderr


def test_a_provider_names_no_authority() -> None:
    assert cji("lint", "--for", "maa", MAA_SHIPPED, "--authority", OWN).exit_code == 2


@pytest.mark.parametrize("verb", ["build", "lint", "hash"])
def test_help_teaches_with_examples(verb: str) -> None:
    assert f"cji policy {verb} " in cji(verb, "--help").stdout
