"""What is installed and where: at the bottom, since downloads tell the version and processes start in the folder."""

import os
from pathlib import Path

VERSION = "0.1.0"
ROOT = Path(__file__).parents[2]
"""The folder with app.py and colora/, from which `python -m colora` runs."""


def settings_places(file: str, variable: str) -> list[Path]:
    """Where a file of settings of this computer may be, in the order in which it is looked for: where the environment's
    `variable` says and nowhere else, or beside app.py, in ~/.config/colora, in /etc/colora."""
    if named := os.environ.get(variable):
        return [Path(os.path.expanduser(named))]
    configured = Path(os.path.expanduser(os.environ.get("XDG_CONFIG_HOME") or "~/.config"))  # as it is without a home
    return [ROOT / file, configured / "colora" / file, Path("/etc/colora") / file]
