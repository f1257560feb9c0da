"""Offline checks of everything in `deploy/`: `python -m deploy.check`.

Contract: `run` judges a deploy folder and returns an outcome for each check and subject: ok, failed, or not run
with the reason. Nothing is sent anywhere. What only Azure can judge is in the README beside this package.
"""

from deploy.check.outcome import DeployError, Outcome, Status
from deploy.check.run import run

__all__ = ["DeployError", "Outcome", "Status", "run"]
