"""The worker's policy: a TOML file that denies everything that it does not list.

    submitter (certificate URI SAN, signing key, suites)
      -> agency (ORI, agreement with dates, jobs per day)
        -> purpose code
          -> operations
            -> data classes, recipients (key ids), escrow, secondary recipients, rows and bytes of a job

    file        the TOML file: its keys and their shapes
    columns     the decision on its sealed columns
    grant       what a job requests, the rule of an operation, and the grant of a job
    decision    the loaded policy, and the decision on one job
    changes     the difference between two policies
    signatures  who signed a policy file

docs/policy.md has the schema with an example.
"""

from typing import TYPE_CHECKING

from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_core.format.job.policy.changes import Change, Fact, Subject
    from cji_core.format.job.policy.columns import (
        ColumnKeysError,
        ReferenceUse,
        SealedColumns,
        require_column_use,
    )
    from cji_core.format.job.policy.decision import Agency, Policy, Submitter
    from cji_core.format.job.policy.file import OPERATIONS, PURPOSE_CODES, PolicyInvalid
    from cji_core.format.job.policy.grant import AccessRequest, Grant, Rule, access_request
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "OPERATIONS",
    "PURPOSE_CODES",
    "AccessRequest",
    "Agency",
    "Change",
    "ColumnKeysError",
    "Fact",
    "Grant",
    "Policy",
    "PolicyInvalid",
    "ReferenceUse",
    "Rule",
    "SealedColumns",
    "Subject",
    "Submitter",
    "access_request",
    "require_column_use",
]
