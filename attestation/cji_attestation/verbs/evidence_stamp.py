"""`cji evidence stamp`: a request for an RFC 3161 timestamp over evidence, and the response put into its file."""

from pathlib import Path
from typing import Annotated, Literal

import click
import msgspec

from cji_attestation.appraisal import timestamp_request
from cji_attestation.evidence_file import stamped
from cji_attestation.verbs.evidence_file import EvidenceFile, read_file
from cji_attestation.verbs.evidence_options import NEW_FILE, written
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, member, print_answer


class Stamping(msgspec.Struct, frozen=True, kw_only=True):
    """`cji evidence stamp`: the file that was written; no timestamp was verified."""

    file: Annotated[str, member("the file")]
    has: Annotated[Literal["request", "evidence"], member("what is in it: a request, or evidence with its timestamp")]


@click.command()
@click.argument("file", type=FILE)
@click.option("--request", type=NEW_FILE, help="Write a request for a timestamp over FILE to this new file.")
@click.option("--response", type=FILE, help="The authority's response, to put into a copy of FILE.")
@click.option("--out", type=NEW_FILE, help="New file for the evidence with its timestamp.")
@answers(Stamping)
@explained
def stamp(file: Path, *, request: Path | None, response: Path | None, out: Path | None, as_json: bool) -> None:
    """Have an authority attest that FILE existed today. Uses no network: you send the request yourself.

    A timestamp proves the time of an appraisal in years to come, under `timestamp_roots` of the reference values. FILE
    is the evidence.json of a job. For a bare bundle keep the response, for `cji evidence verify --timestamp`.

    \b
    Examples:
      cji evidence stamp evidence.json --request evidence.tsq
      curl -sS -H 'Content-Type: application/timestamp-query' --data-binary @evidence.tsq AUTHORITY -o evidence.tsr
      cji evidence stamp evidence.json --response evidence.tsr --out stamped.json
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    read = read_file(file)
    if (request is None) == (response is None) or (response is None) != (out is None):
        raise Failure("nothing to do", remedy="Give --request, or --response with --out.", status=2)
    if request is not None:
        written(request, timestamp_request(_message(read)))
        text = f"{request}: send it to a timestamp authority, then give its answer with --response"
        print_answer(Stamping(file=str(request), has="request"), text, as_json=as_json)
    if response is not None and out is not None:
        if read.wrapper is None:
            remedy = "Keep the response beside it, and give it to `cji evidence verify --timestamp`."
            raise Failure("a bare bundle carries no timestamp", remedy=remedy, status=2)
        written(out, msgspec.structs.replace(read.wrapper, timestamp=response.read_bytes()).encode())
        text = f"{out}: not verified yet; `cji evidence verify` does that"
        print_answer(Stamping(file=str(out), has="evidence"), text, as_json=as_json)


def _message(read: EvidenceFile) -> bytes:
    return stamped(read.bundle.to_json()) if read.wrapper is None else read.wrapper.stamped
