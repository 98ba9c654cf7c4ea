"""What trains beside the adapters: a model's classifier, wherever it has it, or the modules that are named."""

from collections.abc import Sequence

from torch import nn

from colora.adapters.targets import listed, matches, patterns_of
from colora.adapters.walk import modules_by_name

CLASSIFIER = "classifier"  # in `train_also`: wherever the model has it
CLASSIFIERS = (
    "head", "fc", "classifier", "heads", "last_linear", "_fc", "class_layers",
    "segmentation_head", "classification_head",
)  # fmt: skip
AUXILIARY = ("AuxLogits", "aux1", "aux2", "aux_classifier", "classification_head")  # beside a classifier


def classifier_names(model: nn.Module) -> list[str]:
    """The names of the modules that turn features into classes: timm's `get_classifier`, else by their usual names,
    and then the last layer of each auxiliary classifier too. Empty where there is none.

    A model that holds nothing but another one, as a training loop's does, has that one's.
    """
    if callable(get := getattr(model, "get_classifier", None)):
        given = get()
        found = [m for m in (given if isinstance(given, tuple | list) else (given,)) if isinstance(m, nn.Module)]
        if found:  # without classes it is an Identity, and there is none
            named = modules_by_name(model).items()
            return [n for n, m in named if any(m is one for one in found) and _has_parameters(m)]
    children = {name: child for name, child in model.named_children() if _has_parameters(child)}
    names = [name for name in CLASSIFIERS if name in children][:1]
    for name in AUXILIARY if names else ():
        if name in children and name not in names:
            names.append(f"{name}.{_last_layer(children[name])}".removesuffix("."))
    if not names and len(children) == 1:
        [(outer, only)] = children.items()
        names = [f"{outer}.{name}" for name in classifier_names(only)]
    return names


def _has_parameters(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _last_layer(module: nn.Module) -> str:
    return [name for name, m in module.named_modules() if m._parameters][-1]


def trained_beside(model: nn.Module, train_also: str | Sequence[str] | None) -> list[str]:
    """The modules that `train_also` names, by their names in the model; None is the classifier, where there is one.

    Raises ValueError, with the classifier that was found, for a name that is not there.
    """
    modules, found = modules_by_name(model), classifier_names(model)
    if train_also is None:
        return found
    names: list[str] = []
    for wanted in patterns_of(train_also):
        if wanted and wanted in modules:
            there = [wanted]
        elif wanted == CLASSIFIER:
            there = found
        else:
            there = [name for name in modules if name and matches(wanted, name)]
        if not there:
            known = f"its classifier is {listed(found)}" if found else "no classifier was found in it"
            children = listed([name for name, _ in model.named_children()])
            raise ValueError(f"train_also names {wanted!r}, which the model lacks: {known}; it has {children}")
        names += there
    return list(dict.fromkeys(names))
