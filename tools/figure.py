"""Runs tools/draw_model.py, which was called figure.py."""

import runpy

runpy.run_path(__file__.replace("figure.py", "draw_model.py"), run_name="__main__")
