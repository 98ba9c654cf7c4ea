"""What a run turned out to be trained on and with, beside what was asked for: kept in its config.json."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0, le=10**12)]


class Resolved(BaseModel):
    """What the machine and the files turned out to be; written once, when a run first starts, and kept on resume."""

    model_config = ConfigDict(strict=True)

    device: str
    precision: Literal["fp32", "bf16"]
    threads: int
    torch: str
    class_names: list[str]
    class_names_given: bool = Field(description="False where the data had no names and the classes are numbered.")
    data_source: str
    data_checksum: str
    synthetic: bool
    split_rule: str = Field(description="How train, validation and test were separated, for a person to read.")
    preparation: str = Field(description="How each image became the network's input; evaluate and predict do the same.")
    class_counts: dict[str, list[Count]] = Field(description="Images of each class in each split, and in 'used'.")
    weights_checksum: str | None
    random_layers: list[str] = Field(description="Weights that the file did not have and that stayed random.")
    parameters: dict[str, Count] = Field(description="Weights, as `count_parameters`; older runs lack some.")
    forms: dict[str, str] = Field(
        {}, description="Each adapted layer and how it computes (adapters.forms); kept on resume."
    )
    cut_hash: str | None = Field(None, description="Of the cut that was trained on; None without one.")
    warnings: list[str]

    @model_validator(mode="after")
    def _counts_each_class(self) -> "Resolved":
        if not {"train", "val", "test", "used"} <= self.class_counts.keys():
            raise ValueError("class_counts lacks a split")
        if any(len(counts) != len(self.class_names) for counts in self.class_counts.values()):
            raise ValueError(f"class_counts does not count each of its {len(self.class_names)} classes")
        return self
