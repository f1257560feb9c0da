"""The checks of `cji doctor` on this machine, and on the configuration of a worker."""

from functools import partial
from pathlib import Path

import click

from cji_attestation import is_production
from cji_attestation.verbs.trusts import trust_named, trusts_of
from cji_core.command.findings import Finding, run_check
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import load
from cji_worker.verbs.configured_checks import configured_checks
from cji_worker.verbs.log_check import check_log
from cji_worker.verbs.machine_checks import host_checks, machine_checks


def checked(context: click.Context, config: Path | None, delivery: Path | None) -> list[Finding]:
    """The findings on this machine and, if there is one, on a configuration, and on the deliverer's of its trail."""
    findings = machine_checks(production=any(map(is_production, trusts_of(context).values())))
    if delivery is not None:
        findings.append(run_check("agency's log", partial(check_log, delivery)))
    if config is not None:
        return findings + _of_config(context, config)
    absent = Finding(
        name="configuration", state="not run", found="no --config given", remedy="Give one to check it all."
    )
    return [*findings, *host_checks(None, None), absent]


def _of_config(context: click.Context, path: Path) -> list[Finding]:
    try:
        config = load(path)
        trust = trust_named(context, config.cloud)
    except StartupError as error:
        return [Finding(name="configuration", state="failed", found=error.what, remedy=error.remedy)]
    except click.ClickException as error:
        return [Finding(name="configuration", state="failed", found=error.message, remedy="")]
    return [
        *host_checks(config, trust),
        Finding(name="configuration", state="ok", found=str(path), remedy=""),
        *configured_checks(config, trust),
    ]
