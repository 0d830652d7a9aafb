"""Runs tools/quickstart.py, which was called tour.py."""

import runpy

runpy.run_path(__file__.replace("tour.py", "quickstart.py"), run_name="__main__")
