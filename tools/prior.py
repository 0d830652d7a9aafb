"""Runs tools/measure_color_prior.py, which was called prior.py."""

import runpy

runpy.run_path(__file__.replace("prior.py", "measure_color_prior.py"), run_name="__main__")
