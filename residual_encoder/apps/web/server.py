"""Serves a web page: a picture in, before and after with a divider, the colored file out.

Gradio makes the page. Nothing is loaded from elsewhere, and nothing is reported to anybody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residual_encoder.apps.web import interface
from residual_encoder.apps.web.interface import MAX_MEGABYTES
from residual_encoder.inference.colorizer import Colorizer

HOST = "127.0.0.1"
FIRST_PORT, PORTS = 7860, 100  # where Gradio looks, too
SESSIONS = 32  # browser tabs that are remembered; a preview takes up to 15 MB


@dataclass(frozen=True)
class PageConfig:
    """Settings of the page's server.

    Attributes:
      model: See `Colorizer`.
      host: Address to listen at; the default is this computer alone.
      port: None is the first free one from `FIRST_PORT` on, 0 any free one.
      max_megabytes: Largest file that is taken, in units of 2^20 bytes.
      vividness: See `Colorizer`; where the page's control stands at first.
      temperature: See `Colorizer`.
      prior_correction: See `Colorizer`.
    """

    model: str | None = None
    host: str = HOST
    port: int | None = None
    max_megabytes: int = MAX_MEGABYTES
    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535. Received {self.port}.")
        if self.max_megabytes < 1:
            raise ValueError(f"max_megabytes must be 1 or more. Received {self.max_megabytes}.")


def serve(config: PageConfig) -> None:
    """Serves the page until it is interrupted; then every visitor's files are gone.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: a damaged model, or one that takes no vividness where it is given.
      OSError: the port is taken; Gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="residual-encoder-page-") as folder:
        _prepare(folder)
        with _listen(config.host, config.port) as listener:
            colorizer = Colorizer(
                config.model,
                vividness=config.vividness,
                temperature=config.temperature,
                prior_correction=config.prior_correction,
            )
            app = application(colorizer, Path(folder), config.max_megabytes)
            _run(app, listener)


def _prepare(folder: str) -> None:
    """Sets Gradio up before it is imported: a private folder, no telemetry.

    Raises:
      OSError: Gradio is not installed.
    """
    os.environ |= {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise OSError(
            f"The page needs Gradio, which is not installed ({error}). "
            'Install it, in the project\'s folder: pip install ".[web]"'
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
    host, port = listener.getsockname()[:2]
    print(f"Open http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C ends)", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def application(colorizer: Colorizer, folder: Path, max_megabytes: int = MAX_MEGABYTES) -> Any:
    """Returns the page as an ASGI application, here of FastAPI.

    Args:
      colorizer: The colorizer to use.
      folder: For visitors' files and the samples; private, and deleted by the caller.
      max_megabytes: As in `PageConfig`.
    """
    import fastapi
    import gradio as gr

    blocks = interface.build(colorizer, folder, max_megabytes)
    blocks.state_session_capacity = SESSIONS
    return gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=max_megabytes * 2**20,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=interface.theme(),
        css=interface.CSS,
        js=interface.SCRIPT,
    )
