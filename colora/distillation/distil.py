"""Distillation: sort each class by how unsure a model is of its images, discard the hardest, keep the next (the paper's
second half).

    a group's predictions on train ─► scores ─► divide (a preview) ─► Cut ─► save ─► launch --cut

Only the train split's predictions are read. Ties are broken by image id, so that a cut hangs on no order of rows.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from colora.data.cuts import Cut, Source, cut_hash, pinned_cut
from colora.data.rules import OF_PREDICTIONS, Rule
from colora.distillation.scores import OF_ONE_MODEL, SeedPredictions, Whose, score_images, score_one_model, whose_says
from colora.distillation.verdicts import Decision, current, decide
from colora.runs.audit import acting_user
from colora.settings.catalog import SCORES
from colora.system.errors import UserError

Pool = Literal["run", "train"]
FATES = ("excluded", "dropped", "kept", "rest")
ROUNDING = 1e-9  # 0.3 of 10 images are 3, not 2.9999999999999996


@dataclass(frozen=True)
class Division:
    """What a rule does to a pool.

    images: the pool's rows (columns as score_images), with class (int: the label, corrected where the rule says so),
    rank (int, 0 = hardest of its class among those not excluded; -1: excluded) and fate (one of FATES).
    counts: {"pool" and each fate: images of each class}; labels: corrected ones of kept images; notes: what a reader
    has to know.
    """

    images: pd.DataFrame
    class_names: list[str]
    counts: dict[str, list[int]]
    labels: dict[str, int]
    notes: list[str]

    def ids(self, fate: str) -> list[str]:
        """Sorted image ids of one fate."""
        return sorted(self.images.loc[self.images["fate"] == fate, "image_id"].tolist())


def pool_of(table: pd.DataFrame, pool: Pool) -> pd.DataFrame:
    """Rows of a train split's score table: those trained on ("run"), or all ("train")."""
    chosen = table[table["used"]] if pool == "run" else table
    return chosen.reset_index(drop=True)


def with_doubted(table: pd.DataFrame, predictions: SeedPredictions, rule: Rule) -> pd.DataFrame:
    """The score table of a whole split, with the column doubted (bool) where the rule asks for it."""
    return table.assign(doubted=predictions.label_doubt.doubted) if rule.kind == "labels" else table


def divide(table: pd.DataFrame, class_names: list[str], rule: Rule, verdicts: pd.DataFrame | None = None) -> Division:
    """Apply a rule to a pool's score table, saving nothing: the live preview.

    `table` is of `pool_of`, and of `with_doubted` first; `verdicts` as `verdicts.current` gives it, of this data; a
    rule that asks for them finds none without. Raises UserError (`field` set) where a class has too few images, with
    the largest cut that works, and for a rule that asks no model.
    """
    if rule.kind not in OF_PREDICTIONS:
        raise UserError(f"The rule {rule.kind} is about the data and no model's predictions: choose another.", "kind")
    images = table.copy()
    decision = _decided(rule, verdicts)
    images["class"] = _corrected(images, decision, rule, class_names)
    images["fate"] = np.where(_excluded(images["image_id"], decision, rule), "excluded", "rest")
    images["rank"] = _ranks(images, rule)
    if rule.uses_score and images[rule.score].isna().any():
        raise UserError(_says_unknown(rule.score), field="score")
    left = images["fate"] != "excluded"
    images.loc[left, "fate"] = _fates(images[left], class_names, rule, decision)
    counts = {"pool": _per_class(images, class_names)}
    counts |= {fate: _per_class(images[images["fate"] == fate], class_names) for fate in FATES}
    _check_left(images, counts, class_names, rule)
    changed = images[(images["fate"] == "kept") & (images["class"] != images["label"])]
    labels = dict(zip(changed["image_id"].tolist(), changed["class"].tolist(), strict=True))
    return Division(images, class_names, counts, labels, _notes(images, decision, rule))


def _says_unknown(score: str) -> str:
    if score not in ("label_doubt", *OF_ONE_MODEL):
        return (
            f"{SCORES[score].title} compares seeds that have learned from the same images, and of these this group has "
            "one only, or none where it was trained with folds: choose a score of one model, such as entropy."
        )
    return (
        f"{SCORES[score].title} needs models that have not learned from the image, and every finished seed has learned "
        "from some of these: it takes a group with folds (--folds 5), of which all seeds are done."
    )


def _decided(rule: Rule, verdicts: pd.DataFrame | None) -> Decision:
    if not rule.uses_verdicts or verdicts is None:
        return Decision({}, {}, [], [])
    return decide(verdicts if rule.readers is None else verdicts[verdicts["reader"].isin(rule.readers)])


def _corrected(images: pd.DataFrame, decision: Decision, rule: Rule, class_names: list[str]) -> pd.Series:
    """(N,) the class of each image. Scores stay those of the given label."""
    if not rule.correct_labels:
        return images["label"]
    there = set(images["image_id"])
    labels = {image: label for image, label in decision.labels.items() if image in there}
    if beyond := [image for image, label in labels.items() if label >= len(class_names)]:
        raise UserError(
            f"A reader gave {beyond[0]} the right class {labels[beyond[0]]}, but the classes are 0 to "
            f"{len(class_names) - 1}: judge that image anew.",
            field="correct_labels",
        )
    return images["image_id"].map(labels).fillna(images["label"]).astype(np.int64)


def _notes(images: pd.DataFrame, decision: Decision, rule: Rule) -> list[str]:
    """Which images stay with the given label though a reader holds it for wrong."""
    if not rule.correct_labels:
        return []
    kept, notes = set(images.loc[images["fate"] == "kept", "image_id"]), []
    for doubted, why in (
        (decision.contradicted, "because the readers contradict each other"),
        (decision.unnamed, "though judged wrong, because nobody named the right class"),
    ):
        if found := [image for image in doubted if image in kept]:
            some = f"{', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
            notes.append(f"{_count(len(found), 'image')} kept the given label, {why}: {some}.")
    return notes


def _excluded(image_ids: pd.Series, decision: Decision, rule: Rule) -> pd.Series:
    """(N,) bool. A wrong label that is corrected is no reason to leave the image out."""
    out = {
        image
        for image, said in decision.said.items()
        if (said - ({"wrong_label"} if rule.correct_labels and image in decision.labels else set())) & {*rule.exclude}
    }
    return image_ids.isin(out)


def _ranks(images: pd.DataFrame, rule: Rule) -> np.ndarray:
    """(N,) int: 0 for the hardest of each class that is not excluded; -1 for an excluded one."""
    ranks = np.full(len(images), -1)
    rows = np.flatnonzero(images["fate"] != "excluded")
    hardness = SCORES[rule.score].harder * images[rule.score].to_numpy()[rows]
    classes = images["class"].to_numpy()[rows]
    order = np.lexsort((images["image_id"].to_numpy(dtype=str)[rows], -hardness, classes))
    sorted_classes = classes[order]
    firsts = np.searchsorted(sorted_classes, sorted_classes)  # where each one's class begins
    ranks[rows[order]] = np.arange(len(order)) - firsts
    return ranks


def _fates(images: pd.DataFrame, class_names: list[str], rule: Rule, decision: Decision) -> np.ndarray:
    """(N,) str of the images that are not excluded."""
    ranks, classes = images["rank"].to_numpy(), images["class"].to_numpy()
    sizes = np.bincount(classes, minlength=len(class_names))
    if rule.kind == "threshold":
        return _by_threshold(images[rule.score].to_numpy(), rule)
    if rule.kind == "verdicts":
        return np.full(len(images), "kept", dtype=object)
    if rule.kind == "labels":
        settled = (images["class"] != images["label"]) | images["image_id"].isin(decision.held_right)
        return np.where(images["doubted"] & ~settled, "dropped", "kept").astype(object)
    if rule.kind == "random":
        ranks = _drawn(images, rule.seed)
    if rule.kind == "share":
        drop = np.floor(rule.drop_share * sizes + ROUNDING).astype(int)
        whole = 1.0 if rule.keep_share is None else rule.keep_share
        keep = sizes - drop if rule.keep_share is None else np.floor(whole * sizes + ROUNDING).astype(int)
    else:
        drop = np.full(len(sizes), rule.drop)
        keep = np.array(rule.keep_each) if rule.keep_each else np.full(len(sizes), rule.keep or 1)
        if len(keep) != len(sizes):
            raise UserError(f"keep_each has {len(keep)} numbers for {len(sizes)} classes.", field="keep_each")
        _check_sizes(sizes, drop + keep, class_names, rule)
        if rule.keep is None and rule.kind == "rank":
            keep = sizes - drop
    fates = np.where(ranks < drop[classes], "dropped", "kept").astype(object)
    fates[ranks >= (drop + keep)[classes]] = "rest"
    return fates


def _by_threshold(scores: np.ndarray, rule: Rule) -> np.ndarray:
    low = -np.inf if rule.lowest is None else rule.lowest
    high = np.inf if rule.highest is None else rule.highest
    harder = scores > high if SCORES[rule.score].harder > 0 else scores < low
    fates = np.where((low <= scores) & (scores <= high), "kept", "rest").astype(object)
    fates[harder] = "dropped"
    return fates


def _drawn(images: pd.DataFrame, seed: int) -> np.ndarray:
    """(N,) int: each image's place in its class in an order drawn by `seed`.

    By a hash of seed and image id instead of a generator of random numbers, so that every version and machine draws the
    same.
    """
    ids, classes = images["image_id"].tolist(), images["class"].to_numpy()
    keys = np.array([hashlib.sha256(f"{seed} {image}".encode()).hexdigest() for image in ids])
    places = np.empty(len(ids), dtype=np.int64)
    order = np.lexsort((keys, classes))
    places[order] = np.arange(len(order)) - np.searchsorted(classes[order], classes[order])
    return places


def _check_sizes(sizes: np.ndarray, wanted: np.ndarray, class_names: list[str], rule: Rule) -> None:
    """Raises UserError where a class that occurs has fewer images than are wanted of it."""
    short = np.flatnonzero((sizes > 0) & (sizes < wanted))
    if not len(short):
        return
    there = ", ".join(f"{class_names[c]} has {_count(int(sizes[c]), 'image')}" for c in short)
    if rule.keep_each:
        raise UserError(f"Too few images to draw {rule.keep_each}: {there} in the pool.", field="keep_each")
    least = int(sizes[sizes > 0].min())
    drops = f"drop {rule.drop:,} and " if rule.drop else ""
    asked = f"to {drops}keep {rule.keep:,}" if rule.keep else f"to drop {rule.drop:,} and keep any"
    if rule.drop < least:
        works = f"with drop {rule.drop:,}, the largest keep that works is {least - rule.drop:,}"
        works = works if rule.drop else f"the largest keep that works is {least:,}"
    else:
        works = f"the largest drop that leaves an image of each class is {least - 1:,}"
    field = "keep" if rule.drop < least else "drop"
    raise UserError(f"Too few images {asked} of each class: {there} in the pool; {works}.", field=field)


def _check_left(images: pd.DataFrame, counts: dict[str, list[int]], class_names: list[str], rule: Rule) -> None:
    """Raises UserError where the rule leaves nothing of a class that occurs."""
    for c, name in enumerate(class_names):
        if counts["kept"][c] or not counts["pool"][c]:
            continue
        if counts["excluded"][c] == counts["pool"][c]:
            raise UserError(
                f"The verdicts leave none of the {counts['pool'][c]:,} images of {name}: exclude less.", field="exclude"
            )
        if rule.kind == "threshold":
            scores = images.loc[(images["class"] == c) & (images["fate"] != "excluded"), rule.score]
            raise UserError(
                f"No image of {name} has {SCORES[rule.score].title.lower()} in that range: its "
                f"{_count(len(scores), 'image')} have {scores.min():.4g} to {scores.max():.4g}.",
                field="highest" if rule.highest is not None else "lowest",
            )
        if rule.kind == "labels":
            raise UserError(
                f"Of {name} {_count(counts['dropped'][c], 'label')} would go as doubted and nothing would be left: "
                "look at them on Images, where the verdict fine or truly hard keeps an image.",
                field="kind",
            )
        raise UserError(
            f"Nothing of {name} would be kept: it has {_count(counts['pool'][c], 'image')}; raise keep_share.",
            field="keep_share",
        )


def _per_class(images: pd.DataFrame, class_names: list[str]) -> list[int]:
    return np.bincount(images["class"], minlength=len(class_names)).tolist()


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def verdicts_for(predictions: SeedPredictions, rule: Rule) -> pd.DataFrame | None:
    """The verdicts on these images that the rule asks for; None where it asks for none.

    Raises UserError where a named reader has judged nothing.
    """
    if not rule.uses_verdicts:
        return None
    table = current(predictions.group.path.parent, predictions.data_checksum)
    for reader in rule.readers or []:
        if reader not in set(table["reader"]):
            there = ", ".join(sorted(set(table["reader"])))
            others = f"there are: {there}" if there else "nobody has one"
            raise UserError(f"The reader '{reader}' has no verdict on these images; {others}.", "readers")
    return table


def distil(predictions: SeedPredictions, name: str, rule: Rule, whose: Whose | None = None, pool: Pool = "run") -> Cut:
    """The cut of a group by a rule, not saved yet; verdicts are read from the group's runs folder where the rule asks.

    Raises UserError as `divide` does, ValueError for predictions of another split than train.
    """
    if predictions.split != "train":
        raise ValueError(f"a cut is of the train split, these predictions are of {predictions.split}")
    whose = predictions.usual if whose is None else whose
    table = pool_of(with_doubted(score_images(predictions, whose), predictions, rule), pool)
    division = divide(table, predictions.class_names, rule, verdicts_for(predictions, rule))
    says = whose_says(predictions, whose, rule.score if rule.uses_score else None)
    ids, resolved, group = division.ids("kept"), predictions.resolved, predictions.group
    notes = list(division.notes)
    earlier = pinned_cut(group.path)
    if earlier and earlier.labels and not rule.correct_labels:
        notes.append(
            f"{group.name} was trained with {_count(len(earlier.labels), 'corrected label')}; this cut has the labels "
            "of the data."
        )
    return Cut(
        name=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        user=acting_user(),
        rule=rule,
        pool=pool,
        source=Source(
            group=group.name,
            seeds=_seeds_read(predictions, rule, whose),
            whose=str(whose),
            whose_says=says,
            selection=group.config.selection,
        ),
        data_source=resolved.data_source,
        data_checksum=resolved.data_checksum,
        image_size=group.config.image_size,
        synthetic=resolved.synthetic,
        class_names=predictions.class_names,
        image_ids=ids,
        labels=division.labels,
        counts=division.counts,
        notes=notes,
        hash=cut_hash(resolved.data_checksum, ids, division.labels),
    )


def _seeds_read(predictions: SeedPredictions, rule: Rule, whose: Whose) -> list[int]:
    if whose in ("mean", "held-out") or (rule.uses_score and rule.score not in OF_ONE_MODEL):
        return predictions.seeds
    return [predictions.best_seed if whose == "best" else int(whose)]


@dataclass(frozen=True)
class Overlap:
    """Jaccard index |A and B| / |A or B| of the cuts that each seed's own model would make; matrices (S, S)."""

    seeds: list[int]
    kept: np.ndarray
    dropped: np.ndarray

    def median(self, fate: Literal["kept", "dropped"]) -> float:
        """Over pairs of different seeds; NaN where neither seed drops anything."""
        return float(np.median(getattr(self, fate)[np.triu_indices(len(self.seeds), k=1)]))


def overlap(predictions: SeedPredictions, rule: Rule, pool: Pool = "run") -> Overlap | None:
    """How far the seeds agree on the cut: None of fewer than two, by a rule that is the same for all of them, or where
    they have learned from different images and so would differ without it.

    Raises UserError as `divide` does.
    """
    by_each = rule.uses_score and rule.score in OF_ONE_MODEL
    if len(predictions.seeds) < 2 or not by_each or predictions.cross_fitted:
        return None
    verdicts = verdicts_for(predictions, rule)
    fates = []
    for seed in predictions.seeds:
        table = pool_of(score_one_model(predictions, seed), pool)
        fates.append(divide(table, predictions.class_names, rule, verdicts).images["fate"].to_numpy())
    stacked = np.stack(fates)  # (S, N)
    return Overlap(predictions.seeds, _jaccard(stacked == "kept"), _jaccard(stacked == "dropped"))


def _jaccard(members: np.ndarray) -> np.ndarray:
    """(S, N) bool -> (S, S); NaN of two empty sets."""
    counts = members.astype(np.int64)
    both = counts @ counts.T
    either = counts.sum(1)[:, None] + counts.sum(1)[None, :] - both
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
