"""The former name of tools/sample_sheet.py."""

import _bootstrap
import sample_sheet

if __name__ == "__main__":
    _bootstrap.run(sample_sheet.main)
