"""Serves a web page: pictures and films in, colors that a click corrects, colored files out.

Nothing is loaded from elsewhere, and nothing is reported to anybody.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residual_encoder.apps.web import preview
from residual_encoder.apps.web.archive import Served, as_flag
from residual_encoder.apps.web.limits import MAX_FILM_MEGABYTES, MAX_MEGABYTES
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import Hint

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 7860, 100
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
AT_ONCE = 256  # connections


@dataclass(frozen=True)
class PageConfig:
    """Settings of the page's server.

    Attributes:
      model: See `Colorizer`.
      host: Address to listen at; the default is this computer alone.
      port: None is the first free one from `FIRST_PORT` on, 0 any free one.
      max_megabytes: Largest picture file that is taken, in units of 2^20 bytes.
      vividness: See `Colorizer`; where the page's control stands at first.
      temperature: See `Colorizer`.
      prior_correction: See `Colorizer`.
      max_film_megabytes: As `max_megabytes`, of a film.
      engine: See `Colorizer`.
    """

    model: str | None = None
    host: str = HOST
    port: int | None = None
    max_megabytes: int = MAX_MEGABYTES
    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None
    max_film_megabytes: int = MAX_FILM_MEGABYTES
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535. Received {self.port}.")
        for name in ("max_megabytes", "max_film_megabytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more. Received {getattr(self, name)}.")


def serve(config: PageConfig) -> None:
    """Serves the page until it is interrupted; then every visitor's files are gone.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: a damaged model, or one that takes no vividness where it is given.
      OSError: the port is taken; a package of the page is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="residual-encoder-page-") as folder:
        _check_packages()
        with _listen(config.host, config.port) as listener:
            colorizer = Colorizer(
                config.model,
                vividness=config.vividness,
                temperature=config.temperature,
                prior_correction=config.prior_correction,
                engine=config.engine,
            )
            app = application(colorizer, Path(folder), config)
            _run(app, listener)


def _check_packages() -> None:
    """Looks for the packages that only the page needs.

    Raises:
      OSError: one is not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise OSError(
            f"The page needs Starlette and uvicorn, which are not installed ({error}). "
            'Install them, in the project\'s folder: pip install ".[web]"'
        ) from error


def _listen(host: str, port: int | None) -> socket.socket:
    """Takes the port, or the first free one.

    Raises:
      OSError: it is taken, or the address is not of this computer.
    """
    ports = range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else [port]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in ports:
        try:
            return socket.create_server((host, candidate), family=family)
        except OSError as error:
            cause = error
    span = f"port {port}" if port is not None else f"any port from {ports[0]} to {ports[-1]}"
    reason = str(cause.strerror).partition(" (while")[0]  # what follows repeats the address
    raise OSError(
        f"Cannot listen at {host}, {span}: {reason}. "
        "Stop what listens there, or choose another --port or --host."
    ) from cause


def _run(app: Any, listener: socket.socket) -> None:
    """Runs the server in this thread until SIGINT or SIGTERM."""
    import uvicorn

    # The server ends in order at both signals and then raises them again, for whoever is above it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"Open {address(*listener.getsockname()[:2])}  (Ctrl-C ends)", flush=True)
    settings = uvicorn.Config(
        app,
        log_level="error",
        timeout_graceful_shutdown=2,
        limit_concurrency=AT_ONCE,
        server_header=False,
    )
    server = uvicorn.Server(settings)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def address(host: str, port: int) -> str:
    """Returns what to open in a browser of this computer for a server that listens at a host."""
    if host in ("0.0.0.0", "::"):  # all addresses of this computer, and none that one can open
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def application(colorizer: Colorizer, folder: Path, config: PageConfig) -> Any:
    """Returns the page as an ASGI application, after one picture has gone all its ways.

    Args:
      colorizer: The colorizer to use.
      folder: For visitors' files and the samples; private, and deleted by the caller.
      config: The limits, and the address that it will listen at.
    """
    from residual_encoder.apps.web import routes, samples
    from residual_encoder.apps.web.store import Store

    pictures = samples.write(folder / "samples")
    visitors = folder / "visitors"
    visitors.mkdir(mode=0o700)
    warm(colorizer, next(iter(pictures.values())), folder)
    store = Store(visitors)
    limits = config.max_megabytes, config.max_film_megabytes
    site = routes.Site(colorizer, store, pictures, *limits, served_with(config))
    return routes.application(site, LOCAL if config.host in LOCAL else frozenset())


def served_with(config: PageConfig) -> Served:
    """Returns the flags of `colorize` that color as a server of these settings."""
    model = []
    if config.model is not None:
        # On this computer the command may be run in any folder.
        local = config.host in LOCAL
        model.append(f"--model={Path(config.model).absolute() if local else config.model}")
    if config.engine != "auto":
        model.append(f"--engine={config.engine}")
    numbers = {
        name: getattr(config, name) for name in ("vividness", "temperature", "prior_correction")
    }
    given = {name: value for name, value in numbers.items() if value is not None}
    if [*given] == ["vividness"]:
        return Served(model, vividness=config.vividness)
    return Served(model, [as_flag(*one) for one in given.items()])


def warm(colorizer: Colorizer, picture: Path, folder: Path) -> None:
    """Colors a picture in all the ways of the page, so that the first visitor need not wait.

    Args:
      colorizer: The colorizer to warm.
      picture: A picture file.
      folder: A folder is made in it, and deleted.
    """
    shown = preview.make_preview(colorizer, picture)
    place = Hint(shown.width // 2, shown.height // 2, (150, 60, 50))
    preview.render_preview(colorizer, shown, 1.0, None, [place])
    preview.likely_at(colorizer, shown, place.x, place.y)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        preview.render_full_size(colorizer, shown, 1.0, Path(made), None, [place])
