"""Offline checks of everything in `deploy/`: `python -m cji_deploy.check`.

Contract: `run` checks a deploy folder and returns an outcome for each check and subject: ok, failed, or not run with
the reason. Nothing is sent anywhere. The README next to this package lists what only Azure can check.
"""

from cji_deploy.check.outcome import Outcome, Status
from cji_deploy.check.run import run

__all__ = ["Outcome", "Status", "run"]
