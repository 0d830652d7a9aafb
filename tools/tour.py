"""The former name of tools/quickstart.py."""

import _bootstrap
import quickstart

if __name__ == "__main__":
    _bootstrap.run(quickstart.main)
