"""`python -m tools.kit`: write docs/vectors; `--check` compares, and writes nothing."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tools.kit import (
    columns,
    headers,
    jobs,
    ledger,
    plans,
    public_keys,
    records,
    references,
    results,
    secrets,
    statements,
    tables,
    tasks,
    writer,
)
from tools.kit.case import Case

SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["format", "group", "section", "about", "cases"],
    "additionalProperties": False,
    "properties": {
        "format": {"const": "cji-vectors/1"},
        "group": {"type": "string"},
        "section": {"type": "integer", "description": "of docs/format.md"},
        "about": {"type": "string", "description": "what a reader does with the data of a case"},
        "cases": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/case"}},
    },
    "$defs": {
        "case": {
            "type": "object",
            "required": ["id", "result", "data"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "result": {"enum": ["valid", "invalid", "acceptable"]},
                "rule": {"type": "string", "description": "the one rule that is broken, or why a reader may refuse"},
                "reason": {"type": "string", "description": "a name of refusals.json: the answer of a worker"},
                "check": {"type": "string", "description": "what a client calls the failed check"},
                "from": {"type": "string", "description": "the valid case that this one is without its one change"},
                "data": {
                    "type": "object",
                    "description": "bytes are hexadecimal; keys are JWKs, documents compact JWS",
                },
                "expected": {"type": "object", "description": "what is in it, and values on the way"},
            },
            "oneOf": [
                {"properties": {"result": {"const": "valid"}}, "not": {"required": ["rule"]}},
                {"properties": {"result": {"const": "acceptable"}}, "required": ["rule"]},
                {
                    "properties": {"result": {"const": "invalid"}},
                    "required": ["rule", "from"],
                    "oneOf": [{"required": ["reason"]}, {"required": ["check"]}],
                },
            ],
        }
    },
}
FOLDER: Final = Path(__file__).resolve().parents[2] / "docs/vectors"


class Group(NamedTuple):
    """A file: its cases, the section of docs/format.md that they are about, and what a reader does with one."""

    cases: Callable[[], Iterator[Case]]
    section: int
    about: str


GROUPS: Final[Mapping[str, Group]] = {
    "headers": Group(headers.cases, 1, "Read `header`, at 2026-11-26T12:00:00Z."),
    "jwks": Group(public_keys.jwks, 1, "Read `jwk` as a public key of this `kind`."),
    "attributions": Group(secrets.attributions, 1, "Read `plaintext`, which stood in the box `sealed_attribution`."),
    "signatures": Group(
        statements.signatures, 2, "Verify `signature` over `header` with `jwk`, the key of the submitter."
    ),
    "streams": Group(
        secrets.streams,
        3,
        "Open `data`, one item for each Segment message. Where a case has `pieces` instead, make it: the plaintext is"
        " 00 01 … ff repeated, cut into pieces of these lengths, with this `iv` and these `sivs`; compare the digests.",
    ),
    "data-keys": Group(secrets.data_keys, 4, "Unwrap `wrapped_dek` with `worker_key`, as the worker does."),
    "boxes": Group(secrets.boxes, 4, "Open `box`, of this purpose, with `data_key`."),
    "project-keys": Group(secrets.project_keys, 4, "Open `wrapped`, the key of this `project`, with `data_key`."),
    "ml-kem-seeds": Group(public_keys.seeds, 4, "Unwrap the seed with the CMK, the RSA key `rsa` of keys.json."),
    "result-keys": Group(secrets.result_keys, 4, "Unwrap `wrapped_dek` with the key of the `recipient` in keys.json."),
    "records": Group(records.records, 5, "Read `plaintext` as records of `schema`, as the worker does, not padded."),
    "admissions": Group(statements.admissions, 6, "Verify `signature`, as the worker with `receipt_jwk` does."),
    "result-headers": Group(statements.result_headers, 7, "Read `result_header` as that of the job with `header`."),
    "receipts": Group(statements.receipts, 8, "Verify `document` with `jwk`, the receipt key."),
    "nonce-paths": Group(statements.nonce_paths, 8, "Compute the root from `nonce` and `nonce_path`."),
    "failures": Group(statements.failures, 9, "Verify `document`, a failure receipt, with `jwk`, the receipt key."),
    "references": Group(
        references.blobs, 9, "Read `blob`, text or of a submission bytes, as the blob of this `kind` of a job."
    ),
    "tickets": Group(statements.tickets, 9, "Read `ticket`, as a worker takes it from the queue."),
    "statements": Group(
        statements.task_statements,
        10,
        "Verify `document` with the key in it, and its proof under the job's `data_key`.",
    ),
    "jobs": Group(
        jobs.jobs,
        7,
        "Open the job as a worker does, and its result as the recipient does; members as of the whole jobs.",
    ),
    "results": Group(
        results.results,
        8,
        "Verify `receipt` with `receipt_jwk` as that of the job with `header`, whose parts `sent` lists, open `outputs`"
        " as the `recipient` in keys.json, and count their rows.",
    ),
    "confirmations": Group(
        results.confirmations,
        8,
        "Verify `confirmation` of the counts in `receipt`, at the time `now`, under the policy with `policy_sha384`"
        " that names `keys` for all operations of the job.",
    ),
    "plans": Group(
        plans.plans,
        10,
        "Read `plan` as that of the job with `header`, a `validate` of persons, and open its result key with"
        " `data_key`.",
    ),
    "gathered": Group(
        tasks.gathered,
        10,
        "Gather `statements` of the tasks of the job with `header` under `plan`, a `validate` of persons, as the worker"
        " that finishes it; `expected` has members of the receipt.",
    ),
    "shuffles": Group(
        plans.shuffles, 10, "Open `data`, a stream between tasks of this name, under the plan with `plan_sha384`."
    ),
    "ledger": Group(
        ledger.entries,
        11,
        "Read `entry` as that of `job` and, of an attempt, `number`, with the ledger key of the CMK `rsa` of keys.json,"
        " whose id is `kek_id`. Foreign entries count nothing.",
    ),
    "column-keys": Group(
        columns.cases,
        13,
        "Read `header`, verify the signature of each of its `column_keys` with `agency_jwk`, and open the keys with"
        " `worker_key`, as a worker whose policy lists the statements.",
    ),
    "row-macs": Group(
        tables.row_macs, 13, "Verify `row_mac` of the row with `id` and `cells`, of which an empty one is null."
    ),
    "table-versions": Group(
        tables.table_versions,
        13,
        "Verify `signature` over `statement` with `jwk`, as that of this `table` in version `least` or later.",
    ),
    "derived": Group(secrets.derived, 10, "Derive the key; `what` names it."),
    "values": Group(secrets.values, 10, "Compute the value; `what` names it."),
}


def files() -> dict[str, str]:
    """The contents of each file of the kit, by its name."""
    found = {f"kit/{name}.json": _group(name, group) for name, group in GROUPS.items()}
    found |= {"kit/keys.json": _text(_keys()), "kit/schema.json": _text(SCHEMA)}
    return found | {name: _text(content) for name, content in jobs.files().items()}


def _group(name: str, group: Group) -> str:
    cases = list(group.cases())
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), name
    assert all(case.made_from in {"", *(each.name for each in cases if each.result == "valid")} for case in cases), name
    head = {"format": "cji-vectors/1", "group": name, "section": group.section, "about": group.about}
    return _text(head | {"cases": [case.members() for case in cases]})


def _keys() -> dict[str, object]:
    """The private keys that the files name; they protect nothing."""
    recipient = writer.Recipient("recipient", hybrid=True)
    p384 = recipient.p384.private_numbers().private_value.to_bytes(48, "big").hex()
    return {
        "format": "cji-vectors/1",
        "rsa": json.loads(Path(writer.__file__).with_name("rsa_keys.json").read_text()),
        "hybrid": {"recipient": {"ml_kem_seed": writer.chance("recipient/ml-kem", 64).hex(), "p384": p384}},
    }


def _text(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.kit", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    made = files()
    stale = [name for name, text in made.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text]
    stale += [path.name for path in (FOLDER / "kit").iterdir() if f"kit/{path.name}" not in made]
    if check and stale:
        print(f"docs/vectors differs in {', '.join(stale)}; run `python -m tools.kit`", file=sys.stderr)
        return 1
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
