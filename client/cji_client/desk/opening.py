"""The way into the desk: a file that only this user can read, whose form sends the one-time token.

The command line of a browser shows the file's name to every user of the machine, and an address stays in its history;
so the token is in neither. The file is removed once the token was used, or is too old.
"""

import base64
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from cji_client.desk.access import Access
from cji_core.page.markup import document, element

_SCRIPT: Final = "document.forms[0].submit();"


def runtime_folder() -> Path:
    """A new folder for this user alone (0700), in memory where the system has a place for that."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(tempfile.mkdtemp(prefix="cji-desk-", dir=base if base and Path(base).is_dir() else None))


def write_opening(folder: Path, access: Access) -> Path:
    """Write the file (0600)."""
    path = folder / "open-desk.html"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(_page(access))
    return path


def _page(access: Access) -> list[str]:
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; form-action {access.origin}; base-uri 'none'"
    script = element("script")
    script.text = _SCRIPT
    head = (
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("title", "CJI desk"),
    )
    form = element(
        "form",
        element("input", type="hidden", name="token", value=access.token or ""),
        element("button", "Open the desk", type="submit"),
        method="post",
        action=f"{access.origin}{access.door}",
        autocomplete="off",
    )
    return list(document(head, [element("main", form), script]))
