"""The words of the method, each in a sentence or two: the one source of the pages' tooltips and of docs/glossary.md.

For whoever knows images and patients and has never trained a network. A word is explained where it stands first; a
sentence uses no other word that is not here. `python -m colora.settings.glossary` prints the page of the docs.
"""

from typing import NamedTuple


class Term(NamedTuple):
    """A word as the pages write it, and what it means here."""

    title: str
    says: str


TERMS: dict[str, Term] = {
    "group": Term(
        "Group of runs",
        "One network trained several times on the same images with the same settings; only the seed differs.",
    ),
    "seed": Term(
        "Seed",
        "The number that starts a run's chance: the order of the images, the first values of what is trained. Several "
        "seeds show how much of a result is luck.",
    ),
    "class": Term("Class", "One of the answers that a model can give, such as CNV, DME, drusen or normal."),
    "backbone": Term(
        "Network (backbone)",
        "The layers that turn an image into a list of numbers, such as VGG16 or ResNet-18. A larger one sees more and "
        "takes longer.",
    ),
    "weights": Term(
        "Pretrained weights",
        "The numbers inside a network, as it has learnt them from a million photographs (ImageNet). Training starts "
        "there and needs far fewer scans than from nothing.",
    ),
    "head": Term("Head", "The last layers, which turn what the network has seen into a probability for each class."),
    "fine_tuning": Term("Fine-tuning", "Training a pretrained network further, on your own images."),
    "colora": Term(
        "CoLoRA",
        "A way to fine-tune that keeps the pretrained network and trains small updates beside its convolutions, which "
        "are then added to it. The finished network is as large as before.",
    ),
    "merge": Term(
        "Merge", "Adding what CoLoRA's small updates have learnt to the network; the updates then start from zero."
    ),
    "rank": Term(
        "Rank", "How many terms each of CoLoRA's updates is made of. More can learn more, and train more weights."
    ),
    "epoch": Term(
        "Epoch", "One pass over all training images. The epoch that does best on validation is the one kept."
    ),
    "batch": Term("Batch", "So many images are looked at before the network changes a little: one step of training."),
    "learning_rate": Term(
        "Learning rate",
        "How far the network changes at each step. Too large, and it unlearns; too small, and it hardly learns.",
    ),
    "splits": Term(
        "Training, validation, test",
        "Three parts of the images, no patient in two of them where patients are known: from the first the network "
        "learns, by the second the best epoch is chosen, and the third only tells how good it is.",
    ),
    "augmentation": Term(
        "Augmentation",
        "Showing training images mirrored or moved a little, so that the network learns the scan and not its place.",
    ),
    "accuracy": Term("Accuracy", "The share of images whose most probable class is the given one."),
    "auc": Term(
        "AUC",
        "Area under the ROC curve: how often an image of a class gets a higher probability of it than an image of "
        "another. 0.5 is a coin, 1 is perfect.",
    ),
    "sensitivity": Term("Sensitivity", "Of the images of a class, the share that is found (recall)."),
    "specificity": Term("Specificity", "Of the images of all other classes, the share that is not taken for this one."),
    "confusion": Term("Confusion matrix", "How many images of each class were taken for which class."),
    "interval": Term(
        "Interval (95 %)",
        "Where the figure could as well lie, given how few test images there are: 95 of 100 such ranges "
        "hold what very many images would show.",
    ),
    "iqr": Term("Median and IQR", "The middle one of the seeds' figures, and the range of their middle half."),
    "calibration": Term(
        "Calibration", "Whether a probability means what it says: of the images given 80 %, 80 of 100 are right."
    ),
    "entropy": Term(
        "Entropy (doubt)",
        "How undecided a prediction is: zero where one class has everything, largest where all are equally probable.",
    ),
    "cut": Term(
        "Cut (distilled set)",
        "A chosen part of the training images, without those that confuse more than they teach; the next group is "
        "trained on it.",
    ),
    "folds": Term(
        "Folds (cross-fitting)",
        "The training images in parts, one of which each seed leaves out, so that a model can speak of images that it "
        "has not learned from.",
    ),
}
OF_SETTINGS = {  # which word a setting is about
    "backbone": "backbone",
    "weights": "weights",
    "method": "colora",
    "merge_every": "merge",
    "rank": "rank",
    "epochs": "epoch",
    "batch_size": "batch",
    "lr": "learning_rate",
    "lr_head": "head",
    "augment": "augmentation",
    "cut": "cut",
    "folds": "folds",
    "split_seed": "splits",
    "selection": "splits",
    "class_names": "class",
}


def explains(*words: str) -> str:
    """What stands in a tooltip. Raises KeyError for what is none of TERMS."""
    return "\n\n".join(f"**{TERMS[word].title}**: {TERMS[word].says}" for word in words)


def of_setting(field: str) -> str:
    """The word that a setting is about, explained; "" where it is about none."""
    return explains(OF_SETTINGS[field]) if field in OF_SETTINGS else ""


def as_markdown() -> str:
    """docs/glossary.md."""
    lines = "\n".join(f"**{term.title}**  \n{term.says}\n" for term in sorted(TERMS.values()))
    return f"# Words\n\nWhat the words of the pages mean. Research use only. Not a medical device.\n\n{lines}"


if __name__ == "__main__":
    print(as_markdown(), end="")
