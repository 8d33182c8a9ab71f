"""The search of the train stage; its space is given by --space."""

import sys

from hpo.cli import main

if __name__ == "__main__":
    sys.exit(main({}))
