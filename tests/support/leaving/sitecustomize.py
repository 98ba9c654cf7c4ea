"""Loaded by every Python process that is started with this folder on PYTHONPATH, before anything else: writes down each
address beyond this computer that the process, or a library in it, connects to, sends to or looks up."""

import os
import sys
import traceback

FILE = os.environ.get("COLORA_TEST_LEAVING", "")
WATCHED = {"socket.connect": 1, "socket.sendto": 1, "socket.bind": 1}  # and which argument the address is
WATCHED |= {"socket.getaddrinfo": 0, "socket.gethostbyname": 0}
HERE = ("", "localhost", "::1")


def stays_here(event: str, address: object) -> bool:
    host = address[0] if isinstance(address, tuple) and address else address
    if event.startswith("socket.get"):
        host = address
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if not isinstance(host, str):  # of another family: the kernel's own
        return True
    return host in HERE or host.startswith(("127.", "/", "\0"))


def tell(event: str, arguments: tuple) -> None:
    if event not in WATCHED or stays_here(event, arguments[WATCHED[event]]):
        return
    stack = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(traceback.extract_stack()[-8:-1]))
    with open(FILE, "a") as file:
        file.write(f"{event} {arguments[WATCHED[event]]!r} by {' '.join(sys.argv)} at {stack}\n")


if FILE:
    with open(FILE + ".heard", "a") as heard:
        heard.write(f"{os.getpid()} {sys.orig_argv[1:4]}\n")
    sys.addaudithook(tell)
