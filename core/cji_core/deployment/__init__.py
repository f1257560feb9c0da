"""A deployment in Azure compared with its description: `expected.json`, which deploy/ generates, and an export.

`compare` returns one result for each requirement and resource. It knows no network: an export is a file.
"""

from cji_core.deployment.drift import Result, compare
from cji_core.deployment.expected import expected
from cji_core.deployment.export import ExportError, read_export

__all__ = ["ExportError", "Result", "compare", "expected", "read_export"]
