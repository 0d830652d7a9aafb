"""Puts the repository on the path, so that the tools run from a checkout without installation."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
