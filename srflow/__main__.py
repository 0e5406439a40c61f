"""The entry point of `python -m srflow`."""

import sys

from srflow.cli import main

sys.exit(main())
