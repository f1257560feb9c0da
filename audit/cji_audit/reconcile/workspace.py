"""The logs of vaults in a Log Analytics workspace, by query."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cji_audit.errors import AuditError
from cji_audit.reconcile.entry import Entry, entry_of
from cji_core.https import SYSTEM_ROOTS

# Of either table, because a vault's diagnostic setting decides which one has its entries.
_QUERY: Final = """
union isfuzzy=true withsource=Table_
  (AZKVAuditLogs),
  (AzureDiagnostics | where ResourceProvider in~ ("MICROSOFT.KEYVAULT"))
| order by TimeGenerated asc
| take 100000
"""
_MOST: Final = 100_000
_MOST_BYTES: Final = 128 << 20  # the service sends at most 100 MB
_EXCHANGE_S: Final = 200.0  # the service ends a query after three minutes
_IDENTITY_S: Final = 30.0
_OVERLAP: Final = timedelta(minutes=20)
"""Entries may arrive late, so each query goes back this far; what was seen is left out by its digest."""


class WorkspaceError(AuditError):
    """The workspace cannot be queried."""

    code = "workspace-not-queried"
    remedy = "Check the id of the workspace, the sign-in and its role Log Analytics Reader."


class Workspace:
    """A workspace that is queried again and again, from `past` ago on."""

    def __init__(
        self,
        workspace: str,
        past: timedelta,
        *,
        endpoint: str | None = None,
        credential: Any = None,
        ca_file: str = SYSTEM_ROOTS,
    ) -> None:
        """`endpoint` is that of another cloud, such as https://api.loganalytics.us/v1."""
        try:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only where it is installed
            from azure.monitor.query import LogsQueryClient  # noqa: PLC0415

            from cji_core.azure_client import bounded_transport, client_options  # noqa: PLC0415
        except ImportError as error:
            raise WorkspaceError("Queries need azure-monitor-query: pip install azure-monitor-query") from error
        at = {} if endpoint is None else {"endpoint": endpoint}
        try:
            options = client_options(ca_file, seconds=_EXCHANGE_S, limit=_MOST_BYTES)
            of_identity = bounded_transport(ca_file, seconds=_IDENTITY_S, plain=True)
        except OSError as error:
            raise WorkspaceError(f"{ca_file} cannot be read") from error
        identity = credential or DefaultAzureCredential(transport=of_identity)
        self._client = LogsQueryClient(identity, **options, **at)
        self._workspace, self._from = workspace, datetime.now(UTC) - past

    def entries(self) -> Iterator[Entry]:
        """The entries since the last query, and some again. Raises WorkspaceError, LogError."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - loaded above

        now = datetime.now(UTC)
        try:
            answer = self._client.query_workspace(self._workspace, _QUERY, timespan=(self._from, now))
        except (
            AzureError,
            OSError,
            ValueError,
        ) as error:  # the client reads JSON from any refusal, a ValueError if it is none
            raise WorkspaceError(f"The workspace cannot be queried: {type(error).__name__}") from error
        tables = getattr(answer, "tables", None)
        if not tables:
            raise WorkspaceError("The workspace answered only in part: query a shorter time with --hours")
        rows = tables[0].rows
        if len(rows) >= _MOST:
            raise WorkspaceError("The workspace has more than 100 000 entries: query a shorter time with --hours")
        for number, row in enumerate(rows, 1):
            record = {
                name: value for name, value in zip(tables[0].columns, row, strict=True) if value not in (None, "")
            }
            found = entry_of(record, f"{self._workspace}, row {number} at {record.get('TimeGenerated')}")
            if found is not None:
                yield found
        self._from = now - _OVERLAP
