"""Renewal of certificates and revocation lists."""

from typing import Final

from cji_deploy.runbooks.common import CANARY_NEEDS, SCALE_SET_NEEDS, canary, instances, restart_each
from cji_deploy.runbooks.steps import Check, Runbook, Step

_DOOR: Final = ("python", "-m", "cji_deploy.runbooks.certificate", "{target}", "--ca", "{ca}")

BOOK: Final = Runbook(
    name="renew-certificates",
    title="Renew certificates and revocation lists",
    when="Thirty days before the end of the server's certificate, an authority or a revocation list; the "
    "console alerts.",
    who="An operator. New authorities need the agency's public key infrastructure.",
    prerequisites=(
        "the new certificate is for the same names; its key was made in the VM, or by the agency's authority",
        "an authority is added before the first certificate under it is used, and removed after the last",
    ),
    needs={
        "target": "host:port of the workers' door",
        "ca": "PEM file of the authority that submitters trust",
        "days": "days for which the certificate must be valid afterwards",
        **SCALE_SET_NEEDS,
        **CANARY_NEEDS,
    },
    steps=(
        Step(
            id="ends",
            title="Read the end of the certificate in use",
            why="what the door shows counts, not the file",
            command=(*_DOOR, "--json"),
            sets="valid_until",
            path="not_after",
            remedy="The door must answer: `incident` if it does not.",
        ),
        Step(
            id="renew",
            title="Install the new certificate, authorities and revocation lists",
            why="the door reads certificate and authorities, the worker authorities and revocation lists",
            person="Have the certificate issued, put chain, authorities and lists into the bundle, sign and "
            "publish it.",
            remedy="`cji door check` refuses a key that does not belong to the certificate; nothing changes then.",
        ),
        instances(),
        restart_each(
            "the door and the worker take the new files; on a machine with a login, `systemctl reload cji-door` and "
            "`cji reload` do"
        ),
        Step(
            id="confirm",
            title="Confirm what the door shows",
            why="a submitter must be able to connect for the next days",
            command=(*_DOOR, "--days", "{days}"),
            verify=(
                Check(holds="the certificate is valid long enough", command=(*_DOOR, "--days", "{days}")),
                canary("the canary job is answered"),
            ),
            remedy="The door still has the old files: restart the instance that answered.",
        ),
    ),
    verification="The door shows a certificate that is valid for the wanted days, and the canary job is answered.",
    undo="Publish the previous bundle while its certificate is valid.",
    simulated="all steps, with a real door; a person's step by the simulator's operator",
)
