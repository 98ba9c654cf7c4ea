"""Every group in a row of plain values, as the command line lists them: thousands in a second, without pandas."""

from pathlib import Path
from typing import Any

from colora.runs.folder import list_groups
from colora.system.errors import UserError


def listing(runs_dir: Path) -> list[dict[str, Any]]:
    """One row a group, last launched first: name, state, seeds, done (how many of them), apart (the seeds not trained
    on what the others were), created, reason (of damage)."""
    rows = []
    for group in list_groups(runs_dir):
        row: dict[str, Any] = {"name": group.name, "state": "damaged", "seeds": 0, "done": 0, "apart": []}
        row |= {"created": None}
        try:
            states = [run.state for run in group.runs]
            row |= {"state": group.state, "seeds": len(states), "done": states.count("done"), "reason": None}
            row |= {"apart": [run.seed for run in group.apart], "created": group.info["created"]}
        except UserError as error:
            row |= {"state": "damaged", "reason": str(error)}
        except KeyError:
            row |= {"state": "damaged", "reason": f"{group.path / 'group.json'} does not say when it was made."}
        rows.append(row)
    return rows
