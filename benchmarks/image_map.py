"""Which map of the images: principal components, t-SNE or UMAP. What each keeps of the features' neighbours, how far
it is the same another time, and what it costs.

    python benchmarks/image_map.py runs/real runs/phantom --out benchmarks/results/image_map.json

GROUPS are folders of groups with kept features; every finished seed is a model of its own, and figures are medians over
them. Principal components and UMAP are fitted to the training images and the others are placed on them; t-SNE, which
cannot place others, has all images at once. Features have length 1. Of all images together, with 10 neighbours:
`trustworthiness` (near on the map, also near in the features), `continuity` (near in the features, also near on the
map), each 1 at best; `class_by_neighbours`: the share of test images whose class most of the nearest training images
have, on the map, beside the same in the features; `same_neighbours`: the share of an image's neighbours on the map that
another random state leaves it; `test_on_its_own_axes`: of the test images alone, beside `test_trustworthiness`. Seconds
and memory are of features as of a network of 512 channels, generated, each in a process of its own: the first time, in
which UMAP compiles, and the median of several where one takes no minutes; other load on the machine changes the
processor's seconds little. umap-learn is no dependency of the project: without it its rows are left out.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np

from colora.metrics.image_map import Axes
from colora.runs.features import read_features
from colora.runs.finished import finished
from colora.runs.folder import Group

NEIGHBOURS, STATES, WIDTH, CLASSES = 10, (0, 1, 2), 512, 4
IMPORTS = {"PCA": "numpy", "t-SNE": "sklearn.manifold", "UMAP": "umap"}
MOST = {"PCA": 100_000, "t-SNE": 10_000, "UMAP": 100_000}  # more would take hours
REPEATS = 3
SHORT = 1_000  # images of which the slow ones are timed as often


def pca(train: np.ndarray, every: np.ndarray, state: int) -> np.ndarray:
    return Axes.of(train).places(every)


def tsne(train: np.ndarray, every: np.ndarray, state: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    return TSNE(random_state=state).fit_transform(every)


def umap(train: np.ndarray, every: np.ndarray, state: int) -> np.ndarray:
    from umap import UMAP

    return UMAP(random_state=state, n_jobs=1).fit(train).transform(every)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {"PCA": pca, "t-SNE": tsne, "UMAP": umap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", type=Path, help="folders of groups")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="images to time")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(cost(args.row[0], Path(args.row[1]))))
        return
    methods = [name for name, module in IMPORTS.items() if importlib.util.find_spec(module)]
    result = {
        "about": " ".join(__doc__.split()),
        "quality": {path.name: {name: quality(path, name) for name in methods} for path in args.groups},
        "costs": [row for n in args.sizes for row in costs(n, [name for name in methods if n <= MOST[name]])],
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result | about_this_machine(args), indent=1) + "\n")


def quality(path: Path, name: str) -> dict[str, float]:
    """Medians over the finished seeds of a group."""
    found = [of_one_model(run, name) for run in finished(Group(path))]
    return {key: statistics.median(one[key] for one in found) for key in found[0]} | {"models": len(found)}


def of_one_model(run, name: str) -> dict[str, float]:
    from sklearn.manifold import trustworthiness

    tables = {split: run.predictions(split) for split in ("train", "val", "test")}
    kept = read_features(run, {split: len(table) for split, table in tables.items()})
    used = tables["train"]["used"].to_numpy()
    train, labels = units(kept["train"][used]), tables["train"]["label"].to_numpy()[used]
    every = np.concatenate([train, units(kept["val"]), units(kept["test"])])
    test_labels = tables["test"]["label"].to_numpy()
    maps = [METHODS[name](train, every, state) for state in STATES]
    places, n, m = maps[0], len(train), len(test_labels)
    found = {
        "images": len(every),
        "trustworthiness": trustworthiness(every, places, n_neighbors=NEIGHBOURS),
        "continuity": trustworthiness(places, every, n_neighbors=NEIGHBOURS),
        "class_by_neighbours": by_neighbours(places[:n], labels, places[-m:], test_labels),
        "in_the_features": by_neighbours(train, labels, every[-m:], test_labels),
        "same_neighbours": statistics.mean(shared(one, other) for one, other in combinations(maps, 2)),
    }
    if name == "PCA":
        test = every[-m:]
        own = Axes.of(test).places(test)
        found["share_of_the_variance"] = float(Axes.of(train).shares.sum())
        found["test_trustworthiness"] = trustworthiness(test, places[-m:], n_neighbors=NEIGHBOURS)
        found["test_on_its_own_axes"] = trustworthiness(test, own, n_neighbors=NEIGHBOURS)
    return found


def units(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def neighbours(among: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=count).fit(among).kneighbors(of, return_distance=False)


def by_neighbours(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, true: np.ndarray) -> float:
    votes = labels[neighbours(known, asked, NEIGHBOURS)]  # (M, neighbours)
    said = np.array([np.bincount(row).argmax() for row in votes])
    return float(np.mean(said == true))


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """The mean share of each image's neighbours on one map that are its neighbours on the other."""
    near = [neighbours(places, places, NEIGHBOURS + 1) for places in (one, other)]  # itself among them
    return float(np.mean([(len({*a} & {*b}) - 1) / NEIGHBOURS for a, b in zip(*near, strict=True)]))


def generated(count: int) -> np.ndarray:
    """(N, WIDTH) float32: classes apart, and directions of falling spread, as a network's features have them."""
    rng = np.random.default_rng(0)
    spread = (1 / np.arange(1, WIDTH + 1)).astype(np.float32)
    middles = rng.normal(size=(CLASSES, WIDTH)).astype(np.float32) * spread
    noise = rng.normal(size=(count, WIDTH)).astype(np.float32) * spread
    return units(np.maximum(middles[rng.integers(0, CLASSES, count)] + noise + 0.1, 0))


def costs(count: int, methods: list[str]) -> list[dict]:
    """A row a method, each in a process of its own, which has the features and nothing else in memory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        np.save(file, generated(count))
        rows = [[sys.executable, __file__, "--row", name, str(file)] for name in methods]
        return [json.loads(subprocess.run(row, stdout=subprocess.PIPE, text=True, check=True).stdout) for row in rows]


def cost(name: str, file: Path) -> dict:
    features = np.load(file)
    before, begin = peak_mb(), time.perf_counter()
    importlib.import_module(IMPORTS[name])
    imported = time.perf_counter() - begin
    times, worked = [], []
    for _ in range(REPEATS if name == "PCA" or len(features) <= SHORT else 1):
        begin, before_work = time.perf_counter(), time.process_time()
        METHODS[name](features, features, 0)
        times.append(time.perf_counter() - begin)
        worked.append(time.process_time() - before_work)
    found = {"first_cpu_seconds": worked[0], "cpu_seconds": statistics.median(worked)}
    found |= {"seconds": statistics.median(times), "more_memory_mb": peak_mb() - before}
    return {"method": name, "images": len(features), "import_seconds": imported} | found


def peak_mb() -> float:
    """Of this process alone: what getrusage tells has its parent's in it."""
    kib = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(kib) * 1024 / 1e6


def about_this_machine(args: argparse.Namespace) -> dict:
    from importlib.metadata import PackageNotFoundError, version

    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    about = environment(choose_device("cpu"))
    for package in ("scikit-learn", "umap-learn"):
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = "not installed"
    names = " ".join(path.name for path in args.groups)
    return {"environment": about | {"command": f"python benchmarks/image_map.py {names}"}}


if __name__ == "__main__":
    main()
