"""What the seeds of a group see in their images, of seeds that were trained before that was kept: the images are read
again, and run through their models."""

import numpy as np

from colora.data.sources import SPLITS, load_dataset
from colora.prediction.models import GroupModels
from colora.results.summary import targets
from colora.runs.access import check_group
from colora.runs.audit import record
from colora.runs.features import has_features, write_features
from colora.runs.folder import Group, same_group
from colora.runs.lock import editing
from colora.runs.prediction_table import trained_on
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.familiar import kept_of, maps_at


def keep_features(group: Group, on_progress: Progress = quiet) -> list[int]:
    """Writes `runs.features` of the finished seeds that have none, and returns which these were. `on_progress` as in
    `outside.evaluate_group`.

    Raises UserError where no seed is finished, where the images cannot be read, or are others now than those that the
    group was trained on, and where another group has this one's name meanwhile.
    """
    check_group("features", group)
    identity = group.identity
    models = GroupModels.of(group)
    lacking = [run for run in models.runs if not has_features(run)]
    if not lacking:
        return []
    config = lacking[0].config
    dataset = load_dataset(config, lambda done, total: on_progress("preparing images", done, total))
    if dataset.checksum() != models.resolved.data_checksum:
        raise UserError(f"The images of {config.dataset} have changed since {group.name} was trained on them.")
    images = {split: dataset.splits[split].images for split in SPLITS}
    for done, run in enumerate(lacking):
        on_progress("looking at the images with seeds", done, len(lacking))
        table = run.predictions("train")
        at = maps_at({split: len(own) for split, own in images.items()}, np.flatnonzero(trained_on(table)))
        model = GroupModels([run], models.resolved, models.device, keep=True)  # read once for the three splits
        seen = {split: model.seen_by(run, own, at[split]) for split, own in images.items()}
        kept = kept_of(seen, targets(table).to_numpy()[at["train"]])
        with editing(group.path.parent):
            same_group(group.path, identity)  # another one may have its name by now
            write_features(run, kept)
    made = [run.seed for run in lacking]
    record(group.path.parent, "features", group.name, made)
    return made
