import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.job import LIMITS
from cji_core.pool.documents import DocumentError, Failure, Progress, Published, decode, decode_submission, encode
from cji_core.wire.v1 import worker_pb2 as pb

AT = "2026-11-24T15:00:00.12Z"


@pytest.mark.parametrize(
    "document",
    [
        Published(attempt="ab" * 16, receipt="a.b.c"),
        Failure(failure="a.b.c"),
        Progress(attempt="ab" * 16, stage="compute", per_cent=7, at=AT),
    ],
)
def test_a_document_is_read_as_it_was_written(document: Published | Failure | Progress) -> None:
    assert decode(encode(document), type(document)) == document


@pytest.mark.parametrize(
    "change", [{"stage": "\x1b]0;owned\x07"}, {"stage": "[/bold]"}, {"at": "2026-11-24 [red]15:00:00"}, {"stage": ""}]
)
def test_progress_has_no_text_for_a_terminal(change: dict[str, str]) -> None:
    data = {"attempt": "ab" * 16, "stage": "compute", "per_cent": 7, "at": AT} | change
    with pytest.raises(DocumentError):
        decode(json.dumps(data).encode(), Progress)


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(data: bytes) -> None:
    for kind in (Published, Failure, Progress):
        with pytest.raises(DocumentError):
            decode(data, kind)


@pytest.mark.parametrize(
    "data", [b'{"attempt":"ab","receipt":"a.b.c"}', b'{"attempt":"' + b"ab" * 16 + b'","receipt":"a.b.c","url":"x"}']
)
def test_a_document_has_no_other_member(data: bytes) -> None:
    with pytest.raises(DocumentError):
        decode(data, Published)


def test_a_submission_is_bounded() -> None:
    good = pb.Submission(header=b"h", signature=b"s", submitter="spiffe://a")
    assert decode_submission(good.SerializeToString()) == good
    for bad in (
        pb.Submission(signature=b"s", submitter="a"),
        pb.Submission(header=b"h", submitter="a"),
        pb.Submission(header=b"h", signature=b"s"),
        pb.Submission(header=bytes(LIMITS.header_bytes + 1), signature=b"s", submitter="a"),
        pb.Submission(header=b"h", signature=bytes(LIMITS.signature_bytes + 1), submitter="a"),
        pb.Submission(header=b"h", signature=b"s", submitter="a" * 513),
    ):
        with pytest.raises(DocumentError):
            decode_submission(bad.SerializeToString())
    with pytest.raises(DocumentError):
        decode_submission(b"\xff\xff")


@given(st.binary(max_size=200))
def test_no_submission_is_worse_than_refused(data: bytes) -> None:
    try:
        found = decode_submission(data)
    except DocumentError:
        return
    assert found.header
    assert found.submitter
