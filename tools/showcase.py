"""Runs tools/sample_sheet.py, which was called showcase.py."""

import runpy

runpy.run_path(__file__.replace("showcase.py", "sample_sheet.py"), run_name="__main__")
