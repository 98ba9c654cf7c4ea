"""`python -m colora`: every job without a browser."""

import sys

from colora.cli import main

sys.exit(main())
