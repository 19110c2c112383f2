"""Downloads, from a server in this process: whole and checked, or an error that says what to do."""
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from shufflenet_det.compat.checkpoint import CheckpointError
from shufflenet_det.weights import download
from shufflenet_det.weights.download import content_of, place_of
from shufflenet_det.weights.public_files import PublicFile, public_files

import pytest
from mmengine.runner.checkpoint import CheckpointLoader

from .public import digest_of, publish, stand_in, zipped

CONTENT = random.Random(0).randbytes(1_000_000)


class Server(ThreadingHTTPServer):
    """Serves one content at every address, and keeps what it was asked."""

    content = CONTENT
    status = 200
    # bytes after which the connections end, one number for each
    ends: list[int]
    ranges = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.ends, self.asked = [], []

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_port}/published.pth'


class Handler(BaseHTTPRequestHandler):

    def do_GET(self) -> None:
        server: Server = self.server
        wanted = self.headers.get('Range')
        server.asked.append((self.path, wanted))
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix('bytes=').rstrip('-')) if wanted and server.ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        part = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(part)))
        self.end_headers()
        self.wfile.write(part[: server.ends.pop(0)] if server.ends else part)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def file(server, tmp_path, monkeypatch) -> PublicFile:
    for name in ('http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    like = next(file for file in public_files() if file.name == 'authors-0.5x-g3')
    return replace(like, url=server.url, digest=digest_of(CONTENT, 'git'))


def kept(file: PublicFile) -> set[str]:
    """What there is in the cache, but for the lock."""
    folder = place_of(file).parent
    return {path.name for path in folder.iterdir() if path.suffix != '.lock'}


def test_once_and_then_from_the_cache(file, server, tmp_path):
    assert place_of(file) == tmp_path / 'home/hub/checkpoints/authors-0.5x-g3.pth.tar'
    for _ in range(2):
        assert content_of(file) == CONTENT
    assert server.asked == [('/published.pth', None)]
    assert kept(file) == {file.filename}


def test_from_a_file_without_a_network(file, server):
    server.server_close()
    place_of(file).parent.mkdir(parents=True)
    place_of(file).write_bytes(CONTENT)
    assert content_of(file) == CONTENT
    assert not server.asked


def test_progress_is_shown(file, monkeypatch):
    shown = []

    class Bar(download.tqdm):

        def update(self, n: float = 1) -> None:
            shown.append((self.total, n))
            super().update(n)

    monkeypatch.setattr(download, 'tqdm', lambda **kwargs: Bar(**kwargs | dict(disable=False)))
    content_of(file)
    assert sum(n for _, n in shown) == len(CONTENT) and len(shown) > 3
    assert {total for total, _ in shown} == {len(CONTENT)}


def test_a_broken_connection_is_gone_on_with(file, server):
    server.ends = [100_000, 50_000]
    assert content_of(file) == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, 'bytes=100000-', 'bytes=150000-']
    assert kept(file) == {file.filename}


def test_a_truncated_download_is_no_file_and_the_next_run_goes_on(file, server):
    server.ends = [1000, 1000, 1000]
    with pytest.raises(CheckpointError, match=f'ended after 3000 of {len(CONTENT)} bytes'):
        content_of(file)
    assert kept(file) == {f'{file.filename}.partial'}
    assert content_of(file) == CONTENT
    assert server.asked[-1][1] == 'bytes=3000-'
    assert kept(file) == {file.filename}


def test_a_server_that_always_begins_at_the_start(file, server):
    server.ranges, server.ends = False, [1000]
    assert content_of(file) == CONTENT


@pytest.mark.parametrize('left', [b'of another file', CONTENT, CONTENT + b'more'])
def test_what_an_earlier_run_left(left, file):
    """Of another file, complete but not yet in its place, and too long."""
    place_of(file).parent.mkdir(parents=True)
    place_of(file).with_name(f'{file.filename}.partial').write_bytes(left)
    assert content_of(file) == CONTENT
    assert kept(file) == {file.filename}


def test_another_hash_leaves_nothing(file, server):
    server.content = CONTENT[::-1]
    with pytest.raises(CheckpointError, match='is not what authors published: its git hash is'):
        content_of(file)
    assert kept(file) == set()


def test_a_zip_with_two_files_leaves_nothing(file, server):
    file = replace(file, filename='x.pth.zip', digest=digest_of(CONTENT, 'sha1'))
    server.content = zipped(a=CONTENT, b=CONTENT)
    with pytest.raises(CheckpointError, match='2 files in it'):
        content_of(file)
    assert kept(file) == set()
    server.content = zipped(a=CONTENT)
    assert content_of(file) == CONTENT


def test_no_network_says_where_to_put_the_file(file, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match='cannot be downloaded') as error:
        content_of(file)
    assert f'put it at {place_of(file)}' in str(error.value) and file.url in str(error.value)


def test_a_page_that_is_not_there(file, server):
    server.status = 404
    with pytest.raises(CheckpointError, match='HTTP 404'):
        content_of(file)
    assert len(server.asked) == 1


def test_a_cache_that_cannot_be_written(file, server, tmp_path, monkeypatch):
    (tmp_path / 'home').write_text('a file in the place of the folder')
    with pytest.raises(CheckpointError, match='cannot be kept at .*Set TORCH_HOME to a folder'):
        content_of(file)
    assert not server.asked


def test_proxies_of_the_environment(file, server, monkeypatch):
    monkeypatch.setenv('http_proxy', f'http://127.0.0.1:{server.server_port}')
    file = replace(file, url='http://elsewhere.invalid/published.pth')
    assert content_of(file) == CONTENT
    assert server.asked == [('http://elsewhere.invalid/published.pth', None)]


def test_by_name_through_mmengine(file, server, monkeypatch):
    server.content = stand_in(next(f for f in public_files() if f.name == file.name))[1]
    publish(monkeypatch, replace(file, digest=digest_of(server.content, 'git')))
    checkpoint = CheckpointLoader.load_checkpoint('shufflenet://authors-0.5x-g3')
    assert 'backbone.conv1.conv.weight' in checkpoint['state_dict']
    assert len(server.asked) == 1
    server.content = server.content[:-100]
    place_of(file).unlink()
    with pytest.raises(CheckpointError, match='git hash'):
        CheckpointLoader.load_checkpoint('shufflenet://authors-0.5x-g3')


def test_processes_apart_fetch_it_once(file, server):
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(content_of(file))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [CONTENT] * 4
    assert len(server.asked) == 1


def test_cache_is_where_torch_hub_has_it(file, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'other'))
    assert place_of(file).is_relative_to(Path(tmp_path, 'other', 'hub', 'checkpoints'))
