"""Small tables for notebooks: without values of records, since notebooks are saved and sent."""

from collections.abc import Mapping
from html import escape


def card(title: str, rows: Mapping[str, str]) -> str:
    """A table with a caption, as HTML; rows without a value are left out."""
    body = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows.items()
        if value
    )
    return f'<table><caption style="text-align:left">{escape(title)}</caption><tbody>{body}</tbody></table>'
