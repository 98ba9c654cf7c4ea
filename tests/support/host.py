"""A public host on this machine, with the faults that real ones have, the medmnist package pointing at it, and what a
download from it says of itself."""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from colora.queue.transfers import transfer_id
from colora.runs.folder import own_process, write_json
from colora.system.storage import state_dir


class Host:
    """Serves `files`, by name. Counts and notes what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str | None] = []  # the Range header of each request
        self.status = 200  # what it answers instead of a file
        self.ranges = True  # whether it knows the Range header
        self.tells_length = True
        self.cuts: list[int] = []  # the next answers end after so many bytes
        self.piece, self.pause = 1 << 16, 0.0  # bytes at a time, seconds in between
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(host) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                host.asked.append(wanted)
                if host.status != 200:
                    self.send_error(host.status)
                    return
                body = host.files[self.path.strip("/").partition("?")[0]]
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and host.ranges else 0
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                if host.tells_length:
                    self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                end = start + host.cuts.pop(0) if host.cuts else len(body)
                for first in range(start, min(end, len(body)), host.piece):
                    try:
                        self.wfile.write(body[first : min(first + host.piece, end)])
                        self.wfile.flush()
                    except OSError:
                        return  # the reader has had enough
                    time.sleep(host.pause)

            def log_message(self, *_: object) -> None:
                """Says nothing: what was asked is in `asked`."""

        return Handler


@contextmanager
def small_disk(folder: Path, kilobytes: int, options: str = "") -> Iterator[Path]:
    """A real file system of this size; skips the test where it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k{options}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command, so no small disk")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def forbidden_folder(folder: Path) -> Iterator[Path]:
    """A folder that this process may not write to: read-only disk for root, whom no permission stops."""
    if os.name == "posix" and os.geteuid() == 0:
        with small_disk(folder, 4096, ",ro"):
            yield folder
        return
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


def write_package(folder: Path, host: Host, sets: dict[str, dict], root: Path) -> None:
    """A medmnist package whose info.py names `sets` ({name: facts}) at every size of `host`, with their MD5."""
    table = {}
    for name, facts in sets.items():
        table[name] = {
            "python_class": name.upper(),
            "description": f"The {name.upper()} is drawn by a test. It has no patient.",
            "license": "CC BY 4.0",
            "task": "multi-class",
            **facts,
        }
        for suffix in ("", "_64", "_128", "_224"):
            body = host.files.get(f"{name}{suffix}.npz", b"")
            table[name] |= {f"url{suffix}": host.url(f"{name}{suffix}.npz?download=1")}
            table[name] |= {f"MD5{suffix}": hashlib.md5(body).hexdigest()}
    (folder / "medmnist").mkdir(exist_ok=True)
    (folder / "medmnist" / "__init__.py").write_text("raise ImportError('imports torch')\n")
    (folder / "medmnist" / "info.py").write_text(f"INFO = {table!r}\nDEFAULT_ROOT = {str(root)!r}\n")


def download_told(kind, name, size, path, state, **facts):
    """What the process of a download has written, as if this one were it. Returns the id."""
    known = transfer_id(kind, name, size, path)
    folder = state_dir() / "transfers"
    folder.mkdir(parents=True, exist_ok=True)
    record = {"kind": kind, "name": name, "size": size, "path": str(path), "state": state, "updated": time.time()}
    write_json(folder / f"{known}.json", record | {"process": own_process()} | facts)
    return known
