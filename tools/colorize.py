"""Colors photographs and films: tools/colorize.py INPUT... --output=DIR."""

from __future__ import annotations

import door

from residual_encoder import command

if __name__ == "__main__":
    door.run(command.main, positional=True)
