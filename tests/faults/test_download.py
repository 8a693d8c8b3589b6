"""Downloads from servers that work, and from those that break off, stall, send false headers or other files."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import random
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dataset_helpers import BINARY10, PYTHON10, tarred
from helpers import message_of
from image_helpers import im2rec, names_in, until

from im2rec.datasets import download
from im2rec.datasets.download import MAX_RESPONSES, FetchOptions, fetch, fetch_set, missing
from im2rec.datasets.sets import SETS, KnownSet, RemoteFile
from im2rec.errors import InputError, OutputError, ParameterError
from im2rec.progress import BYTE, Phase

pytestmark = pytest.mark.usefixtures("no_proxy")

CONTENT = random.Random(1).randbytes(300_000)
FILE = RemoteFile("some.tar.gz", len(CONTENT), hashlib.md5(CONTENT).hexdigest())
QUICK = FetchOptions(timeout_s=10.0, pause_s=0.0)
OR_ELSE = "or name a server with --mirror, or files with --from)"
Behaviour = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds by the server's ``behaviour`` and records every request."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Range"]))
        with contextlib.suppress(ConnectionError):
            self.server.behaviour(self)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    @property
    def start(self) -> int:
        """The offset at which the requested range starts."""
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def answer(self, code: int, body: bytes, **headers: object) -> None:
        self.send_response(code)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def part(self, content: bytes, *, max_bytes: int | None = None) -> None:
        """Send the requested range of *content*; the connection ends after *max_bytes* bytes of it."""
        start = self.start
        if start >= len(content):
            self.answer(416, b"", Content_Range=f"bytes */{len(content)}")
            return
        length = len(content) - start
        content_range = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self.answer(206 if start else 200, content[start:][:max_bytes], Content_Length=length, **content_range)


class Server(socketserver.ThreadingTCPServer):
    """A server on this machine; not an HTTPServer, which asks the network for its name."""

    daemon_threads = True

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.requests: list[tuple[str, str | None]] = []
        self.stop = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    @property
    def ranges(self) -> list[str | None]:
        return [range_ for _, range_ in self.requests]


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    with Server(behaviour) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.stop.set()  # ends a handler that stalls
            server.shutdown()
            thread.join()


def good(handler: Handler) -> None:
    handler.part(CONTENT)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Use each of *behaviours* for one request, then the last one."""

    def behave(handler: Handler) -> None:
        behaviours[min(len(handler.server.requests), len(behaviours)) - 1](handler)

    return behave


def check(folder: Path) -> None:
    """Check that *folder* contains the right file and nothing else."""
    assert [FILE.name] == names_in(folder)
    assert CONTENT == (folder / FILE.name).read_bytes()


# Servers that work.


def test_a_file_is_downloaded_once_and_then_taken_from_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "cache"
    with serving(good) as server:
        for _ in range(2):
            assert folder / FILE.name == fetch(FILE, server.address.rstrip("/"), folder, QUICK)
        assert [(f"/{FILE.name}", None)] == server.requests
    check(folder)


def test_progress_counts_the_bytes_of_all_files(tmp_path: Path) -> None:
    files = (FILE, RemoteFile("other", 5, hashlib.md5(b"other").hexdigest()))
    contents = {f"/{FILE.name}": CONTENT, "/other": b"other"}
    calls: list[tuple[int, float]] = []
    with serving(lambda handler: handler.part(contents[handler.path])) as server:
        known = KnownSet("Some", server.address, files, {})
        assert [file.name for file in files] == [file.name for file in missing(known, tmp_path)]
        paths = fetch_set(known, tmp_path, QUICK, progress=lambda *now: calls.append(now))

    assert [tmp_path / file.name for file in files] == paths
    assert [] == missing(known, tmp_path)
    assert sorted(calls) == calls
    assert (300_005, 1.0) == calls[-1]


def test_progress_begins_with_the_bytes_that_earlier_runs_have_left(tmp_path: Path) -> None:
    phases: list[Phase] = []

    class Phases:
        def __call__(self, _count: int, _share: float) -> None:
            pass

        def begin_phase(self, phase: Phase) -> None:
            phases.append(phase)

    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[: len(CONTENT) // 4])
    with serving(good) as server:
        known = KnownSet("Some", server.address, (FILE,), {})
        for _ in range(2):  # the second time, nothing is left to fetch
            fetch_set(known, tmp_path, QUICK, progress=Phases())

    assert [Phase("fetching", BYTE, count=len(CONTENT) // 4, share=0.25)] == phases


def test_a_mirror_replaces_the_published_address(tmp_path: Path) -> None:
    with serving(good) as server:
        known = KnownSet("Some", "http://127.0.0.1:9/", (FILE,), {})
        fetch_set(known, tmp_path, FetchOptions(mirror=f"{server.address}deep/er/"))
        assert [(f"/deep/er/{FILE.name}", None)] == server.requests
    with pytest.raises(ParameterError, match="--mirror file:///x: must start with http:// or https://"):
        FetchOptions(mirror="file:///x")


# Resuming.


@pytest.mark.parametrize("there", [0, 1, 65_535, 65_536, 65_537, 150_000, len(CONTENT) - 1, len(CONTENT)])
def test_a_download_resumes_after_the_bytes_that_are_there(tmp_path: Path, there: int) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[:there])
    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert {0: [None], len(CONTENT): []}.get(there, [f"bytes={there}-"]) == server.ranges
    check(tmp_path)


@pytest.mark.parametrize("each", [20_000, 65_536, 100_000, 299_999])
def test_a_server_that_breaks_off_repeatedly_gets_more_requests(tmp_path: Path, each: int) -> None:
    with serving(lambda handler: handler.part(CONTENT, max_bytes=each)) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert [None, *(f"bytes={at}-" for at in range(each, len(CONTENT), each))] == server.ranges
    check(tmp_path)


def test_a_server_that_sends_little_at_a_time_gets_a_limited_number_of_requests(tmp_path: Path) -> None:
    with serving(lambda handler: handler.part(CONTENT, max_bytes=10)) as server:
        message = message_of(fetch, FILE, server.address, tmp_path, QUICK)
        assert MAX_RESPONSES == len(server.requests)
    assert (
        f"{server.address}{FILE.name}: cannot be fetched: the server ends after 200 of 300,000 bytes "
        f"(try again, it resumes after 200 bytes; {OR_ELSE}"
    ) == message
    assert CONTENT[:200] == (tmp_path / f"{FILE.name}.part").read_bytes()

    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert ["bytes=200-"] == server.ranges
    check(tmp_path)


@pytest.mark.parametrize("there", [1, 70_000])
def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path: Path, there: int) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(b"?" * there)
    with serving(lambda handler: handler.answer(200, CONTENT)) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert 1 == len(server.requests)
    check(tmp_path)


def test_another_range_than_the_one_requested_is_not_used(tmp_path: Path) -> None:
    def wrong(handler: Handler) -> None:
        handler.answer(206, CONTENT[7:], Content_Range=f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")

    def without_range(handler: Handler) -> None:
        handler.answer(206, CONTENT)

    for first in (wrong, without_range):
        (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[:1000])
        with serving(in_turn(first, good)) as server:
            fetch(FILE, server.address, tmp_path, QUICK)
            assert ["bytes=1000-", None] == server.ranges
        check(tmp_path)
        (tmp_path / FILE.name).unlink()


def test_a_partial_download_longer_than_the_servers_file_is_deleted(tmp_path: Path) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[:2000])
    with serving(in_turn(lambda handler: handler.part(b"short"), good)) as server:  # 416
        fetch(FILE, server.address, tmp_path, QUICK)
        assert ["bytes=2000-", None] == server.ranges
    check(tmp_path)


@pytest.mark.parametrize("there", [b"?" * 1000, b"?" * len(CONTENT), CONTENT + b"more"])
def test_a_partial_download_of_another_file_is_found_by_the_sum_and_downloaded_again(
    tmp_path: Path, there: bytes
) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(there)
    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert server.ranges[-1] is None
    check(tmp_path)


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(b"?" + CONTENT[1:])
    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
    check(tmp_path)


# Servers that fail.


def test_a_wrong_file_is_reported_with_both_sums_and_removed(tmp_path: Path) -> None:
    other = CONTENT[::-1]
    with serving(lambda handler: handler.part(other)) as server:
        message = message_of(fetch, FILE, server.address, tmp_path, QUICK)
        assert [None] == server.ranges
    found = hashlib.md5(other).hexdigest()
    assert (
        f"{server.address}{FILE.name}: expected the MD5 sum {FILE.md5}, found {found} "
        f"(it was removed: try again, {OR_ELSE}"
    ) == message
    assert b"" == (tmp_path / f"{FILE.name}.part").read_bytes()
    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert [None] == server.ranges
    check(tmp_path)


def test_no_more_bytes_are_read_than_the_file_has(tmp_path: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not handler.server.stop.is_set():
            handler.wfile.write(bytes(65_536))

    with serving(endless) as server:
        assert "expected the MD5 sum" in message_of(fetch, FILE, server.address, tmp_path, QUICK)


@pytest.mark.parametrize("length", [10, 10**12, None, "much", -5])
def test_a_false_content_length_does_no_harm(tmp_path: Path, length: object) -> None:
    def lying(handler: Handler) -> None:
        start = handler.start
        ranges = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
        handler.answer(206 if start else 200, CONTENT[start:], Content_Length=length, **ranges)

    with serving(in_turn(lying, good)) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
    check(tmp_path)


def stalling(handler: Handler) -> None:
    """Send the first bytes of the file, then nothing."""
    handler.answer(200, CONTENT[:1000], Content_Length=len(CONTENT))
    handler.wfile.flush()
    handler.server.stop.wait(30)


def test_a_download_from_a_server_that_stalls_is_resumed_by_another_request(tmp_path: Path) -> None:
    with serving(in_turn(stalling, good)) as server:
        fetch(FILE, server.address, tmp_path, FetchOptions(timeout_s=1.0, pause_s=0))
        assert [None, "bytes=1000-"] == server.ranges
    check(tmp_path)


def test_a_server_that_never_answers_is_an_error_in_time(tmp_path: Path) -> None:
    with serving(lambda handler: handler.server.stop.wait(30)) as server:
        message = message_of(fetch, FILE, server.address, tmp_path, FetchOptions(timeout_s=0.1, pause_s=0))
        until(lambda: 3 == len(server.requests), "a third request")  # its thread may come to read it later
    assert f"{server.address}{FILE.name}: cannot be fetched: timed out (try again; {OR_ELSE}" == message


def test_an_unreachable_server_is_an_error_of_one_line(tmp_path: Path) -> None:
    with serving(good) as server:
        address = server.address
    message = message_of(fetch, FILE, address, tmp_path, QUICK)

    assert message.startswith(f"{address}{FILE.name}: cannot be fetched: ")
    assert message.endswith(f" (try again; {OR_ELSE}")
    assert "\n" not in message


@pytest.mark.parametrize(("code", "times"), [(404, 1), (403, 1), (500, 3), (503, 3), (429, 3)])
def test_a_response_without_a_file_is_reported_with_its_status(tmp_path: Path, code: int, times: int) -> None:
    with serving(lambda handler: handler.answer(code, b"<html>")) as server:
        message = message_of(fetch, FILE, server.address, tmp_path, QUICK)
        assert times == len(server.requests)
    assert message.startswith(f"{server.address}{FILE.name}: cannot be fetched: the server answers {code} ")


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_a_request_with_a_temporary_failure_is_repeated(tmp_path: Path, code: int) -> None:
    with serving(in_turn(lambda handler: handler.answer(code, b""), good)) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert 2 == len(server.requests)
    check(tmp_path)


def test_a_web_page_in_place_of_a_file_is_not_kept_as_its_start(tmp_path: Path) -> None:
    page = b"<html>please log in</html>"
    with serving(lambda handler: handler.answer(200, page)) as server:
        message = message_of(fetch, FILE, server.address, tmp_path, QUICK)
    assert "the server ends after 26 of 300,000 bytes" in message
    with serving(good) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert ["bytes=26-", None] == server.ranges
    check(tmp_path)


@pytest.mark.parametrize(
    "line", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000]
)
def test_a_response_that_is_not_http_is_an_input_error(tmp_path: Path, line: bytes) -> None:
    with serving(lambda handler: handler.wfile.write(line) and None) as server, pytest.raises(InputError) as caught:
        fetch(FILE, server.address, tmp_path, QUICK)
    assert "cannot be fetched: " in str(caught.value)


def test_bytes_of_an_interrupted_chunked_response_are_kept(tmp_path: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n" % 5000 + CONTENT[:5000] + b"\r\n" + b"%x\r\n" % 5000 + CONTENT[5000:5100])

    with serving(in_turn(chunked, good)) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
        assert [None, "bytes=5100-"] == server.ranges
    check(tmp_path)


def test_a_redirection_is_followed_and_an_endless_one_is_an_error(tmp_path: Path) -> None:
    def moved(handler: Handler) -> None:
        if handler.path == "/there":
            handler.part(CONTENT)
        else:
            handler.answer(302, b"", Location="/there")

    with serving(moved) as server:
        fetch(FILE, server.address, tmp_path, QUICK)
    check(tmp_path)
    (tmp_path / FILE.name).unlink()
    with serving(lambda handler: handler.answer(302, b"", Location=handler.path)) as server:
        assert "cannot be fetched" in message_of(fetch, FILE, server.address, tmp_path, QUICK)


# The command.


def test_the_command_resumes_the_download_of_an_earlier_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tarred(PYTHON10)
    file = RemoteFile("small.tar.gz", len(content), hashlib.md5(content).hexdigest())
    monkeypatch.setitem(SETS, "cifar10", KnownSet("CIFAR-10", "http://127.0.0.1:9/", (file,), {"train": 25, "test": 4}))
    monkeypatch.setattr(download, "MAX_FRUITLESS", 1)
    words = ["import", "cifar10", tmp_path / "out", "--download", "--mirror"]
    with serving(
        in_turn(lambda handler: handler.part(content, max_bytes=9000), lambda handler: handler.answer(500, b""))
    ) as server:
        monkeypatch.setattr(download.time, "sleep", lambda _: None)
        broken = im2rec(*words, server.address)
    with serving(lambda handler: handler.part(content)) as server:
        done = im2rec(*words, server.address)
        assert ["bytes=9000-"] == server.ranges

    assert 4 == broken.code
    assert 1 == broken.err.count("\n")
    assert "it resumes after 9,000 bytes" in broken.err
    assert 0 == done.code
    assert "" == done.err
    assert "  fetched    small.tar.gz\n" in done.out
    assert ["cifar10"] == names_in(cache)
    assert ["small.tar.gz"] == names_in(cache / "cifar10")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("version", ["python", "binary"])
def test_the_command_downloads_the_version_of_the_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    contents = {"python.tar.gz": tarred(PYTHON10), "binary.tar.gz": tarred(BINARY10)}
    python, binary = (RemoteFile(name, len(data), hashlib.md5(data).hexdigest()) for name, data in contents.items())
    with serving(lambda handler: handler.part(contents[handler.path.strip("/")])) as server:
        known = KnownSet("CIFAR-10", server.address, (python,), {"train": 25, "test": 4}, (), (binary,))
        monkeypatch.setitem(SETS, "cifar10", known)
        done = [im2rec("import", "cifar10", tmp_path / n, "--download", "--json", f"version={version}") for n in "ab"]
        assert [(f"/{version}.tar.gz", None)] == server.requests

    assert [(0, ""), (0, "")] == [(code, err) for code, _, err in done]
    first, second = (json.loads(out) for _, out, _ in done)
    assert [f"{version}.tar.gz"] == first["fetched"]
    assert [] == second["fetched"]
    assert {"python": "Python version", "binary": "binary version"}[version] == first["version"] == second["version"]
    assert [f"{version}.tar.gz"] == names_in(tmp_path / "cache" / "cifar10")


# The folder.


def test_a_folder_that_cannot_be_written_is_an_error_before_any_request(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with serving(good) as server:
        with pytest.raises(OutputError, match="cannot be written: "):
            fetch(FILE, server.address, tmp_path / "f", QUICK)
        assert [] == server.requests


def test_a_full_disk_is_an_output_error_and_the_request_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", *words: object, **more: object) -> object:
        if mode == "r+b":
            raise OSError(28, "No space left on device")
        return real(self, mode, *words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with serving(good) as server:
        with pytest.raises(OutputError, match="cannot be written: no space left on device"):
            fetch(FILE, server.address, tmp_path, QUICK)
        assert 1 == len(server.requests)


def test_an_interrupt_keeps_the_partial_download(tmp_path: Path) -> None:
    def interrupt(size: int) -> None:
        if size > 100_000:
            raise KeyboardInterrupt

    with serving(good) as server:
        with pytest.raises(KeyboardInterrupt):
            fetch(FILE, server.address, tmp_path, QUICK, progress=interrupt)
        there = (tmp_path / f"{FILE.name}.part").read_bytes()
        assert len(there) > 100_000
        assert CONTENT.startswith(there)
        fetch(FILE, server.address, tmp_path, QUICK)
    check(tmp_path)


def test_the_pause_before_a_repeated_request_is_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    with serving(lambda handler: handler.answer(500, b"")) as server, pytest.raises(InputError):
        fetch(FILE, server.address, tmp_path)
    assert [0.5, 0.5] == pauses


# Two at once.


def test_a_second_download_of_a_file_is_refused_and_writes_nothing_into_the_first(tmp_path: Path) -> None:
    messages: list[str] = []

    def progress(_size: int) -> None:
        messages.append(message_of(fetch, FILE, server.address, tmp_path, QUICK))

    with serving(good) as server:
        path = fetch(FILE, server.address, tmp_path, QUICK, progress=progress)
    assert {f"{path}.part: another im2rec is downloading it (wait for it)"} == set(messages)
    assert CONTENT == path.read_bytes()
    assert [FILE.name] == names_in(tmp_path)


def test_a_file_that_comes_before_the_lock_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = download.disk.open_output

    def open_output(path: Path, *, locked: bool) -> download.disk.OutputStream:
        (tmp_path / FILE.name).write_bytes(CONTENT)
        return real(path, locked=locked)

    monkeypatch.setattr(download.disk, "open_output", open_output)
    assert CONTENT == fetch(FILE, "http://127.0.0.1:9/", tmp_path, QUICK).read_bytes()
    assert FILE.name == names_in(tmp_path)[0]
