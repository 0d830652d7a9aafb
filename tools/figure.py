"""The former name of tools/draw_model.py."""

import _bootstrap
import draw_model

if __name__ == "__main__":
    _bootstrap.run(draw_model.main)
