"""The desk over HTTP: every known attack on a server of loopback, without a browser and without a worker."""

import io
import stat
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from cji_attestation import AZURE_US
from cji_attestation.appraisal import ReferenceValues
from cji_client.desk import state
from cji_client.desk.server import HEADERS, MOST_FORM_BYTES
from cji_client.profile import ClientProfile
from cji_core.format.keys import new_recipient_key, new_signing_key, save_private_key
from tests.support.desk import Answer, Served, desk_served

CANARY = "<script>document.title='taken'</script>"
PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> ClientProfile:
    """A profile whose keys are in files with a passphrase. No worker is at its address."""
    folder = tmp_path_factory.mktemp("profile")
    save_private_key(new_signing_key(), folder / "signing.key", passphrase=PASSPHRASE)
    save_private_key(new_recipient_key(), folder / "recipient.key", passphrase=PASSPHRASE)
    return ClientProfile(
        target="127.0.0.1:1",
        cloud="azure-us",
        maa_url="https://maa.example",
        ca="ca.pem",
        certificate="client.pem",
        private_key="client.key",
        signing_key=str(folder / "signing.key"),
        recipient_key=str(folder / "recipient.key"),
        reference=ReferenceValues(),
    )


@pytest.fixture
def served(profile: ClientProfile, tmp_path: Path) -> Iterator[Served]:
    with desk_served(profile, AZURE_US, tmp_path / "CJI desk") as found:
        yield found


def upload(served: Served, cookie: str, name: str, data: bytes, **headers: str) -> Answer:
    body = (
        f'--cji\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n--cji--\r\n"
    )
    given = {"Cookie": cookie, "Origin": served.access.origin, "Content_Type": "multipart/form-data; boundary=cji"}
    given |= headers
    return served.ask(f"{served.access.folder}/files", method="POST", body=body, **given)


def test_a_request_without_the_cookie_gets_nothing(served: Served) -> None:
    cookie = served.enter()
    for path in ("", "files", "task", "results", "desk.css", "results/x/report"):
        answer = served.ask(f"{served.access.folder}/{path}")
        assert (answer.status, served.access.folder in answer.text) == (403, False), path
    assert served.ask("/").status == 404
    assert served.ask(f"{served.access.folder}/files", Cookie=cookie).status == 200
    assert served.ask(f"{served.access.folder}/files", Cookie=f"{cookie[:-1]}!").status == 403


def test_a_token_that_was_used_lets_nobody_in(served: Served) -> None:
    page = served.opening.read_text()
    served.enter()
    assert not served.opening.exists()
    served.opening.write_text(page)
    with pytest.raises(AssertionError, match="403"):
        served.enter()


def test_only_the_user_can_read_the_way_in(served: Served) -> None:
    assert stat.S_IMODE(served.opening.stat().st_mode) == 0o600
    assert stat.S_IMODE(served.opening.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((served.desk.folder / "results").stat().st_mode) == 0o700
    token = served.access.token
    assert token is not None
    assert token not in str(served.opening)


def test_the_desk_of_one_user_is_closed_to_the_next(profile: ClientProfile, served: Served, tmp_path: Path) -> None:
    mine = served.enter()
    with desk_served(profile, AZURE_US, tmp_path / "other") as other:
        theirs = other.enter()
        assert other.ask(f"{other.access.folder}/", Cookie=mine).status == 403
        assert served.ask(f"{served.access.folder}/", Cookie=theirs).status == 403


def test_the_cookie_is_bound_to_path_and_site(served: Served) -> None:
    token = served.access.token
    answer = served.ask(
        served.access.door, method="POST", body=f"token={token}".encode(), Origin="null",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    attributes = {each.strip() for each in answer.headers["set-cookie"].split(";")[1:]}
    assert attributes == {"HttpOnly", f"Path={served.access.folder}/", "SameSite=Strict"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
def test_a_request_that_another_site_sent_does_nothing(served: Served, headers: dict[str, str], status: int) -> None:
    cookie = served.enter()
    assert upload(served, cookie, "a.csv", b"last\nDoe\n", **headers).status == status
    assert served.desk.tables == []
    assert upload(served, cookie, "a.csv", b"last\nDoe\n").status == 303
    assert len(served.desk.tables) == 1


def test_every_answer_has_the_headers(served: Served) -> None:
    cookie = served.enter()
    at = served.access.folder
    answers = {
        200: served.ask(f"{at}/files", Cookie=cookie),
        303: served.ask(f"{at}/check", Cookie=cookie),
        403: served.ask(f"{at}/files"),
        404: served.ask(f"{at}/nothing", Cookie=cookie),
        405: served.ask(f"{at}/quit", Cookie=cookie),
        421: served.ask(f"{at}/files", Host="evil.example"),
    }
    for status, answer in answers.items():
        assert answer.status == status
        assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/results/..%2f..%2f/report", "/results/%2e%2e/opened/csv/x"],
)
def test_no_path_leaves_the_desk(served: Served, path: str) -> None:
    cookie = served.enter()
    assert served.ask(served.access.folder + path, Cookie=cookie).status in (403, 404)


def test_markup_in_names_and_values_is_text(served: Served) -> None:
    cookie = served.enter()
    data = f'"last{CANARY}",first,dob\r\n"{CANARY}","a\'><img src=x onerror=alert(1)>",02/03/1982\r\n'.encode()
    assert upload(served, cookie, "<img src=x>.csv", data).status == 303
    text = served.ask(f"{served.access.folder}/files", Cookie=cookie).text
    assert CANARY in unescape(text)
    assert not any(each in text for each in (CANARY, "<img", "alert(1)>"))
    assert "02/03/1982" in text


def test_forms_keep_and_complete_nothing(served: Served) -> None:
    cookie = served.enter()
    upload(served, cookie, "a.csv", b"last,dob\nDoe,02/14/1982\n")
    for path in ("", "files", "task"):
        text = served.ask(f"{served.access.folder}/{path}", Cookie=cookie).text
        forms = [each.partition(">")[0] for each in text.split("<form ")[1:]]
        assert forms
        assert all('autocomplete="off"' in each and 'spellcheck="false"' in each for each in forms)


def test_what_is_too_large_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = served.enter()
    monkeypatch.setattr(state, "MOST_BYTES", 1000)
    assert upload(served, cookie, "a.csv", b"last\n" + b"x" * 1000).status == 303
    assert served.desk.tables == []
    assert "too large for this page" in served.ask(f"{served.access.folder}/files", Cookie=cookie).text
    body = b"x" * (MOST_FORM_BYTES + 1)
    answer = served.ask(
        f"{served.access.folder}/task", method="POST", body=body, Cookie=cookie, Origin=served.access.origin
    )
    assert answer.status == 413
    assert upload(served, cookie, "program.exe", b"MZ").status == 303
    assert "program.exe is not a kind of file" in served.ask(f"{served.access.folder}/files", Cookie=cookie).text
    for n in range(state.MOST_FILES + 1):
        upload(served, cookie, f"{n}.csv", b"last\n")
    assert len(served.desk.tables) == state.MOST_FILES


def test_a_file_of_which_a_part_is_lost_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return super().write(data[:-1])

    cookie, new = served.enter(), served.desk.memory.new
    monkeypatch.setattr(served.desk.memory, "new", lambda name: (new(name)[0], Full()))
    assert upload(served, cookie, "a.csv", b"last\nDoe\n").status == 303
    assert served.desk.tables == []
    assert "no room for a.csv" in served.ask(f"{served.access.folder}/files", Cookie=cookie).text


def test_an_unknown_error_shows_no_text_of_its_own(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = served.enter()

    def fail() -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(served.desk.keys, "unlock", lambda _: fail())
    answer = served.ask(
        f"{served.access.folder}/unlock", method="POST", body=b"passphrase=x", Cookie=cookie,
        Origin=served.access.origin, Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert (answer.status, "taken" in answer.text) == (500, False)
    assert "the desk failed (RuntimeError)" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_keys_with_a_passphrase_are_unlocked_on_the_page(served: Served) -> None:
    cookie = served.enter()
    home = f"{served.access.folder}/"
    assert "Passphrase" in served.ask(home, Cookie=cookie).text
    given = {"Cookie": cookie, "Origin": served.access.origin, "Content_Type": "application/x-www-form-urlencoded"}
    served.ask(f"{home}unlock", method="POST", body=b"passphrase=wrong", **given)
    assert "This did not work" in served.ask(home, Cookie=cookie).text
    served.ask(f"{home}unlock", method="POST", body=b"passphrase=correct+horse", **given)
    assert "Start with your files" in served.ask(home, Cookie=cookie).text
    assert served.desk.keys.signer is not None


def test_quit_removes_the_records(served: Served) -> None:
    cookie = served.enter()
    upload(served, cookie, "a.csv", b"last\nDoe\n")
    (table,) = served.desk.tables
    assert table.path.read_bytes() == b"last\nDoe\n"
    answer = served.ask(f"{served.access.folder}/quit", method="POST", Cookie=cookie, Origin=served.access.origin)
    assert "The desk is closed" in answer.text
    assert served.ended.wait(60)
    assert not table.path.exists()
    assert served.desk.tables == []


def test_an_idle_desk_ends(profile: ClientProfile, tmp_path: Path) -> None:
    now = [0.0]
    with desk_served(profile, AZURE_US, tmp_path / "CJI desk", idle_seconds=60, clock=lambda: now[0]) as served:
        served.enter()
        now[0] = 61
        assert served.ended.wait(60)
