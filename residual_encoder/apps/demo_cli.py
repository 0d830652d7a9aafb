"""Serves a web page that colors pictures, at the address that it prints."""

from __future__ import annotations

import sys

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.apps.web import limits

_PORT = flags.DEFINE_integer(
    "port", None, "Port to listen at, 0 for any; default: the first free one from 7860 on."
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to listen at. The default serves this computer alone; 0.0.0.0 serves whoever reaches "
    "it, without a password.",
)
_MODEL = shared_flags.model()
_COLORS = shared_flags.Colors()
_ENGINE = shared_flags.engine()
_MAX_MEGABYTES = flags.DEFINE_integer(
    "max_megabytes",
    limits.MAX_MEGABYTES,
    "Largest picture file that is taken, in megabytes.",
    lower_bound=1,
)
_MAX_FILM_MEGABYTES = flags.DEFINE_integer(
    "max_film_megabytes",
    limits.MAX_FILM_MEGABYTES,
    "Largest film that is taken, in megabytes.",
    lower_bound=1,
)


def main(_: list[str]) -> None:
    """Serves until it is interrupted."""
    print("Loading the network ...", file=sys.stderr, flush=True)
    cli.single_threaded_algebra()
    from residual_encoder.apps.web import server

    server.serve(
        server.PageConfig(
            model=_MODEL.value,
            host=_HOST.value,
            port=_PORT.value,
            max_megabytes=_MAX_MEGABYTES.value,
            max_film_megabytes=_MAX_FILM_MEGABYTES.value,
            **_COLORS.settings(),
            engine=_ENGINE.value,
        )
    )


def run() -> None:
    """Starts the command."""
    cli.run(main)
