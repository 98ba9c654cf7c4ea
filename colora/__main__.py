"""`python -m colora`: every job without a browser."""

import os
import sys

from colora.cli.main import main

code = main()
if sys.argv[1:2] == ["train"]:
    # All is written, and Python need not take torch apart: that touches 130 MB more than the run has ever had, which
    # counts where memory is limited, and takes a second.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
sys.exit(code)
