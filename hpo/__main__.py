"""`python -m hpo COMMAND`."""

import sys

from hpo.commands import main

if __name__ == "__main__":
    sys.exit(main())
