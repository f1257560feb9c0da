"""`cji evidence`: shows what a file holds, explains every check, and says which one refused. No network."""

import base64
import hashlib
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import ReferenceValues, check_reference, image_of
from cji_attestation.checks import requirement
from cji_attestation.evidence import Evidence
from cji_attestation.verbs.evidence_ear import accepted_result
from cji_attestation.verbs.evidence_file import appraise_file, read_file
from cji_attestation.verbs.evidence_pcrs import GoldenValues
from cji_core.command import build
from cji_simulator.measured_boot import USERSPACE, Measurement, said
from tests.support.boot_forge import LINE, VERITY, firmware, replayed, with_boot
from tests.support.evidence_files import evidence_file
from tests.support.forge import (
    QUALIFYING,
    RECEIPT_KEY,
    evidence_of,
    machine,
    machine_of,
)
from tests.support.forge import decided as accepting
from tests.support.json_answers import answered
from tests.support.paths import ROOT
from tests.support.refusals import rejected
from tests.support.reviews import decided_profile, decided_toml
from tests.support.tdx_forge import intel


def cji(*arguments: object) -> Result:
    trust = msgspec.structs.replace(intel().trust, amd_roots=machine().trust.amd_roots)
    command = build(AZURE_US, trust)
    return CliRunner().invoke(command, ["evidence", *map(str, arguments)], catch_exceptions=False)


def bare(folder: Path, evidence: Evidence) -> Path:
    path = folder / "bundle.json"
    path.write_bytes(evidence.to_json())
    return path


def wrapped(folder: Path, **changes: Any) -> Path:
    """As `cji job run` writes it."""
    path = folder / "evidence.json"
    path.write_bytes(evidence_file(**changes))
    return path


@pytest.mark.parametrize("tee", ["snp", "tdx"])
def test_a_bare_bundle(tmp_path: Path, tee: str) -> None:
    found = machine().evidence() if tee == "snp" else intel().evidence(machine())
    path = bare(tmp_path, found)
    shown = cji("show", path)
    assert shown.exit_code == 0
    assert shown.output.startswith("not verified")
    for text in (found.sha384.hex(), QUALIFYING.hex(), "vmUniqueId", "PCR 7"):
        assert text in shown.output
    assert "unreadable" not in shown.output
    judged = cji(
        "verify", path, "--cloud", "test", "--qualifying", QUALIFYING.hex(), "--profile", decided_profile(tmp_path)
    )
    assert judged.exit_code == 0, judged.output
    assert judged.output.startswith(f"accepted: {tee} ")
    assert f"E16  {requirement('E16')}" in judged.output
    assert ("E29" in judged.output) == (tee == "tdx")


def test_a_bare_bundle_does_not_say_what_was_asked(tmp_path: Path) -> None:
    path = bare(tmp_path, machine().evidence())
    for options in ((), ("--qualifying", "00"), ("--qualifying", "zz")):
        result = cji("verify", path, "--cloud", "test", *options)
        assert (result.exit_code, "--qualifying" in result.output) == (2, True)
    other = cji("verify", path, "--cloud", "test", "--qualifying", "00" * 32, "--profile", decided_profile(tmp_path))
    assert (other.exit_code, f"refused at E16: {requirement('E16')}" in other.output) == (3, True)


def test_production_roots_refuse_it(tmp_path: Path) -> None:
    for found, check in ((machine().evidence(), "E04"), (intel().evidence(machine()), "E23")):
        profile = decided_profile(tmp_path)
        result = cji("verify", bare(tmp_path, found), "--qualifying", QUALIFYING.hex(), "--profile", profile)
        assert (result.exit_code, f"refused at {check}: {requirement(check)}" in result.output) == (3, True)
    assert cji("verify", bare(tmp_path, machine().evidence()), "--cloud", "other").exit_code == 2


def test_the_file_of_a_job(tmp_path: Path) -> None:
    now = machine().now
    path = wrapped(tmp_path)
    assert "attested_at" in cji("show", path).output
    undecided = decided_profile(tmp_path, accepted=False)  # nobody decided about what is open
    refused = cji("verify", path, "--profile", undecided)
    assert (refused.exit_code, "refused at E32" in refused.output) == (3, True)
    assert cji("verify", path, "--profile", decided_profile(tmp_path)).exit_code == 0
    later = (now + timedelta(days=9000)).isoformat()
    result = cji("verify", path, "--at", later, "--profile", undecided)
    assert (result.exit_code, "refused at E38" in result.output) == (3, True)
    assert cji("verify", path, "--qualifying", QUALIFYING.hex()).exit_code == 2
    for when in ("yesterday", "2026-03-17T00:00:00"):
        assert cji("verify", path, "--at", when).exit_code == 2
    result = cji("verify", wrapped(tmp_path, nonce=b"x" * 32), "--profile", decided_profile(tmp_path))
    assert (result.exit_code, "refused at E16" in result.output) == (3, True)
    assert cji("verify", wrapped(tmp_path, cloud="elsewhere")).exit_code == 2
    for change, check in (({"maa_url": "https://evil.example"}, "maa-url"), ({"jwks": b"{}"}, "refused at T03")):
        result = cji("verify", wrapped(tmp_path, **change), "--profile", decided_profile(tmp_path))
        assert (result.exit_code, check in result.output) == (3, True), result.output


def test_reference_values_of_a_profile_are_not_guessed(tmp_path: Path) -> None:
    outdated = intel().evidence(machine(), collateral=intel().collateral(status="OutOfDate"))
    given = ("--cloud", "test", "--qualifying", QUALIFYING.hex(), "--profile", decided_profile(tmp_path))
    result = cji("verify", bare(tmp_path, outdated), *given)
    assert (result.exit_code, f"refused at E29: {requirement('E29')}" in result.output) == (3, True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"evidence":1}', '{"evidence":"#"}', '{"evidence":"e30="}', "\xff"])
def test_what_is_no_evidence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text.encode("latin-1"))
    for verb in ("show", "verify"):
        assert cji(verb, path).exit_code == 2


def test_a_broken_part_is_shown_and_no_text_moves_the_cursor(tmp_path: Path) -> None:
    broken = msgspec.structs.replace(machine().evidence(), hcl_report=b"x", ak_cert=b"x")
    result = cji("show", bare(tmp_path, broken))
    assert (result.exit_code, result.output.count("unreadable")) == (0, 4)
    path = wrapped(tmp_path)
    content = json.loads(path.read_text()) | {"cloud": "\x1b[2J"}
    path.write_text(json.dumps(content))
    assert "\x1b" not in cji("show", path).output


def test_a_tdx_bundle_that_lacks_its_parts_is_shown(tmp_path: Path) -> None:
    whole = intel().evidence(machine())
    older = msgspec.structs.replace(whole, version=1, collateral=msgspec.UNSET)
    for found in (older, msgspec.structs.replace(older, td_quote=b"")):
        output = cji("show", bare(tmp_path, found)).output
        assert "collateral         none" in output
        assert ("PCK" in output) == bool(found.td_quote)


def test_reference_values_of_a_worker(tmp_path: Path) -> None:
    evidence, config = bare(tmp_path, machine().evidence()), tmp_path / "worker.toml"
    shipped = (ROOT / "deploy" / "worker.example.toml").read_text()
    example = shipped.replace("token_max_age = 600\n", f"token_max_age = 600\n{decided_toml()}")
    assert example != shipped
    command = ("verify", evidence, "--cloud", "test", "--qualifying", QUALIFYING.hex(), "--config", config)
    for pcr4, status in ((machine().pcrs[4].hex(), 0), ("11" * 32, 3)):
        config.write_text(f'{example}\n[attestation.reference_values.pcrs]\n4 = ["{pcr4}"]\n')
        result = cji(*command)
        assert (result.exit_code, "refused at E19" in result.output) == (status, status == 3), result.output
    config.write_text(example.replace('products = ["Genoa"]', 'products = ["Rome"]'))
    assert cji(*command).exit_code == 2
    config.write_text("cloud = 1")
    assert cji(*command).exit_code == 2
    assert cji(*command, "--profile", config).exit_code == 2


def test_json_for_machines(tmp_path: Path) -> None:
    path = wrapped(tmp_path)
    shown = json.loads(cji("show", path, "--json").output)
    assert shown["verified"] is False
    assert list(shown["sections"]) == [
        "file",
        "bundle",
        "hardware report",
        "advisories",
        "runtime claims",
        "certificates",
        "TPM quote",
        "boot",
    ]
    found = json.loads(cji("verify", path, "--json", "--profile", decided_profile(tmp_path)).output)
    accepted = [one["id"] for one in found["advisories"] if one["accepted_by"] == "site-1"]
    assert (found["accepted"], found["tee"], found["accepted_advisories"]) == (True, "snp", accepted)
    assert found["above_floor"] == ["snp 27 > 23", "microcode 88 > 84"]
    assert {one["id"]: one["requires"] for one in found["checks"]} == {
        one["id"]: requirement(one["id"]) for one in found["checks"]
    }
    bad = wrapped(tmp_path, nonce=b"x" * 32)
    result = cji("verify", bad, "--json", "--profile", decided_profile(tmp_path))
    told = json.loads(result.output)
    assert (result.exit_code, told["accepted"], told["check"], told["requires"]) == (
        3,
        False,
        "E16",
        requirement("E16"),
    )
    assert told["remedy"]


def test_h01_milan_is_refused_with_a_remedy(tmp_path: Path) -> None:
    m = machine_of("Milan")
    path = bare(tmp_path, evidence_of(m, "Milan", tcb=bytes([4, 0, 0, 0, 0, 0, 24, 219])))
    command = ["evidence", "verify", str(path), "--cloud", "test", "--qualifying", QUALIFYING.hex()]
    result = CliRunner().invoke(build(AZURE_US, m.trust), [*command, "--profile", str(decided_profile(tmp_path))])
    assert result.exit_code == 3
    assert "refused at E08" in result.output
    assert "arXiv:2605.12990" in result.output


def golden(folder: Path, *names: str, pcr4: bytes | None = None) -> list[Path]:
    """Bundles of machines that differ in PCR 4, if at all."""
    out = []
    for number, name in enumerate(names):
        values = list(machine().pcrs)
        if pcr4 is not None and number:
            values[4] = pcr4
        out.append(folder / name)
        out[-1].write_bytes(machine().evidence(pcrs=tuple(values)).to_json())
    return out


def test_pcrs_of_golden_machines_are_reference_values(tmp_path: Path) -> None:
    updated = b"\x11" * 32
    files = golden(tmp_path, "a.json", "b.json", pcr4=updated)
    decided = ("--profile", decided_profile(tmp_path))
    result = cji("pcrs", *files, "--cloud", "test", *decided)
    assert result.exit_code == 0, result.output
    config = msgspec.toml.decode(result.output)
    table = config["attestation"]["reference_values"]
    reference = msgspec.convert(table, ReferenceValues, str_keys=True)
    check_reference(reference)
    assert reference.pcrs == {
        pcr: (value.hex(), updated.hex()) if pcr == 4 else (value.hex(),) for pcr, value in enumerate(machine().pcrs)
    }
    for path in files:
        pinned = msgspec.structs.replace(accepting(), pcrs=reference.pcrs)
        machine().appraise(Evidence.from_json(path.read_bytes()), reference=pinned)
    told = answered(cji("pcrs", *files, "--cloud", "test", "--json", *decided), GoldenValues)
    assert told == GoldenValues(pcrs={str(pcr): values for pcr, values in reference.pcrs.items()})
    only = cji("pcrs", *files, "--cloud", "test", "--pcr", "7", "--pcr", "4", *decided)
    assert list(msgspec.toml.decode(only.output)["attestation"]["reference_values"]["pcrs"]) == ["4", "7"]


def test_pcrs_of_a_job_s_file(tmp_path: Path) -> None:
    booted = replayed((*firmware(), *USERSPACE))
    result = cji("pcrs", wrapped(tmp_path), "--pcr", "0", "--pcr", "15", "--profile", decided_profile(tmp_path))
    table = msgspec.toml.decode(result.output)["attestation"]["reference_values"]
    assert table == {"pcrs": {"0": [booted[0].hex()], "15": [booted[15].hex()]}}  # as it was before the worker's start


@pytest.mark.parametrize("line", [LINE, 'a="b\\c"\t\x7f\u00e9 ' + LINE])
def test_boot_images_of_golden_machines_are_reference_values(tmp_path: Path, line: str) -> None:
    evidence = with_boot(line=line)
    result = cji(
        "pcrs",
        bare(tmp_path, evidence),
        bare(tmp_path, evidence),
        "--cloud",
        "test",
        "--profile",
        decided_profile(tmp_path),
    )
    assert result.exit_code == 0, result.output
    assert f"# dm-verity root: {VERITY}" in result.output
    table = msgspec.toml.decode(result.output)["attestation"]["reference_values"]
    reference = msgspec.convert(table, ReferenceValues, str_keys=True)
    check_reference(reference)
    assert reference.boot_images is not None
    assert [one.command_line for one in reference.boot_images] == [line]
    assert sorted(reference.pcrs) == [*range(10), 11, 12, 13, 14]
    for other, accepted in ((evidence, True), (with_boot(line=f"{line} init=/bin/sh"), False)):
        pinned = accepting(boot_images=reference.boot_images)
        if accepted:
            assert machine().appraise(other, reference=pinned)
        else:
            with rejected("E49", fault=Fault.POLICY_MISMATCH):
                machine().appraise(other, reference=pinned)


def test_an_initrd_that_the_kernel_loaded_is_printed(tmp_path: Path) -> None:
    loaded = Measurement(pcr=9, kind=6, data=b"", digest=b"\7" * 32)
    result = cji(
        "pcrs",
        bare(tmp_path, with_boot(events=(*firmware(), loaded))),
        "--cloud",
        "test",
        "--profile",
        decided_profile(tmp_path),
    )
    (image,) = msgspec.toml.decode(result.output)["attestation"]["reference_values"]["boot_images"]
    assert image["initrds"] == ["07" * 32]
    path, profile = bare(tmp_path, with_boot(events=(*firmware(), loaded))), decided_profile(tmp_path)
    told = answered(cji("pcrs", path, "--cloud", "test", "--profile", profile, "--json"), GoldenValues)
    assert msgspec.json.decode(msgspec.json.encode(told.boot_images)) == [image]


def test_machines_without_such_an_image_have_values_only(tmp_path: Path) -> None:
    grub = Measurement(pcr=8, kind=13, data=b"grub_cmd: linux\0", digest=b"\7" * 32)
    result = cji(
        "pcrs",
        bare(tmp_path, with_boot(events=(*firmware(), grub))),
        "--cloud",
        "test",
        "--profile",
        decided_profile(tmp_path),
    )
    assert list(msgspec.toml.decode(result.output)["attestation"]["reference_values"]) == ["pcrs"]


def test_events_are_shown_by_pcr(tmp_path: Path) -> None:
    path = bare(tmp_path, with_boot(userspace=(*USERSPACE, said(11, "a\x1b[2Jb"))))
    result = cji("pcrs", path, "--cloud", "test", "--pcr", "11", "--events", "--profile", decided_profile(tmp_path))
    rows = result.output.splitlines()
    assert {row.split()[1] for row in rows} == {"11"}
    assert rows[0].endswith(f"{hashlib.sha256(b'.linux' + bytes(1)).hexdigest()} (.linux)")
    assert rows[-2].endswith(" ready")
    assert rows[-1].endswith(" a.[2Jb")
    command = ("pcrs", path, "--cloud", "test", "--pcr", "11", "--events", "--profile", decided_profile(tmp_path))
    (log,) = answered(cji(*command, "--json"), GoldenValues).events
    assert ({one.pcr for one in log}, len(log)) == ({11}, len(rows))
    assert (bytes.fromhex(log[-1].data), log[-1].measured) == (b"a\x1b[2Jb", True)
    assert (log[0].digest, log[0].measured) == (hashlib.sha256(b".linux" + bytes(1)).hexdigest(), False)
    every = cji("pcrs", path, "--cloud", "test", "--events", "--profile", decided_profile(tmp_path)).output
    assert "machine-id:" in every
    assert "cji-worker-start" not in every  # shown by `verify`, never a value to pin


def test_a_boot_is_shown(tmp_path: Path) -> None:
    shown = cji("show", bare(tmp_path, with_boot())).output
    for text in ("second quote", "PCR 15", f"roothash={VERITY}", "ready", f"cji-worker-start:{RECEIPT_KEY.hex()}"):
        assert text in shown


def test_pcrs_of_machines_that_do_not_pass_are_nobodys_reference(tmp_path: Path) -> None:
    (good,) = golden(tmp_path, "a.json")
    decided = ("--profile", decided_profile(tmp_path))
    production = cji("pcrs", good, *decided)
    assert (production.exit_code, "refused at E04" in production.output) == (3, True)
    broken = msgspec.structs.replace(machine().evidence(), pcrs=(b"\x22" * 32,) * 8)
    result = cji("pcrs", good, bare(tmp_path, broken), "--cloud", "test", *decided)
    assert (result.exit_code, "refused at E18" in result.output) == (3, True)
    noise = msgspec.structs.replace(machine().evidence(), quote=b"x")
    assert cji("pcrs", bare(tmp_path, noise), "--cloud", "test").exit_code == 3
    assert cji("pcrs").exit_code == 2
    assert cji("pcrs", good, "--pcr", "16").exit_code == 2


def policy(*arguments: object) -> Result:
    command = build(machine().trust)
    given = ["policy", "build", "--template", "--cloud", "test", *map(str, arguments)]
    return CliRunner().invoke(command, given, catch_exceptions=False)


def test_pcrs_of_golden_machines_are_pins_of_a_release_policy(tmp_path: Path) -> None:
    same = golden(tmp_path, "a.json", "b.json")
    refused = policy("--pcrs-from", same[0], "--profile", decided_profile(tmp_path, accepted=False))
    assert (refused.exit_code, "refused at E32" in refused.output) == (3, True)
    decided = ("--profile", decided_profile(tmp_path))
    made = policy("--pcrs-from", same[0], "--pcrs-from", same[1], *decided)
    assert made.exit_code == 0, made.output
    for pcr, value in enumerate(machine().pcrs):
        condition = {
            "claim": f"x-ms-azurevm-attested-pcr-values.pcr{pcr}",
            "equals": base64.b64encode(value).decode(),
        }
        assert condition in json.loads(made.stdout)["anyOf"][0]["allOf"]
    one = policy("--pcrs-from", same[0], "--pcr", "7", *decided)
    assert one.stdout.count("attested-pcr-values") == 1
    differing = golden(tmp_path, "c.json", "d.json", pcr4=b"\x11" * 32)
    both = ["--pcrs-from", differing[0], "--pcrs-from", differing[1], *decided]
    assert (policy(*both).exit_code, "PCR 4 differs" in policy(*both).output) == (2, True)
    assert policy(*both, "--pcr", "7").exit_code == 0
    assert policy("--pcr", "7").exit_code == 2
    first, second = (policy("--pcrs-from", each, "--pcr", "4", *decided).stdout for each in differing)
    kept = tmp_path / "old.json"
    kept.write_text(first)
    either = policy("--pcrs-from", differing[1], "--pcr", "4", *decided, "--also", kept)
    assert json.loads(either.stdout)["anyOf"] == [*json.loads(first)["anyOf"], *json.loads(second)["anyOf"]]
    assert policy("--pcrs-from", differing[0], "--pcr", "4", *decided, "--also", kept).stdout == first
    kept.write_text("{}")
    assert policy("--also", kept).exit_code == 2
    twice = [*decided, "--pcrs-from", same[0], "--pin", "x-ms-azurevm-attested-pcr-values.pcr4=AAAA"]
    assert policy(*twice).exit_code == 2
    broken = msgspec.structs.replace(machine().evidence(), pcrs=(b"\x22" * 32,) * 8)
    assert policy("--pcrs-from", bare(tmp_path, broken)).exit_code == 3


def test_an_accepted_appraisal_as_ear(tmp_path: Path) -> None:
    """draft-ietf-rats-ear-04. A risk that somebody accepted is a warning."""
    path = bare(tmp_path, with_boot())
    given = ("verify", path, "--cloud", "test", "--qualifying", QUALIFYING.hex(), "--ear")
    found = json.loads(cji(*given, "--profile", decided_profile(tmp_path)).output)
    assert found["eat_profile"] == "tag:ietf.org,2026:rats/ear#04"
    assert found["eat_nonce"] == QUALIFYING.hex()
    assert found["ear_verifier_id"]["developer"] == "cji-worker"
    (machine_result,) = found["submods"].values()
    assert machine_result["ear_status"] == "warning"
    vector = {"hardware": 32, "runtime-opaque": 2, "executables": 0, "configuration": 0}
    assert machine_result["ear_trustworthiness_vector"] == vector
    assert {"id": "E16", "result": "passed", "found": "quote fresh"} in machine_result["cji.checks"]


@pytest.mark.parametrize(
    ("pcrs", "pin_image", "affirmed"),
    [
        ((), False, set()),
        ((11,), False, {"executables"}),
        ((12,), False, {"configuration"}),
        ((), True, {"executables", "configuration"}),
    ],
)
def test_ear_affirms_what_is_pinned(tmp_path: Path, pcrs: tuple[int, ...], pin_image: bool, affirmed: set[str]) -> None:
    booted = replayed((*firmware(), *USERSPACE))
    boot = machine().appraise(with_boot()).boot
    assert boot is not None
    image = image_of(boot)
    assert image is not None
    reference = accepting(pcrs={pcr: (booted[pcr].hex(),) for pcr in pcrs}, boot_images=(image,) if pin_image else None)
    found = appraise_file(
        read_file(bare(tmp_path, with_boot(partial(intel().evidence, machine())))),
        trust=intel().trust,
        reference=reference,
        expected=lambda: QUALIFYING,
        at=machine().now,
    )
    result = accepted_result(found, reference, carried=QUALIFYING)["submods"]["machine"]
    assert result["ear_status"] == "warning"  # physical attacks are accepted, and not fixed
    vector = result["ear_trustworthiness_vector"]
    assert {name for name, value in vector.items() if value == 2} == {"runtime-opaque"} | affirmed
    assert vector.keys() == {"hardware", "runtime-opaque", "executables", "configuration"}


def test_a_refusal_as_ear(tmp_path: Path) -> None:
    given = ("--cloud", "test", "--qualifying", "00" * 32, "--profile", decided_profile(tmp_path), "--ear")
    result = cji("verify", bare(tmp_path, with_boot()), *given)
    assert result.exit_code == 3
    (found,) = json.loads(result.output)["submods"].values()
    assert found["ear_status"] == "contraindicated"
    assert "ear_trustworthiness_vector" not in found
    failed = [one for one in found["cji.checks"] if one["result"] == "failed"]
    assert [one["id"] for one in failed] == ["E16"]
    assert failed[0]["found"] == f"quote for {QUALIFYING.hex()}"
    assert failed[0]["expected"] == f"quote for {'00' * 32}"
