"""Serves a web page that colors pictures, at the address that it prints."""

from __future__ import annotations

import sys

from absl import flags

from residual_encoder.apps import cli, shared_flags

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
_VIVIDNESS = shared_flags.vividness()
_TEMPERATURE = shared_flags.temperature()
_PRIOR_CORRECTION = shared_flags.prior_correction()
_ENGINE = shared_flags.engine()
_MAX_MEGABYTES = flags.DEFINE_integer(
    "max_megabytes", 50, "Largest picture file that is taken, in megabytes.", lower_bound=1
)
_MAX_FILM_MEGABYTES = flags.DEFINE_integer(
    "max_film_megabytes", 500, "Largest film that is taken, in megabytes.", lower_bound=1
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
            vividness=_VIVIDNESS.value,
            temperature=_TEMPERATURE.value,
            prior_correction=_PRIOR_CORRECTION.value,
            engine=_ENGINE.value,
        )
    )


def run() -> None:
    """Starts the command."""
    cli.run(main)
