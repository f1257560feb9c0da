"""The result of `cji evidence collect` and `import`: a bundle in a file."""

from pathlib import Path
from typing import Annotated

import msgspec

from cji_attestation.evidence import Evidence
from cji_core.command.json_output import member, print_answer


class WrittenEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """`cji evidence collect` and `import`: a bundle in a file; nothing in it was appraised."""

    file: Annotated[str, member("file of the bundle")]
    tee: Annotated[str, member("`snp` or `tdx`")]
    sha384: Annotated[str, member("SHA-384 of the bundle, hexadecimal")]
    qualifying: Annotated[str, member("what its quote carries, hexadecimal, for `cji evidence verify --qualifying`")]


def print_written(out: Path, evidence: Evidence, carried: bytes, *, as_json: bool) -> None:
    """Print the bundle's digest, and the command that appraises it."""
    answer = WrittenEvidence(file=str(out), tee=evidence.tee, sha384=evidence.sha384.hex(), qualifying=carried.hex())
    text = f"{out}: {evidence.tee}, SHA-384 {answer.sha384}\ncji evidence verify {out} --qualifying {answer.qualifying}"
    print_answer(answer, text, as_json=as_json)
