"""An address whose image is in another split than the one it names, or where it names none: the page goes there."""

from contextlib import suppress

from colora.distillation.scores import SeedPredictions
from colora.plots import SPLIT_NAMES
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import address
from pages.components.images import scored
from pages.components.images.in_address import IMAGE, meant, opened_image


def split_to_go_to(group: Group, found: SeedPredictions) -> str | None:
    """The one other split of the group that has the image which the address means; None where it means none, where the
    split on show has it, and where two others have one of that name, of which neither is taken for the other."""
    asked = address.get(IMAGE)
    if not asked or (found.images["image_id"] == opened_image(found.data_checksum, found.images["image_id"])).any():
        return None
    there = []
    for split in (name for name in SPLIT_NAMES if name != found.split):  # a link to other data names them
        with suppress(UserError):  # a split without predictions yet, or with damaged ones
            other = scored.predictions(group, split)
            if meant(other.data_checksum, other.images["image_id"], asked) is not None:
                there.append(split)
    return there[0] if len(there) == 1 else None
