"""`colora weights fits`: a line a file, what a launch would say, and nothing of what may not be named."""

from commands import document

from colora.cli.main import main
from colora.networks.texturenet import WEIGHTS


def test_files_of_weights_say_which_network_they_fit(capsys, tmp_path):
    (tmp_path / "other.pth").write_bytes(b"no weights")
    assert main(["weights", "fits", str(WEIGHTS), str(tmp_path / "other.pth"), "--backbone", "vgg16"]) == 0
    own, vgg, other, _ = capsys.readouterr().out.splitlines()
    assert own == f"{WEIGHTS}: fits TextureNet (small, shipped)"
    assert vgg.startswith(f"  vgg16: {WEIGHTS} is not for vgg16: ")
    assert other.startswith(f"{tmp_path}/other.pth: {tmp_path}/other.pth cannot be read as weights: ")
    found = document(capsys, "weights", "fits", WEIGHTS, "--backbone", "texturenet")["files"]
    assert [(one["path"], one["refused"]) for one in found] == [(str(WEIGHTS), {"texturenet": None})]


def test_a_file_that_may_not_be_named_is_not_looked_into(capsys, tmp_path, monkeypatch):
    (tmp_path / "access.toml").write_text(f'data_roots = ["{tmp_path}/oct"]')
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path / "access.toml"))
    said = set()
    for file in (WEIGHTS, tmp_path / "none.pth"):
        (one,) = document(capsys, "weights", "fits", file, "--backbone", "vgg16")["files"]
        assert (one["bytes"], one["fits"]) == (None, [])
        said |= {one["why"], one["refused"]["vgg16"]["sentence"]}
    assert len(said) == 1 and "This place may not be named" in said.pop()
