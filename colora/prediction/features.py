"""Features of a seed that was trained before they were kept: its images are read again, and run through its model."""

from colora.data.sources import SPLITS, load_dataset
from colora.prediction.models import GroupModels
from colora.runs.features import has_features, write_features
from colora.runs.folder import Group, Run
from colora.system.download import Progress, quiet
from colora.system.errors import UserError
from colora.training.checkpoint import saved_model_epoch


def keep_features(group: Group, run: Run, on_progress: Progress = quiet) -> bool:
    """Writes `runs.features` of one finished seed, and returns whether there was anything to do. `on_progress` as in
    `outside.evaluate_group`.

    Raises UserError where its images cannot be read, or are others now than those that it was trained on.
    """
    if has_features(run):
        return False
    dataset = load_dataset(run.config, lambda done, total: on_progress("preparing images", done, total))
    models = GroupModels.of(group)
    if dataset.checksum() != models.resolved.data_checksum:
        raise UserError(f"The images of {run.config.dataset} have changed since {group.name} was trained on them.")
    features = {}
    for done, split in enumerate(SPLITS):
        on_progress("looking at the splits", done, len(SPLITS))
        features[split] = models.seen_by(run, dataset.splits[split].images).features
    write_features(run, features, saved_model_epoch(run))
    return True
