"""The former name of tools/measure_color_prior.py."""

import _bootstrap
import measure_color_prior

if __name__ == "__main__":
    _bootstrap.run(measure_color_prior.main)
