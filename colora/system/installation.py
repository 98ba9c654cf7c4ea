"""What is installed and where: at the bottom, since downloads tell the version and processes start in the folder."""

from pathlib import Path

VERSION = "0.1.0"
ROOT = Path(__file__).parents[2]
"""The folder with app.py and colora/, from which `python -m colora` runs."""
