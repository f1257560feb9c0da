"""The page in words: why, what helps, what is left, and nothing that could become markup."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import get_args
from xml.etree.ElementTree import Element, tostring

import msgspec
import pytest

from cji_core.errors import REASONS, Reason
from cji_core.page.markup import number
from cji_core.page.timeline import columns
from cji_worker.console.diagnosis import causes, headline
from cji_worker.console.expiry import EXPIRING, SUBJECTS, left
from cji_worker.console.page import document, period, size
from cji_worker.console.view import Destination, View
from cji_worker.host import CATALOGUE, PROFILE, HostReport
from cji_worker.ipc.messages import Condition, FrontReport, JobCounts, KeyholderReport
from tests.support.console_tools import KEYHOLDER, NO_KEY, NOT_SERVING, NOW, SICK, SILENT, VIEW, status


def text_of(view: View) -> str:
    """The visible words."""
    body = document(view).partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def seen(**changes: object) -> View:
    return replace(VIEW, status=status(**changes))


def not_serving(keyholder: KeyholderReport | None = KEYHOLDER, front: FrontReport | None = NOT_SERVING) -> View:
    return seen(keyholder=keyholder, front=front)


def with_reason(reason: Reason) -> View:
    return not_serving(msgspec.structs.replace(KEYHOLDER, reason=reason))


def test_rows_are_called_stated_by_the_cells() -> None:
    assert "rows out in the last hour, stated by the cells" in text_of(VIEW)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_remedy_on_the_page(reason: Reason) -> None:
    found = text_of(with_reason(reason))
    assert f"The worker states {reason}." in found
    assert REASONS[reason].remedy in found


@pytest.mark.parametrize(
    ("view", "what", "remedy"),
    [
        (SILENT, "No worker answers", "systemctl status cji-worker"),
        (View(at=NOW, silence="supervisor silent"), "supervisor has not reported", "systemd restarts"),
        (View(at=NOW, silence="not understood"), "does not have the form", "same installation"),
        (seen(draining=True), "finishes its jobs", "Nothing: no new job"),
        (not_serving(NO_KEY), "No key can be used: KEY_RELEASE_DENIED", REASONS[Reason.KEY_RELEASE_DENIED].remedy),
        (not_serving(None, None), "is starting", "Wait a moment"),
        (
            not_serving(msgspec.structs.replace(KEYHOLDER, audit_writable=False, reason=Reason.AUDIT_UNAVAILABLE)),
            "trail cannot be written",
            "Restore it",
        ),
        (
            not_serving(front=msgspec.structs.replace(NOT_SERVING, crl_until=int(NOW.timestamp()))),
            "revocation list has expired",
            "cji reload",
        ),
        (
            seen(
                front=NOT_SERVING,
                keyholder=msgspec.structs.replace(KEYHOLDER, unmet=("swap",)),
                host=HostReport(not_held=("swap",), profile=PROFILE),
            ),
            "swap: this machine must not swap",
            CATALOGUE["swap"].remedy,
        ),
    ],
)
def test_the_cause_and_what_helps_are_on_the_page(view: View, what: str, remedy: str) -> None:
    found = text_of(view)
    assert what in found
    assert remedy in found
    assert "Jobs are admitted" not in found


def test_a_serving_worker_has_no_cause() -> None:
    assert causes(VIEW) == []
    assert headline(VIEW) == "Serving"
    assert "Jobs are admitted" in text_of(VIEW)


@pytest.mark.parametrize("condition", get_args(Condition))
def test_every_condition_has_a_cause_and_a_remedy(condition: Condition) -> None:
    view = replace(VIEW, status=msgspec.structs.replace(status(front=NOT_SERVING), condition=condition))
    named = {"trail": "trail", "anchor": "vTPM", "delivery": "destination", "cells": "cell", "ledger": "ledger"}
    (found,) = causes(view)[:1]
    assert named.get(condition, condition.removesuffix("-silent") if "-silent" in condition else "") in found.what
    assert found.remedy


# ------------------------------------------------------------------ expiry


def test_every_subject_has_one_row() -> None:
    assert tuple(each.subject for each in EXPIRING) == SUBJECTS
    assert [each.of.subject for each in left(VIEW)] == list(SUBJECTS)
    assert all(0 < each.warn_s < each.span_s for each in EXPIRING)
    assert not [*left(SILENT)]


@pytest.mark.parametrize("expiring", EXPIRING, ids=lambda each: each.subject)
def test_a_warning_comes_with_its_remedy_and_not_before(expiring: object) -> None:
    (row,) = [each for each in EXPIRING if each is expiring]
    (found,) = [each for each in left(VIEW) if each.of is row]
    for before, urgent in ((row.warn_s + 1, False), (row.warn_s, True), (0, True), (-5, True)):
        view = replace(VIEW, at=found.end - timedelta(seconds=before))
        (then,) = [each for each in left(view) if each.of is row]
        assert (then.seconds, then.urgent) == (before, urgent)
        assert (row.remedy in text_of(view)) is urgent
    assert "expired 5.0 s ago" in text_of(replace(VIEW, at=found.end + timedelta(seconds=5)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (42, "42 s"),
        (95, "1 min 35 s"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (90000, "1 d 1 h"),
        (200000, "2 days"),
    ],
)
def test_periods_have_two_units(seconds: float, text: str) -> None:
    assert period(seconds) == text


def words(part: Element | str) -> str:
    return part if isinstance(part, str) else "".join(part.itertext())


def test_amounts_have_one_unit() -> None:
    assert [words(size(n)) for n in (0, 999, 1500, 2.5e6, 3e9, 4e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
        "4.0 TB",
    ]
    assert words(number(1234567)) == "1\u2009234\u2009567"


# ------------------------------------------------------------------ jobs


def test_refusals_are_ordered_by_how_often() -> None:
    rows = re.findall(r">(POLICY_DENIED|OVERLOADED|DEADLINE|REPLAYED)<", document(VIEW))
    assert rows == ["POLICY_DENIED", "OVERLOADED", "DEADLINE", "REPLAYED"]
    none = seen(keyholder=msgspec.structs.replace(KEYHOLDER, jobs=JobCounts()))
    assert "Nothing was refused since the start." in text_of(none)
    assert "No job has ended since the start." in text_of(none)


def test_the_hour_has_sixty_columns_and_says_what_was_seen() -> None:
    assert "minutes were seen" not in text_of(VIEW)
    assert "2 of 60 minutes were seen." in text_of(replace(VIEW, minutes=VIEW.minutes[-2:]))


def test_columns_fill_their_chart() -> None:
    drawn = tostring(
        columns([(3, 1), (0, 0), (2, 0)], unit="jobs a minute", first="then", last="now"), encoding="unicode"
    )
    heights = [float(each) for each in re.findall(r'class="(?:for|against)" height="([0-9.]+)"', drawn)]
    assert heights == [74.25, 24.75, 49.5]
    assert 'aria-label="jobs a minute: 6 in all, 4 at most"' in drawn
    empty = tostring(columns([(0, 0)] * 3, unit="jobs", first="then", last="now"), encoding="unicode")
    assert "height" in empty


# ------------------------------------------------------------------ hostile texts

NASTY = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"


def test_texts_of_others_cannot_become_markup() -> None:
    hostile = msgspec.structs.replace(status(), worker=NASTY, version=NASTY)
    key = msgspec.structs.replace(NO_KEY.keys_missing[0], kek_id=NASTY)
    hostile = msgspec.structs.replace(hostile, keys_missing=(key,), keys=())
    where = Destination(kind="sink", name=NASTY, line=1, waiting_since=None)
    page = document(replace(VIEW, status=hostile, destinations=(where,)))
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "\u202e" not in page
    assert page.count("alert(1)") >= 3


def test_only_the_scripts_digest_is_allowed() -> None:
    page = document(SICK)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'; "
        r"script-src 'sha256-[^']+'; connect-src 'self'",
        policy[1],
    )
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
