"""`cji audit resume`: continue a trail that a worker refused to start on."""

from functools import partial
from pathlib import Path
from typing import Annotated

import click
import msgspec

from cji_attestation.verbs.trusts import trust_named
from cji_core.command.common import FILE, configuration, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_worker.keyholder.anchor import anchor_again
from cji_worker.keyholder.replay import resume_trail


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji audit resume`: a trail that continues."""

    line: Annotated[int, member("number of the line with the explanation")]
    anchor: Annotated[int, member("value of the vTPM's counter that the trail is anchored to")]


@click.command()
@click.option("--config", type=FILE, required=True, help="worker.toml of the stopped worker.")
@click.option("--operator", "operator_id", required=True, help="Your id, for the audit trail.")
@click.option("--explanation", required=True, help="The result of your investigation, for the audit trail.")
@answers(Resumed)
@click.pass_context
@explained
def resume(context: click.Context, config: Path, operator_id: str, explanation: str, *, as_json: bool) -> None:
    """Continue an audit trail that a worker refused because lines are missing. Run it as the worker's user.

    Verifies the whole trail, builds the replay ledger again, appends your explanation, and anchors the trail to the
    vTPM's counter as it is now. Headers that were created before this moment are refused from then on, because their
    job ids may be among the missing lines. This cannot be undone: find out first why lines are missing.

    \b
    Example:
      cji audit resume --config /etc/cji/worker.toml --operator jdoe --explanation "VM 17 replaced, ticket 4711"
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_attestation.evidence.tpm_counter import NvCounter  # noqa: PLC0415 - needs the TPM's libraries

    loaded = configuration(config)
    trust = trust_named(context, loaded.cloud)
    with resume_trail(loaded, operator_id=operator_id, explanation=explanation) as trail:
        anchor = anchor_again(trail, partial(NvCounter, trust.tcti, loaded.audit_counter))
        line = trail.head.seq
    print_answer(
        Resumed(line=line, anchor=anchor), f"resumed at line {line}, anchored to counter {anchor}", as_json=as_json
    )
