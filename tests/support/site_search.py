"""`python -m tests.support.site_search build/site`: what the site's search finds first, with pages opened as files.

Each query of `EXPECTED` is typed into the search of one page in Chromium, without a server. Printed is each query whose
first hit is another page; the exit status is 1 if there is one.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.browser import Browser, browser

EXPECTED: Final[Mapping[str, str]] = {
    "link threshold": "docs/operations/link-deciding.html",
    "blocking rule": "docs/operations/link-deciding.html",
    "splink model": "docs/operations/link-models.html",
    "label file": "docs/operations/link-labels.html",
    "deidentify": "docs/operations/deidentify.html",
    "small classes": "docs/operations/deidentify-small-classes.html",
    "redact": "docs/operations/redact.html",
    "row status": "docs/operations/row-status.html",
    "Return A": "docs/operations/aggregate-forms.html",
    "hot files": "docs/operations/screen.html",
    "mistakes": "docs/mistakes.html",
    "azure sql": "docs/how-to/azure-sql.html",
    "first day": "docs/first-day.html",
}
"""The first page that a reader should see, by query."""

_ASK: Final = """
(query => new Promise(resolve => {
  const field = document.querySelector('.md-search__input');
  const list = document.querySelector('.md-search-result__list');
  const before = list.innerHTML, began = Date.now();
  field.value = query;
  field.dispatchEvent(new KeyboardEvent('keyup'));
  const poll = setInterval(() => {
    const link = list.querySelector('a.md-search-result__link');
    if (Date.now() - began > 10000) { clearInterval(poll); resolve(null); }
    if (link && list.innerHTML !== before) { clearInterval(poll); resolve(link.href.split(/[?#]/)[0]); }
  }, 50);
}))
"""


def hits(chromium: Browser, site: Path) -> Iterator[tuple[str, str | None]]:
    """Each query, and the page of its first hit, below the site; None where there is none within ten seconds."""
    chromium.open(site / "index.html", width=1280)
    chromium.evaluate("document.getElementById('__search').click()")  # the index is loaded when the search is opened
    for query in EXPECTED:
        found = chromium.evaluate(f"({_ASK})({query!r})")
        yield query, found and found.removeprefix(f"{site.as_uri()}/")


def main() -> int:
    """Search the site in the folder that the command names."""
    site = Path(sys.argv[1]).resolve()
    with TemporaryDirectory() as profile, browser(Path(profile)) as chromium:
        wrong = [(query, found) for query, found in hits(chromium, site) if found != EXPECTED[query]]
    for query, found in wrong:
        print(f"{query!r} finds {found} first, not {EXPECTED[query]}", file=sys.stderr)
    print(f"{len(EXPECTED) - len(wrong)} of {len(EXPECTED)} queries find their page first")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
