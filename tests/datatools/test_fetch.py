import hashlib
import socket

import numpy as np
import pytest

from keypoints.datatools import fetch as module
from keypoints.datatools.fetch import Patience, check_sum, fetch
from keypoints.errors import ConfigError, DataError
from tests.web import Answer, serve

FILE = np.random.default_rng(0).bytes(500_000)
SUM = hashlib.sha256(FILE).hexdigest()
TAG = {"ETag": '"1"'}
QUICK = Patience(attempts=3, pause=0.001, timeout=(2, 2))


@pytest.fixture
def web(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serve() as web:
        yield web


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file.zip"


def get(target, *urls, **how):
    fetch(urls, target, **{"most_bytes": 1_000_000, "patience": QUICK, **how})


def left(target):
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize(
    "answer",
    [
        Answer(FILE, headers=TAG),
        Answer(FILE),
        Answer(FILE, announces=-1),
        Answer(FILE, headers={"Content-Encoding": "gzip"}),  # some servers send this for each .gz file
    ],
    ids=["as it should be", "without a tag", "without its length", "said to be packed"],
)
def test_a_file_is_downloaded_without_leftovers(web, target, answer):
    get(target, web.lay("file", answer), sha256=SUM)
    assert target.read_bytes() == FILE
    assert left(target) == ["file.zip"]


def test_an_interrupted_download_is_resumed(web, target):
    broken = Answer(FILE, headers=TAG, sends=200_000)
    get(target, web.lay("file", broken, broken, Answer(FILE, headers=TAG)))
    assert target.read_bytes() == FILE
    first, second, third = web.ranges()
    assert first is None
    assert 0 < int(second[6:-1]) <= 200_000
    assert int(third[6:-1]) > int(second[6:-1])
    assert web.asked[1][1]["If-Range"] == '"1"'
    assert left(target) == ["file.zip"]


def test_the_next_call_resumes_the_partial_file(web, target):
    url = web.lay("file", Answer(FILE, headers=TAG, sends=300_000, announces=500_000), Answer(status=503))
    with pytest.raises(DataError, match=r"answers 503 .*kept in .*file\.zip\.part: run the same command"):
        get(target, url)
    assert left(target) == ["file.zip.part", "file.zip.part.json"]
    kept = (target.parent / "file.zip.part").read_bytes()
    assert kept == FILE[: len(kept)]
    web.lay("file", Answer(FILE, headers=TAG))
    get(target, web.lay("other", Answer(b"another file")), url)  # the address of the partial file comes first
    assert web.ranges()[-1] == f"bytes={len(kept)}-"
    assert target.read_bytes() == FILE


@pytest.mark.parametrize(
    "then",
    [
        Answer(FILE, headers=TAG, ranges=False),
        Answer(FILE, headers={"ETag": '"2"'}),
        Answer(FILE + b"longer", headers=TAG),
        Answer(FILE, headers=TAG, shift=5),
    ],
    ids=["ignores ranges", "has another version", "has another length", "sends another part"],
)
def test_a_rest_of_another_file_is_not_appended(web, target, then):
    get(target, web.lay("file", Answer(FILE[::-1], headers=TAG, sends=300_000), then))
    assert target.read_bytes() == then.contents


def test_without_tag_date_or_length_nothing_is_resumed(web, target):
    chunks = b"".join(b"10000\r\n" + FILE[at : at + 0x10000] + b"\r\n" for at in range(0, 0x30000, 0x10000))
    chunked = Answer(chunks, headers={"Transfer-Encoding": "chunked"}, announces=-1)
    get(target, web.lay("file", chunked, Answer(FILE)))
    assert web.ranges() == [None, None]
    assert target.read_bytes() == FILE


def test_a_date_is_used_without_a_strong_tag(web, target):
    dated = {"ETag": 'W/"1"', "Last-Modified": "Tue, 02 Mar 2004 12:00:00 GMT"}
    get(target, web.lay("file", Answer(FILE, headers=dated, sends=200_000), Answer(FILE, headers=dated)))
    assert web.asked[1][1]["If-Range"] == dated["Last-Modified"]
    assert target.read_bytes() == FILE


def test_a_complete_part_is_renamed_without_a_request(web, target):
    url = web.lay("file", Answer(FILE, headers=TAG, sends=300_000), Answer(status=404))
    with pytest.raises(DataError, match="kept in"):
        get(target, url)
    (target.parent / "file.zip.part").write_bytes(FILE)
    asked = len(web.asked)
    get(target, url)
    assert len(web.asked) == asked
    assert target.read_bytes() == FILE


@pytest.mark.parametrize("note", [None, "{", "[]", '{"url": "u"}'])
def test_a_part_of_unknown_origin_is_discarded(web, target, note):
    (target.parent / "file.zip.part").write_bytes(b"who knows")
    if note is not None:
        (target.parent / "file.zip.part.json").write_text(note)
    get(target, web.lay("file", Answer(FILE)))
    assert target.read_bytes() == FILE
    assert left(target) == ["file.zip"]


def test_a_server_that_sends_too_little_is_refused(web, target):
    with pytest.raises(DataError, match=r"/file: broke off after [\d,]+ of 600,000 bytes .*is kept in "):
        get(target, web.lay("file", Answer(FILE, ranges=False, announces=600_000)))
    assert web.ranges()[0] is None
    assert len(web.asked) == QUICK.attempts
    assert not target.exists()


def test_a_wrong_length_is_detected_by_the_checksum(web, target):
    url = web.lay("file", Answer(FILE, announces=400_000))
    with pytest.raises(DataError, match=f"has the sha256 .*, not {SUM}"):
        get(target, url, sha256=SUM)
    assert left(target) == []


def test_temporary_errors_are_retried_after_a_pause(web, target, monkeypatch):
    pauses = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    busy = Answer(status=503, headers={"Retry-After": "7"})
    get(target, web.lay("file", Answer(status=500), busy, Answer(FILE)), patience=Patience(pause=1.0))
    assert pauses == [1, 7]
    assert target.read_bytes() == FILE


@pytest.mark.parametrize(("status", "times"), [(404, 1), (403, 1), (204, 1), (500, 3), (429, 3)])
def test_permanent_errors_are_reported(web, target, status, times):
    with pytest.raises(DataError, match=f"/file: answers {status} ") as caught:
        get(target, web.lay("file", Answer(status=status)))
    assert len(web.asked) == times
    assert "\n" not in str(caught.value)
    assert left(target) == []


def test_the_second_address_is_tried_if_the_first_fails(web, target):
    get(target, web.lay("gone", Answer(status=404)), web.lay("mirror", Answer(FILE)))
    assert target.read_bytes() == FILE
    wrong = web.lay("wrong", Answer(b"another file"))
    get(target, wrong, web.lay("mirror", Answer(FILE)), sha256=SUM.upper())
    assert target.read_bytes() == FILE


def test_a_refused_connection_has_a_short_message(target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
        with pytest.raises(DataError, match=r"/file: Failed to establish .*refused$"):
            get(target, url)


def test_a_silent_server_times_out(target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(DataError, match="/file: Read timed out"):
            get(target, url, patience=Patience(attempts=2, pause=0.001, timeout=(0.1, 0.1)))


def redirect(address):
    return Answer(status=302, headers={"Location": address})


def test_redirects_are_followed_only_to_http(web, target, tmp_path):
    get(target, web.lay("old", redirect(web.lay("new", Answer(FILE)))))
    assert target.read_bytes() == FILE
    target.unlink()
    (tmp_path / "secret").write_text("secret")
    for address in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/file", "gopher://127.0.0.1/file"):
        with pytest.raises(DataError, match="/old: cannot be followed") as caught:
            get(target, web.lay("old", redirect(address)))
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="/circle: cannot be followed"):
        get(target, web.lay("circle", redirect("/circle")))
    assert left(target) == ["secret"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "www.example.org/a", ""])
def test_an_address_of_another_protocol_is_refused(target, url):
    with pytest.raises(ConfigError, match="url begins with http:// or https://"):
        get(target, url)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://a b:c/"])
def test_a_malformed_address_is_refused(target, url):
    with pytest.raises(DataError, match=r"cannot be followed|Failed to"):
        get(target, url)


@pytest.mark.parametrize("announces", [None, -1])
def test_a_file_larger_than_expected_is_refused(web, target, announces):
    url = web.lay("file", Answer(FILE, announces=announces))
    with pytest.raises(DataError, match="400,000"):
        get(target, url, most_bytes=400_000)
    assert left(target) == []


def test_missing_disk_space_is_reported_before_the_download(web, target, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match="has 1,000 bytes free, but 500,000 are needed; free some space"):
        get(target, web.lay("file", Answer(FILE)))


def test_an_interrupt_reports_the_partial_file(web, target, monkeypatch, caplog):
    url = web.lay("file", Answer(FILE, headers=TAG, sends=300_000))

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(target, url)
    assert "kept in" in caplog.text
    assert left(target) == ["file.zip.part", "file.zip.part.json"]


def test_checksums_ignore_upper_and_lower_case(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(FILE)
    check_sum(path, None)
    check_sum(path, SUM.upper())
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        check_sum(path, "abc")
