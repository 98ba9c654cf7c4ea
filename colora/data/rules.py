"""The rule of a cut: what of each class is discarded and what is kept, checked and said; `distil` applies it."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from colora.settings.catalog import SCORES, VERDICTS, nearest
from colora.system.errors import UserError

Kind = Literal["rank", "share", "threshold", "labels", "random", "verdicts", "leaks"]
OF_PREDICTIONS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "leaks")  # which needs no model
EXCLUDABLE = tuple(name for name in VERDICTS if name != "fine")
OWN = {  # the settings that mean something for one kind only
    "drop": ("rank",),
    "keep": ("rank", "random"),
    "keep_each": ("random",),
    "drop_share": ("share",),
    "keep_share": ("share",),
    "lowest": ("threshold",),
    "highest": ("threshold",),
    "seed": ("random",),
    "patients": ("leaks",),
}


class Rule(BaseModel):
    """How a pool of images is divided, class by class. Make it with `make_rule`, whose errors are sentences.

    rank: discard the `drop` hardest of each class by `score`, keep the next `keep` (None: all the others).
    share: the same with `drop_share` and `keep_share` of each class, rounded down.
    threshold: keep `lowest` <= score <= `highest`; what lies on the harder side is discarded.
    labels: discard the images whose labels are doubted, as `metrics.label_doubt` counts and ranks them over all
    classes; its score is label_doubt. What a reader corrected, or judged fine or truly hard with nobody against it,
    is doubted no more.
    random: keep `keep` of each class, or `keep_each`, a number for each class, drawn with `seed`.
    verdicts: keep whatever `exclude` and `correct_labels` leave.
    leaks: leave out what stands in validation or test too, or nearly, and what stands under two labels; with `patients`
    whatever is of a patient who is there as well. No model is asked: `leak_free` makes such a cut.
    `exclude`, `correct_labels` and `readers` work with every kind but leaks, and come before it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "rank"
    score: str = "entropy"
    drop: int = Field(0, ge=0)
    keep: int | None = Field(None, ge=1)
    keep_each: list[int] | None = None
    drop_share: float = Field(0.0, ge=0, lt=1)
    keep_share: float | None = Field(None, gt=0, le=1)
    lowest: float | None = Field(None, allow_inf_nan=False)
    highest: float | None = Field(None, allow_inf_nan=False)
    seed: int = Field(0, ge=0)
    exclude: list[str] = Field([], description="Verdicts whose images are left out: artefact, hard, wrong_label.")
    correct_labels: bool = Field(False, description="Train with the right label where a reader named it.")
    readers: list[str] | None = Field(None, description="Whose verdicts count; None: everyone's.")
    patients: bool = Field(False, description="Leave out images whose patient is in validation or test.")

    @model_validator(mode="before")
    @classmethod
    def _labels_have_their_score(cls, values: Any) -> Any:
        of_labels = isinstance(values, dict) and values.get("kind") == "labels"
        return {"score": "label_doubt"} | values if of_labels else values

    @field_validator("score")
    @classmethod
    def _known_score(cls, value: str) -> str:
        if value not in SCORES:
            raise ValueError(f"there is no score '{value}': {nearest(value, SCORES)}")
        return value

    @field_validator("exclude")
    @classmethod
    def _known_verdicts(cls, value: list[str]) -> list[str]:
        for verdict in value:
            if verdict not in EXCLUDABLE:
                raise ValueError(f"there is no verdict '{verdict}' to leave out: {nearest(verdict, EXCLUDABLE)}")
        return sorted(set(value))

    @model_validator(mode="after")
    def _goes_together(self) -> "Rule":
        for name, kinds in OWN.items():
            if self.kind not in kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} belongs to the rule {' or '.join(kinds)}, not to {self.kind}")
        if self.kind == "labels" and self.score != "label_doubt":
            raise ValueError("labels goes by label_doubt: leave score out, or choose rank, share or threshold")
        if self.kind == "rank" and not self.drop and self.keep is None:
            raise ValueError(
                "rank needs drop (how many of the hardest to discard), keep (how many of the next), or both"
            )
        if self.kind == "share":
            if not self.drop_share and self.keep_share is None:
                raise ValueError("share needs drop_share, keep_share, or both")
            if self.drop_share + (self.keep_share or 0) > 1 + 1e-9:
                raise ValueError("drop_share and keep_share together are more than the whole, 1")
        if self.kind == "threshold":
            if self.lowest is None and self.highest is None:
                raise ValueError("threshold needs lowest, highest, or both")
            if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
                raise ValueError("lowest is above highest, so nothing lies between them")
        if self.kind == "random" and (self.keep is None) == (self.keep_each is None):
            raise ValueError("random needs keep, how many of each class to draw, or keep_each, a number for each class")
        if self.kind == "verdicts" and not self.uses_verdicts:
            raise ValueError("verdicts needs exclude (such as artefact), correct_labels, or both")
        if self.kind == "leaks" and self.uses_verdicts:
            raise ValueError("exclude and correct_labels do not go with the rule leaks: cut by verdicts from a group")
        if self.readers is not None and not self.uses_verdicts:
            raise ValueError("readers says whose verdicts count, so it needs exclude or correct_labels")
        return self

    @property
    def uses_verdicts(self) -> bool:
        return bool(self.exclude) or self.correct_labels or self.kind == "labels"

    @property
    def uses_score(self) -> bool:
        return self.kind in ("rank", "share", "threshold", "labels")

    def says(self) -> str:
        """The rule as a sentence for people, without its first capital and its full stop."""
        hard = f"{'highest' if SCORES[self.score].harder > 0 else 'lowest'} {SCORES[self.score].title.lower()}"
        if self.kind == "rank":
            drop, keep = f"{self.drop:,}" if self.drop else "", "" if self.keep is None else f"{self.keep:,}"
            said = _discard_and_keep(drop, keep, hard)
        elif self.kind == "share":
            drop = f"{100 * self.drop_share:g} %" if self.drop_share else ""
            said = _discard_and_keep(drop, "" if self.keep_share is None else f"{100 * self.keep_share:g} %", hard)
        elif self.kind == "threshold":
            low = "" if self.lowest is None else f"{self.lowest:g} <= "
            high = "" if self.highest is None else f" <= {self.highest:g}"
            said = f"keep {low}{SCORES[self.score].title.lower()}{high}"
        elif self.kind == "labels":
            said = "discard the images whose labels confident learning doubts and no reader holds for right"
        elif self.kind == "random":
            sizes = [self.keep] if self.keep else sorted(set(self.keep_each or []))
            each = " + ".join(f"{n:,}" for n in self.keep_each or [])
            kept = f"of each class, keep {sizes[0]:,}" if len(sizes) == 1 else f"keep {each} of the classes"
            said = f"{kept} drawn at random (seed {self.seed})"
        elif self.kind == "leaks":
            theirs = " those of their patients," if self.patients else ""
            said = f"leave out what validation or test have too, or nearly,{theirs} and pictures under two labels"
        else:
            said = "keep every image that the verdicts leave"
        return said + self._verdicts_say()

    def _verdicts_say(self) -> str:
        by = f" (readers: {', '.join(self.readers)})" if self.readers is not None else ""
        parts = []
        if self.exclude:
            parts.append(f"without those judged {' or '.join(VERDICTS[v].lower() for v in self.exclude)}")
        if self.correct_labels:
            parts.append("with corrected labels")
        return f", {', '.join(parts)}{by}" if parts else by


def _discard_and_keep(drop: str, keep: str, hard: str) -> str:
    if not drop:
        return f"of each class, keep the {keep} of {hard}"
    return f"of each class, discard the {drop} of {hard} and keep {f'the next {keep}' if keep else 'all the others'}"


def make_rule(**values: Any) -> Rule:
    """Rule from plain values. Raises UserError, `field` set, for what is wrong or does not go together."""
    try:
        return Rule(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "rule"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            message = f"{field}: {message[0].lower()}{message[1:]}, but got {first['input']!r}"
        sentence = message[0].upper() + message[1:]
        raise UserError(sentence if sentence.endswith((".", "?")) else f"{sentence}.", field=field) from error
