"""Tabs of a browser without the browser: real sessions of a real server, over the websocket that Streamlit's page uses.

A browser would take the cores that a server's time is measured on. A tab says what the page says (where it is, which
large messages it holds already) and does what the page does: it runs a part of the page again as often as asked. It
draws nothing and loads no files.
"""

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
LARGEST_MESSAGE = 2**27  # bytes
ARRIVAL_SECONDS = 120
QUIET_SECONDS = 1.5  # after which a page that stays at its end, and follows what it shows, has arrived


class Tab:
    """One session. `ends` are the times at which a run of the page, or of a part of it, has arrived whole."""

    def __init__(self, port: int, page: str, query: dict[str, str]):
        self.port, self.page, self.query = port, page, urlencode(query)
        self.ends: list[float] = []
        self.exceptions: list[str] = []
        self.bytes = 0
        self._script = ""
        self._held: set[str] = set()
        self._repeats: dict[str, asyncio.Task] = {}
        self._heard = 0.0  # when the last message that shows something came

    async def __aenter__(self) -> "Tab":
        place = f"ws://localhost:{self.port}/_stcore/stream"
        self._line: ClientConnection = await connect(place, subprotocols=["streamlit"], max_size=LARGEST_MESSAGE)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._repeats.values(), self._reader):
            task.cancel()
        await self._line.close()

    async def show(self) -> None:
        """Open the page and wait until it has arrived: until its script has ended, or stays at its end and is quiet."""
        begin, ends = time.monotonic(), len(self.ends)
        await self._ask()
        while len(self.ends) == ends and (self._heard < begin or time.monotonic() - self._heard < QUIET_SECONDS):
            await asyncio.sleep(0.05)
            if self._reader.done():
                self._reader.result()  # raises what has ended it
            if time.monotonic() - begin > ARRIVAL_SECONDS:
                raise TimeoutError(f"{self.page or 'the first page'} has not arrived within {ARRIVAL_SECONDS} s")

    async def _ask(self, fragment: str | None = None) -> None:
        asked = BackMsg()
        state = asked.rerun_script
        state.query_string, state.page_script_hash = self.query, self._script
        if not self._script:
            state.page_name = self.page
        state.context_info.timezone, state.context_info.color_scheme = "UTC", "light"
        state.cached_message_hashes.extend(self._held)
        if fragment:
            state.fragment_id, state.is_auto_rerun = fragment, True
        await self._line.send(asked.SerializeToString())

    async def _read(self) -> None:
        async for data in self._line:
            self.bytes += len(data)
            said = ForwardMsg()
            said.ParseFromString(data)
            kind = said.WhichOneof("type")
            if kind != "delta" or said.delta.new_element.WhichOneof("type") != "empty":
                self._heard = time.monotonic()  # not what a page that follows something sends to be interrupted
            if said.metadata.cacheable:
                self._held.add(said.hash)
            if kind == "new_session" and not said.metadata.run.fragment_ids:
                self._script = said.new_session.page_script_hash
                self._stop_repeating(list(self._repeats))
            elif kind == "auto_rerun":
                self._repeat(said.auto_rerun.fragment_id, said.auto_rerun.interval)
            elif kind == "stop_auto_rerun":
                self._stop_repeating(said.stop_auto_rerun.fragment_ids)
            elif kind == "page_info_changed":
                self.query = said.page_info_changed.query_string
            elif kind == "delta" and said.delta.new_element.WhichOneof("type") == "exception":
                self.exceptions.append(said.delta.new_element.exception.message)
            elif kind == "script_finished" and said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                self.ends.append(time.monotonic())

    def _repeat(self, fragment: str, seconds: float) -> None:
        self._stop_repeating([fragment])

        async def again() -> None:
            due = time.monotonic()
            while True:
                due += seconds
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._ask(fragment)

        self._repeats[fragment] = asyncio.create_task(again())

    def _stop_repeating(self, fragments: list[str]) -> None:
        for fragment in fragments:
            if fragment in self._repeats:
                self._repeats.pop(fragment).cancel()


@contextmanager
def served(runs_dir: Path, port: int, log: Path) -> Iterator[psutil.Process]:
    """The app's server over a runs folder, ended by its own pid."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    with open(log, "wb") as out:
        server = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"COLORA_RUNS_DIR": str(runs_dir)}, stdout=out, stderr=out
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            with suppress(OSError):
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=2).close()
                break
            time.sleep(0.2)
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(START_SECONDS)


def about_this_machine(about: str, arguments: list[str]) -> dict[str, Any]:
    """What stands beside the figures of a script whose docstring is `about`."""
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    told = environment(choose_device("cpu")) | {"cores": os.cpu_count()}
    told["command"] = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])
    return {"about": " ".join(about.split()), "environment": told}
