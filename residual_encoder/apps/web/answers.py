"""Answers errors of the page's requests: a status, and one sentence for the visitor."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from absl import logging
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from residual_encoder.apps.web.limits import Busy, Full, Gone


class Refused(Exception):
    """A request that is answered by a status and one sentence."""

    def __init__(self, status: int, reason: str) -> None:
        """Takes the HTTP status and the sentence."""
        super().__init__(reason)
        self.status = status


def answering(handler: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """Makes a handler answer its errors in one sentence, as JSON."""

    async def answer(site: Any, request: Request) -> Response:
        try:
            return await handler(site, request)
        except (ClientDisconnect, Gone):
            return Response(status_code=400)
        except Exception as error:
            status, reason = explained(error)
            return JSONResponse({"error": reason}, status)

    return answer


def explained(error: Exception) -> tuple[int, str]:
    """Returns the status and the sentence that answer an error."""
    if isinstance(error, Refused):
        return error.status, str(error)
    if isinstance(error, Busy):
        return 503, str(error)
    if isinstance(error, Full):
        return 507, str(error)
    if isinstance(error, FileNotFoundError):
        return 410, _words(error)
    if isinstance(error, ValueError | OSError):
        return 422, _words(error)
    if isinstance(error, MemoryError):
        return 422, "The picture is too large for the memory of this computer."
    logging.exception("A handler of the page failed; the page stays up.")
    return 500, "That went wrong, and not because of the picture; the server's log has the error."


def _words(error: Exception) -> str:
    """Returns an error's reason in one line, without a folder of the server."""
    if isinstance(error, OSError) and error.strerror:
        name = f" ({Path(os.fsdecode(error.filename)).name})" if error.filename else ""
        return f"{error.strerror}{name}."
    return " ".join(str(error).split())
