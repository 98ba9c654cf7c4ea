"""What a reader of a PDF finds in it, of those that typst writes: its pages, and the letters that are drawn."""

import re
import zlib

ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
TOKEN = re.compile(rb"<<(?:[^<>]|<[0-9A-F]*>)*>>|/(f\d+) [\d.]+ Tf|\(|<([0-9A-F]+)>|\bET\b")
LACKING = "\ufffd"  # for a glyph of no letter: the box of a font that lacks it


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def pictures(pdf: bytes) -> list[tuple[tuple[int, int], bytes]]:
    """((width, height), pixels) of each."""
    found = []
    for head, body in _objects(pdf).values():
        size = re.search(rb"/Subtype/Image.*/Width (\d+)/Height (\d+)", head)
        if size:
            found.append(((int(size[1]), int(size[2])), body))
    return found


def heights(pdf: bytes) -> list[float]:
    """Of each piece of text, in points above the sheet's lower edge."""
    places = re.findall(rb"q [\d.]+ 0 0 -[\d.]+ [\d.]+ ([\d.-]+) cm[^\n]*\nBT", _contents(_objects(pdf)))
    return list(map(float, places))


def text(pdf: bytes) -> str:
    """All letters of the one page in the order in which they are drawn, a blank between two pieces."""
    objects = _objects(pdf)
    letters = {}
    for table in re.findall(rb"/Font<<(.*?)>>", pdf):
        for name, number in re.findall(rb"/(f\d+) (\d+) 0 R", table):
            unicode = re.search(rb"/ToUnicode (\d+) 0 R", objects[number][0])
            assert unicode
            letters[name] = _letters(objects[unicode[1]][1])
    return _read(_contents(objects), letters).replace("\u200b", "")


def _contents(objects: dict[bytes, tuple[bytes, bytes]]) -> bytes:
    (drawn,) = [body for _, body in objects.values() if b" Tf" in body and b"\nBT" in body]
    return drawn


def _objects(pdf: bytes) -> dict[bytes, tuple[bytes, bytes]]:
    """number -> (its dictionary, its stream as it was before it was compressed, b"" without one)."""
    found = {}
    for begin in re.finditer(rb"(\d+) 0 obj\n", pdf):
        head = pdf[begin.end() : pdf.index(b"endobj", begin.end())].split(b"stream\n")[0]
        length = re.search(rb"/Length (\d+)", head)
        body = b""
        if length:
            at = begin.end() + len(head) + len(b"stream\n")
            body = pdf[at : at + int(length[1])]
            body = zlib.decompress(body) if b"FlateDecode" in head else body
        found[begin[1]] = head, body
    return found


def _letters(table: bytes) -> dict[int, str]:
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>", table)
    return {int(code, 16): bytes.fromhex(value.decode()).decode("utf-16-be") for code, value in pairs}


def _read(content: bytes, letters: dict[bytes, dict[int, str]]) -> str:
    said, font, at = [], {}, 0
    for token in TOKEN.finditer(content):
        if token.start() < at or token[0].startswith(b"<<"):
            continue  # inside a string, or what is said of a piece: its language, a picture's other text
        if token[1]:
            font = letters[token[1]]
        elif token[0] == b"ET":
            said.append(" ")
        else:
            raw, at = (bytes.fromhex(token[2].decode()), token.end()) if token[2] else _string(content, token.end())
            codes = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
            said.append("".join(font.get(code, LACKING) for code in codes))
    return "".join(said)


def _string(content: bytes, at: int) -> tuple[bytes, int]:
    """A string from behind its first parenthesis, and where it ends."""
    found, depth = b"", 1
    while True:
        octal = re.compile(rb"\\([0-7]{1,3})").match(content, at)
        letter = content[at : at + 1]
        if octal:
            found, at = found + bytes([int(octal[1], 8)]), octal.end()
        elif letter == b"\\":
            found, at = found + ESCAPES.get(content[at + 1 : at + 2], content[at + 1 : at + 2]), at + 2
        else:
            depth += {b"(": 1, b")": -1}.get(letter, 0)
            if not depth:
                return found, at + 1
            found, at = found + letter, at + 1
