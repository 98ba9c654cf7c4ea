"""Numbers that may have a fraction, typed as text: 0.01, 0,01 or 1e-2.

A browser's own field for numbers drops the comma of "0,01" without a word, and makes it 1.
"""

from colora.system.errors import UserError
from colora.system.typed import bare, shortened, typed_number


def decimal(label: str, text: str, low: float | None = None, high: float | None = None) -> float | None:
    """The number in the field `label`, None of an empty one. Raises UserError for another text, or out of bounds."""
    if not bare(text):
        return None
    try:
        value = typed_number(text)
    except ValueError as error:
        raise UserError(f"{label}: '{shortened(bare(text))}' is no number; write it as 0.01 or 1e-2.") from error
    if (low is not None and value < low) or (high is not None and value > high):
        raise UserError(f"{label}: {value:g} does not lie between {low:g} and {high:g}.")
    return value


def needed(label: str, text: str, low: float, high: float) -> float:
    """`decimal` of a field that may not be empty."""
    value = decimal(label, text, low, high)
    if value is None:
        raise UserError(f"{label}: a number between {low:g} and {high:g} is needed here.")
    return value
