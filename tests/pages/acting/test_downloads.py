"""A download begins, ends or is begun anew elsewhere between the drawing of the page and the press."""

from host import download_told
from opened import opener, ran, texts
from pressing import press

from colora.runs.folder import own_process


def test_a_download_is_cancelled_or_begun_as_it_was_drawn(monkeypatch, tmp_path, medmnist):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("pages.components.data.downloads.Shown.follow", lambda self: None)
    done: list = []
    for act in ("start_download", "cancel"):
        monkeypatch.setattr(f"pages.components.data.downloads.{act}", lambda *asked: done.append(asked))
    file = medmnist.root / "octmnist.npz"
    app = opener(monkeypatch, tmp_path / "runs")("data")
    known = download_told("data", "octmnist", 28, file, "downloading")  # meanwhile, elsewhere
    assert "is on its way already, started elsewhere; nothing was done." in texts(press(app, f"start-{known}"))
    download_told("data", "octmnist", 28, file, "done", process=None)
    assert "The download of octmnist has ended meanwhile; nothing was done." in texts(press(app, f"cancel-{known}"))
    download_told("data", "octmnist", 28, file, "downloading")
    ran(app)
    download_told("data", "octmnist", 28, file, "downloading", process=own_process() | {"label": "another try"})
    assert "octmnist was started again elsewhere; nothing was done." in texts(press(app, f"cancel-{known}"))
    assert done == []
