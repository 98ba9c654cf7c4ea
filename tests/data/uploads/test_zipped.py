"""Zips of which nothing may be trusted: each hostile entry by itself, and what is no zip at all."""

import io
import stat
import struct
import zipfile

import pytest
from zips import class_files, entry, image_bytes, zip_of

from colora.data.uploads import names, take, zipped
from colora.data.uploads.take import take_zip
from colora.system.errors import UserError


def files_in(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"upload.json"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.png", "leads out of the folder"),
        ("AMD/../../evil.png", "leads out of the folder"),
        ("..\\..\\evil.png", "leads out of the folder"),
        ("/etc/evil.png", "leads out of the folder"),
        ("\\\\server\\share\\evil.png", "leads out of the folder"),
        ("C:\\evil.png", "leads out of the folder"),
        ("c:evil.png", "leads out of the folder"),
        ("AMD/evil.png\0.txt", "no possible name"),
        ("AMD/ev\x1bil.png", "no possible name"),
        ("AMD/ev\nil.png", "no possible name"),
        ("AMD/ev\u2028il.png", "no possible name"),
        (f"AMD/{'e' * 252}.png", "no possible name"),
        (f"{'d/' * 101}evil.png", "no possible name"),
        (f"{('d' * 250 + '/') * 5}evil.png", "no possible name"),
        ("AMD/AMD-0-1.png", "same name twice"),
        ("amd/AMD-0-1.PNG", "same name twice"),
        ("AMD/AMD-0-1.png/evil.png", "same name twice"),
        ("__MACOSX/AMD/._AMD-0-1.png", "__MACOSX"),
        ("AMD/.hidden.png", "hidden"),
        (".git/evil.png", "hidden"),
        ("AMD/Thumbs.db", "Thumbs.db"),
        ("inner.zip", "archive, not unpacked"),
        ("AMD/evil.tar", "archive, not unpacked"),
        ("AMD/volume.dcm", ".dcm"),
        ("AMD/run.sh", ".sh"),
        ("AMD/README", "no ending"),
    ],
)
def test_an_entry_that_is_not_kept_is_counted_by_its_reason_and_written_nowhere(runs, tmp_path, name, reason):
    good = class_files()
    with pytest.warns(UserWarning, match="Duplicate name") if name in good else _no_warning():
        packed = zip_of(good)
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr(entry(name), b"evil")
    upload, again = take_zip(runs, packed, "eyes.zip")
    assert files_in(upload.place) == set(good) and not again
    assert upload.about["left_out"] == {reason: 1} and upload.about["images"] == 12
    assert all(path.read_bytes() == good[str(path.relative_to(upload.place))] for path in upload.place.rglob("*.png"))
    outside = {path for path in tmp_path.rglob("*") if "evil" in path.name}
    assert outside == set()


class _no_warning:
    def __enter__(self): ...
    def __exit__(self, *_): ...


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK | 0o777, "link"),
        (stat.S_IFIFO | 0o644, "no file"),
        (stat.S_IFCHR | 0o644, "no file"),
        (stat.S_IFDIR | 0o755, "no file"),
    ],
)
def test_a_link_and_a_device_are_no_files(runs, mode, reason):
    packed = zip_of(class_files())
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(entry("AMD/passwd.png", mode), "/etc/passwd")
    upload, _ = take_zip(runs, packed, "eyes.zip")
    assert upload.about["left_out"] == {reason: 1}
    assert not any(path.is_symlink() or "passwd" in path.name for path in upload.place.rglob("*"))


def test_what_a_file_may_run_as_is_not_taken_over(runs):
    packed = zip_of({})
    with zipfile.ZipFile(packed, "a") as archive:
        for name, content in class_files().items():
            archive.writestr(entry(name, stat.S_IFREG | 0o7777), content)
    upload, _ = take_zip(runs, packed, "eyes.zip")
    assert {path.stat().st_mode & 0o7111 for path in upload.place.rglob("*.png")} == {0}


def flagged(packed: io.BytesIO, bits: int, method: int | None = None) -> io.BytesIO:
    """With these bits in the flags, and this method, of each entry, in its own header and in the directory."""
    data = bytearray(packed.getvalue())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = -1
        while (place := data.find(signature, place + 1)) >= 0:
            (old,) = struct.unpack_from("<H", data, place + at)
            struct.pack_into("<H", data, place + at, old | bits)
            if method is not None:
                struct.pack_into("<H", data, place + at + 2, method)
    return io.BytesIO(bytes(data))


@pytest.mark.parametrize(
    ("bits", "method", "reason"),
    [(1, None, "protected by a password"), (0, 9, "packed by another method than Deflate"), (0, 14, "another method")],
)
def test_what_cannot_be_read_is_said_and_nothing_is_left(runs, left, bits, method, reason):
    with pytest.raises(UserError, match=f"holds no image that can be read .* there are 12 .*{reason}"):
        take_zip(runs, flagged(zip_of(class_files()), bits, method), "eyes.zip")
    assert left() == []


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"no zip at all", image_bytes(), zip_of(class_files()).getvalue()[:-30], b"PK\5\6" + b"\xff" * 18],
    ids=["empty", "short", "text", "image", "cut", "end"],
)
def test_what_is_no_zip_is_said(runs, left, data):
    with pytest.raises(UserError, match=r"eyes\.zip is no zip, or not all of it has arrived"):
        take_zip(runs, io.BytesIO(data), "eyes.zip")
    assert left() == []


@pytest.mark.parametrize("at", [40, 700, 2000])
def test_a_damaged_image_in_it_is_named_and_nothing_is_left(runs, left, at):
    data = bytearray(zip_of(class_files(), zipfile.ZIP_STORED).getvalue())
    data[at] ^= 0xFF
    with pytest.raises(UserError, match=r"eyes\.zip is damaged or not complete, at AMD/AMD-\d-1\.png"):
        take_zip(runs, io.BytesIO(bytes(data)), "eyes.zip")
    assert left() == []


def test_a_bomb_is_refused_by_what_it_says_and_by_what_comes_out(runs, left, monkeypatch):
    monkeypatch.setattr(take, "ALWAYS_UNPACKED", 1 << 20)
    bomb = zip_of({"AMD/1.bmp": bytes(8 << 20), "DME/1.bmp": bytes(8 << 20)})
    with pytest.raises(UserError, match=r"would unpack to more than .* 200 times its own size"):
        take_zip(runs, bomb, "bomb.zip")
    assert left() == []
    liar = bytearray(bomb.getvalue())
    for signature, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):  # says of itself that it is small
        place = -1
        while (place := liar.find(signature, place + 1)) >= 0:
            struct.pack_into("<L", liar, place + at, 1000)
    with pytest.raises(UserError, match="is damaged or not complete"):
        take_zip(runs, io.BytesIO(bytes(liar)), "bomb.zip")
    assert left() == []


def test_bytes_are_counted_as_they_come_whatever_was_said(runs, left, monkeypatch):
    monkeypatch.setattr(take, "ALWAYS_UNPACKED", 1 << 20)
    monkeypatch.setattr(take, "MOST_UNPACKED", 0)
    written = []

    def endless():
        while True:
            written.append(1)
            yield bytes(1 << 18)

    monkeypatch.setattr(take, "entries_of", lambda *_: [zipped.Entry("AMD/1.png", 10, endless)])
    with pytest.raises(UserError, match="would unpack to more than"):
        take_zip(runs, zip_of({}), "bomb.zip")
    assert len(written) == 5 and left() == []


def test_many_folders_are_a_bomb_too(runs, left, monkeypatch):
    deep = zip_of({f"{n}/{'d/' * 10}1.png": b"" for n in range(20)})
    monkeypatch.setattr(names, "MOST_FOLDERS", 150)
    with pytest.raises(UserError, match="There are more than 150 folders in it: put the scans onto the computer"):
        take_zip(runs, deep, "deep.zip")
    monkeypatch.setattr(names, "MOST_FOLDERS", 1_000)
    room = []
    monkeypatch.setattr(take, "check_room", lambda folder, count, *_: room.append(count - take.KEPT_FREE))
    take_zip(runs, deep, "deep.zip")
    assert room[0] == 220 * 4_096  # of no bytes, in eleven folders each
    assert [name for name in left() if not name.startswith(".")] == ["deep"]


def test_files_of_many_kinds_are_told_in_few_words(runs):
    many = {f"AMD/{n}.x{n}": b"" for n in range(500)} | {"AMD/1.dcm": b"", "AMD/2.dcm": b""}
    upload, _ = take_zip(runs, zip_of(class_files() | many), "kinds.zip")
    assert len(upload.about["left_out"]) == 13 and upload.about["left_out"][".dcm"] == 2
    assert upload.about["left_out"]["of other kinds"] == 489 and len(upload.says_left_out()) < 600


def test_a_zip_of_too_many_files_is_refused_before_they_are_listed(runs, left, monkeypatch):
    packed = zip_of({f"AMD/{n}.png": b"" for n in range(60)})
    monkeypatch.setattr(zipped, "MOST_FILES", 50)
    with pytest.raises(UserError, match="holds more than 50 files: put the folder onto the computer"):
        take_zip(runs, packed, "many.zip")
    monkeypatch.setattr(zipped, "MOST_DIRECTORY_BYTES", 3000)
    monkeypatch.setattr(zipfile, "ZipInfo", None)  # which nobody is to make of so many
    monkeypatch.setattr(zipped, "MOST_FILES", 100)
    with pytest.raises(UserError, match="holds more than 100 files"):
        take_zip(runs, packed, "many.zip")
    assert left() == []


@pytest.mark.parametrize(
    ("flags", "stored", "read"),
    [
        (0x800, "Übung/ä.png".encode(), "Übung/ä.png"),
        (0, "Übung/ä.png".encode(), "Übung/ä.png"),  # as macOS writes it
        (0, "Übung/ä.png".encode("cp437"), "Übung/ä.png"),  # as Windows does
        (0, b"train\\AMD\\1.png", "train/AMD/1.png"),  # as .NET did
        (0x800, "U\u0308bung/a\u0308.png".encode(), "Übung/ä.png"),  # in parts
    ],
)
def test_names_are_read_in_the_encodings_that_people_have(runs, flags, stored, read):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(entry("n" * len(stored)), image_bytes())
    data = bytearray(packed.getvalue().replace(b"n" * len(stored), stored))
    upload, _ = take_zip(runs, flagged(io.BytesIO(bytes(data)), flags), "Übung 1.zip")
    assert files_in(upload.place) == {read} and upload.name == "Ubung-1"
    assert upload.about["called"] == "Übung 1.zip" and upload.about["left_out"] == {}


def test_names_that_are_no_utf8_though_they_say_so_are_a_sentence(runs, left):
    packed = zip_of({"AMD/xx.png": image_bytes()})
    data = io.BytesIO(packed.getvalue().replace(b"AMD/xx.png", b"AMD/\xff\xfe.png"))
    with pytest.raises(UserError, match="is no zip, or not all of it has arrived"):
        take_zip(runs, flagged(data, 0x800), "eyes.zip")
    assert left() == []
