"""A records clerk links two files of somebody else in a browser, against a live worker on a simulated machine."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from cji_core.operations.link.labels import read_labels
from cji_simulator.site import Site
from tests.support.browser import Browser, browser
from tests.support.desk import Clerk, Served, desk_served

_LAST = ("García", "Muñoz", "Lefèvre", "Østergård", "Smith", "Nguyen", "O'Brien", "Jönsson")
_FIRST = ("José", "Inés", "Chloé", "Søren", "Mary", "Anh", "Seán", "Åsa", "Paul", "Rita")


def _people() -> list[dict[str, str]]:
    return [
        {
            "last": last,
            "first": first,
            "day": f"{1950 + 5 * n + m % 5:04}-{1 + m:02}-{10 + n:02}",
            "ssn": f"{100 + n}{10 + m}{1000 + 37 * n + m}",
        }
        for n, last in enumerate(_LAST)
        for m, first in enumerate(_FIRST)
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A text of a records system, in the code page of Windows with US dates; and a workbook of a jail."""
    folder, people = tmp_path_factory.mktemp("files"), _people()
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(["RecordID", "Last Name", "First Name", "Date of Birth", "SSN", "Remarks"])
    for n, one in enumerate(people):
        year, month, day = one["day"].split("-")
        writer.writerow([f"R{n:03}", one["last"], one["first"], f"{month}/{day}/{year}", one["ssn"], "<b>seen</b>"])
    writer.writerow(["R999", "=1+1", "Eve", "12/31/1999", "999887766", ""])
    (folder / "rms export.csv").write_bytes(text.getvalue().encode("windows-1252"))
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Booking ID", "Surname", "Given Name", "DOB", "Social Security Number"])
    for n, one in enumerate(people[::2]):
        sheet.append([f"J{n:03}", one["last"].upper(), one["first"].upper(), one["day"], one["ssn"]])
    for n, one in enumerate(people[1:12:2]):  # a name alone: for the clerk
        sheet.append([f"K{n:03}", one["last"], one["first"], None, None])
    book.save(folder / "jail.xlsx")
    return folder / "rms export.csv", folder / "jail.xlsx"


@pytest.fixture(scope="module")
def served(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The desk of a clerk."""
    with desk_served(site.profile, site.simulation.trust, tmp_path_factory.mktemp("clerk") / "CJI desk") as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def _replace_names(clerk: Clerk) -> str:
    """The first file again, by the suggested answers of another task; its result as CSV."""
    clerk.click("Task")
    clerk.see("What is to be done?")
    clerk.pick("Replace names and numbers by tokens")
    clerk.click("Continue")
    clerk.write("Project", "study-1")
    clerk.click("Continue: check everything")
    clerk.see("What the result still shows")
    clerk.click("Seal and run it")
    clerk.see("Verified.")
    clerk.click("Open as CSV")
    clerk.see("Opened as csv")
    return clerk.fetched("result.csv").decode()


def test_a_clerk_links_two_files(served: Served, chromium: Browser, files: tuple[Path, Path], tmp_path: Path) -> None:
    """Each page on the way has no violation of axe-core, light or dark, and fits a phone."""
    clerk, faults = Clerk(chromium=chromium, pictures=tmp_path), list[str]()
    chromium.open(served.opening)
    clerk.see("Start with your files")
    faults += clerk.look("home")
    clerk.click("Start with your files")
    clerk.see("Drop files here")
    clerk.drop(files)
    clerk.see("jail.xlsx")
    clerk.see("García")  # in the code page that is suggested
    clerk.see("as found: MM/DD/YYYY")
    faults += clerk.look("files")
    clerk.choose("Booking ID is sent as", "record_id")
    clerk.save("jail.xlsx")
    clerk.see("Some choices above are still open.")
    clerk.save("rms export.csv")
    clerk.see("Continue: choose the task")
    clerk.click("Continue: choose the task")
    clerk.see("What is to be done?")
    faults += clerk.look("task")
    clerk.write("Reason", "Warrants against bookings")
    clerk.pick("Replace names and numbers by tokens")
    clerk.click("Continue")
    clerk.see("What to do with each column")
    faults += clerk.look("questions")
    clerk.click("Back")
    clerk.see("What is to be done?")
    clerk.pick("Find the same people in two files")
    clerk.click("Continue")
    clerk.see("What will happen")
    clerk.see("It offers this task")
    clerk.see("Will the worker take it?")
    faults += clerk.look("check")
    clerk.click("Seal and run it")
    clerk.see("Verified.")
    clerk.click("Decide on pairs")
    clerk.see("Is this one person?")
    clerk.see("Same person (S)")
    faults += clerk.look("review")
    left = clerk.decide_all("sdu")
    clerk.see("Nothing is left to decide.")
    labels = served.desk.folder / "labels" / f"{served.desk.results.names()[0]}.csv"
    found_labels = read_labels(labels.read_bytes(), two_tables=True)
    assert [each.verdict for each in found_labels] == left
    clerk.click("Back to the result")
    clerk.click("Open as Excel")
    clerk.see("Opened as xlsx")
    faults += clerk.look("result")
    book = openpyxl.load_workbook(io.BytesIO(clerk.fetched("pairs.xlsx")))
    assert book.active is not None
    heads, *rows = [[cell.value for cell in row] for row in book.active.iter_rows()]
    found = {
        (row[heads.index("left_id")], row[heads.index("right_id")])
        for row in rows
        if row[heads.index("match")] == "true"
    }
    clerk.click("Open as CSV")
    clerk.see("Opened as csv")
    text = clerk.fetched("result.csv").decode()
    assert "'=1+1" in text
    assert ",=1+1" not in text  # no spreadsheet program takes it for a formula
    assert found >= {(f"R{2 * n:03}", f"J{n:03}") for n in range(len(_people()) // 2)}
    tokens = _replace_names(clerk)
    assert "Garc" not in tokens
    assert '"1950"' in tokens
    assert chromium.messages == []
    assert faults == []
