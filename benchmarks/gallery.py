"""The Images page over OCTMNIST's number of images at 224 px: first page, page turns, the map, other steps, memory; and
what a page of 25 images costs from each kind of source.

    python benchmarks/gallery.py --out benchmarks/results/gallery.json

Generated images (97,477 of 224 px, 4.9 GB, in a temporary folder as MedMNIST's are unpacked) and fabricated predictions
and features (512 an image) of several seeds. The page runs in this process with Streamlit's AppTest, the whole script
at every step, so that a figure is the server's time, above what a browser asks for (which runs only the part of the
page that changes). Before the first page the files' pages are dropped from the system's cache. The sources are read
from that cache.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from streamlit.testing.v1 import AppTest

from colora.data.encoded import tile
from colora.data.phantom import draw
from colora.data.prepare import image_checksum
from colora.data.thumbnails import Place, open_pictures
from colora.metrics.classification import entropy
from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, write_features
from colora.runs.folder import create_group, write_json
from colora.settings.config import make_config
from colora.settings.resolved import Resolved

ROOT = Path(__file__).parents[1]
COUNTS = (33_484, 10_213, 7_754, 46_026)  # OCTMNIST's train split
CLASS_NAMES = ["CNV", "DME", "DRUSEN", "NORMAL"]
SIDE, CHUNK, DRAWN, CHECKSUM = 224, 1024, 64, "0" * 64
TURNS = 20
WIDTH = 512  # features of an image
PAGE, REPEATS = 25, 20  # images of a page, and pages of which the median is taken
SCAN, SCANS = (512, 496), 100  # pixels of a Spectralis scan, and files in the folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--share", type=float, default=1.0, help="of the images, for a quick try (default 1)")
    parser.add_argument("--folder", type=Path, help="where the 4.9 GB go (default: the system's temporary folder)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    labels = np.repeat(np.arange(4), [int(n * args.share) for n in COUNTS])
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = Path(temporary)
        room = shutil.disk_usage(folder).free
        if room < 1.2 * len(labels) * SIDE**2:
            sys.exit(f"{folder} has {room / 1e9:.1f} GB free, which is too little: name another --folder.")
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "COLORA_RUNS_DIR": f"{folder}/runs"}
        files = make_images(folder / "data" / f"octmnist_{SIDE}", labels)
        make_runs(folder, labels, args.seeds)
        result = measure(files) | {"sources": measure_sources(folder, len(labels))}
    result |= {"images": len(labels), "seeds": args.seeds, "side": SIDE, "load_average": os.getloadavg()[0]}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result | about_this_machine(args), indent=1) + "\n")


def make_images(folder: Path, labels: np.ndarray) -> list[Path]:
    """An unpacked MedMNIST set; the train images are generated ones, each moved and brightened in its own way."""
    folder.mkdir(parents=True)
    drawn = np.stack([draw("train", i, SIDE) for i in range(DRAWN)])
    rng, counts = np.random.default_rng(0), {}
    for split, own in (("train", labels), ("val", np.arange(4)), ("test", np.arange(4))):
        shape = (len(own), SIDE, SIDE)
        with open(folder / f"{split}_images.npy", "wb") as out:
            np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for start in range(0, len(own), CHUNK):
                picks = rng.integers(0, DRAWN, min(CHUNK, len(own) - start))
                out.write(np.stack([np.roll(drawn[p], rng.integers(SIDE), axis=1) for p in picks]))
            out.flush()
            os.fsync(out.fileno())
        np.save(folder / f"{split}_labels.npy", own.astype(np.int64))
        counts[split] = np.bincount(own, minlength=4).tolist()
    facts = {"source": "generated", "source_checksum": "", "colour": False, "counts": counts, "checksum": CHECKSUM}
    (folder / "set.json").write_text(json.dumps(facts))
    return list(folder.iterdir())


def make_runs(folder: Path, labels: np.ndarray, seeds: int) -> None:
    """One finished group with predictions of the train split, as training writes them."""
    values = {"dataset": "octmnist", "data_dir": str(folder / "data"), "train_set": "balanced", "epochs": 1}
    config = make_config(values)
    group = create_group(folder / "runs", "gallery", config, list(range(seeds)))
    counts = np.bincount(labels, minlength=4).tolist()
    smallest = min(counts)
    used = np.concatenate([np.arange(n) < smallest for n in counts])
    ids = np.array([f"train/{i:06d}" for i in range(len(labels))])
    resolved = Resolved(
        device="cpu", precision="fp32", threads=2, torch="none", class_names=CLASS_NAMES, class_names_given=True,
        data_source=f"generated ({SIDE} px)", data_checksum=CHECKSUM, synthetic=True, split_rule="generated",
        preparation="none", class_counts={"train": counts, "val": [1] * 4, "test": [1] * 4, "used": [smallest] * 4},
        weights_checksum=None, random_layers=[], parameters={}, warnings=[],
    )  # fmt: skip
    images = np.load(folder / "data" / f"octmnist_{SIDE}" / "train_images.npy", mmap_mode="r")
    checksums = np.array([image_checksum(image) for image in images], dtype=np.uint64)
    for run in group.runs:
        rng = np.random.default_rng(run.seed)
        logits = 1.5 * rng.normal(size=(len(labels), 4)) + 4 * np.eye(4)[labels]
        p = np.exp(logits - logits.max(1, keepdims=True))
        p = (p / p.sum(1, keepdims=True)).astype(np.float32)
        table = pd.DataFrame({"index": np.arange(len(labels)), "label": labels})
        table[[f"p_{c}" for c in range(4)]] = p
        table["entropy"], table["image_id"], table["patient_id"], table["used"] = entropy(p), ids, None, used
        table["checksum"] = checksums
        (run.path / "predictions").mkdir()
        table.to_parquet(run.path / "predictions" / "train.parquet", index=False)
        run.write_resolved(resolved)
        write_features(run, features_of(labels, rng))
        row = {f"{s}_{m}": 0.5 for s in ("train", "val", "test") for m in ("loss", "accuracy", "auc")}
        row |= {"epoch": 1, "seconds": 1.0, "eval_seconds": 1.0}
        (run.path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        write_json(run.path / "status.json", run.written_status() | {"state": "done", "epoch": 1})


def features_of(labels: np.ndarray, rng: np.random.Generator) -> Kept:
    """Classes that lie apart, in directions of falling spread."""
    spread = (1 / np.arange(1, WIDTH + 1)).astype(np.float32)
    middles = rng.standard_normal((4, WIDTH), dtype=np.float32)
    found = {}
    for split, own in (("train", labels), ("val", np.arange(4)), ("test", np.arange(4))):
        found[split] = rng.standard_normal((len(own), WIDTH), dtype=np.float32)
        found[split] += middles[own]
        found[split] *= spread
    return Kept(found, Familiar(np.eye(4, WIDTH), np.eye(WIDTH)), dict.fromkeys(("val", "test"), np.ones(4)))


def measure(files: list[Path]) -> dict:
    assert "torch" not in sys.modules
    sys.path[0] = str(ROOT)  # as a server has it: in this script's own folder another file is named pages.py
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.run()  # the server has shown another page before
    for file in files:
        forget(file)
    before = peak_mib()
    app.switch_page("pages/images.py")
    found = {"first_page": ran(app)}
    found["again"] = ran(app)
    rng, turns = np.random.default_rng(1), []
    for _ in range(TURNS):  # jumps: no image of the next page has been read before
        field = app.number_input(key="from-rank")
        field.set_value(int(rng.integers(1, field.max)))
        turns.append(ran(app))
        assert tiles(app) == 25
    found["page_turn"] = {
        which: {kind: choose(turn[kind] for turn in turns) for kind in ("seconds", "cpu_seconds")}
        for which, choose in (("median", statistics.median), ("slowest", max))
    }
    app.query_params["view"] = "Map"
    found["map"] = ran(app)
    found["map_again"] = ran(app)
    app.text_input(key="like").set_value("train/000123")
    found["images_like_one"] = ran(app)
    assert tiles(app) == 25
    app.query_params["view"] = "Browse"
    ran(app)
    app.selectbox(key="sort").set_value("mutual_information")
    found["another_score"] = ran(app)
    app.selectbox(key="model").set_value("mean")
    found["another_model"] = ran(app)
    app.button_group(key="true").set_value(["DRUSEN"])
    found["filter"] = ran(app)
    assert tiles(app) == 25
    app.query_params["image"] = "train/000123"
    found["one_image"] = ran(app)
    app.switch_page("pages/distil.py")
    found["distil"] = ran(app)
    assert len(app.table[0].value) == len(CLASS_NAMES), (tiles(app), app.metric, app.error)
    found["memory_mib"] = {"before": before, "peak": peak_mib()}
    assert "torch" not in sys.modules
    return found


def measure_sources(folder: Path, images: int) -> dict:
    """Milliseconds to read a page of images, to compare each with the one that was predicted, and to encode it:
    {source: {"read_ms", "compare_ms", "encode_ms"}}, medians."""
    scans = make_folder(folder / "scans")
    mapped = [f"train/{i:06d}" for i in range(images)]
    generated = [f"train-{i:04d}" for i in range(1000)]
    cases = {
        f"mapped file, {SIDE} px": ("octmnist", SIDE, mapped),
        f"folder of {SCAN[0]} x {SCAN[1]} JPEG": (f"folder:{folder / 'scans'}", SIDE, scans),
        f"generated, {SIDE} px": ("phantom", SIDE, generated),
        "generated, 64 px": ("phantom", 64, generated),
    }
    found, rng = {}, np.random.default_rng(2)
    for name, (dataset, side, ids) in cases.items():
        config = make_config({"dataset": dataset, "image_size": side, "data_dir": str(folder / "data")})
        source = open_pictures(config, ("train",))
        times: dict[str, list[float]] = {"read_ms": [], "compare_ms": [], "encode_ms": []}
        for _ in range(REPEATS):
            places = [Place("train", int(i), ids[i]) for i in rng.integers(0, len(ids), PAGE)]
            begin = time.perf_counter()
            read = source.read(places)
            was_read = time.perf_counter()
            assert all(image_checksum(image) for image in read)
            compared = time.perf_counter()
            assert all(len(tile(image)) > 1000 for image in read)
            times["read_ms"].append(1000 * (was_read - begin))
            times["compare_ms"].append(1000 * (compared - was_read))
            times["encode_ms"].append(1000 * (time.perf_counter() - compared))
        found[name] = {kind: statistics.median(values) for kind, values in times.items()}
    return found


def make_folder(folder: Path) -> list[str]:
    """Generated images as JPEG files of a scan's size; returns their ids."""
    ids = []
    for i in range(SCANS):
        name = f"{CLASS_NAMES[i % 4]}/{CLASS_NAMES[i % 4]}-{i}-1.jpeg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw("train", i, SCAN[1])).resize(SCAN).save(folder / name, quality=95)
        ids.append(name)
    return ids


def ran(app: AppTest) -> dict[str, float]:
    """Wall time, and what of it the processor worked for this process: other load does not change that one."""
    begin, worked = time.perf_counter(), time.process_time()
    app.run()
    found = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - worked}
    assert not app.exception, app.exception
    return found


def tiles(app: AppTest) -> int:
    """In the first gallery on the page."""
    given = [json.loads(element.proto.json) for element in app.get("bidi_component")]
    return len(next(one["tiles"] for one in given if "tiles" in one))


def forget(file: Path) -> None:
    """Drop a file from the system's cache, so that it is read from the disk; not every system can."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def peak_mib() -> float:
    """Of this process so far; pages of mapped files count as long as they are in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def about_this_machine(args: argparse.Namespace) -> dict:
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    command = f"python benchmarks/gallery.py --seeds {args.seeds}"
    about = environment(choose_device("cpu")) | {"command": command, "cores": os.cpu_count()}
    return {"about": " ".join(__doc__.split()), "environment": about}


if __name__ == "__main__":
    main()
