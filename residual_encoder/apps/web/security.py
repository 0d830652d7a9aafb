"""Keeps other sites out: they must neither call the page's server nor be loaded by the page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that refuses requests of other sites and adds `HEADERS` to answers.

    A page of another site that is open in the visitor's browser can send requests to this computer.
    Its requests have its own name in `Origin`; or, where its name was made to lead to this
    computer, in `Host`.
    """

    def __init__(self, app: Any, own_names: frozenset[str]) -> None:
        """Wraps an application; requests must be for one of `own_names`, if there are any."""
        self.app, self.own_names = app, own_names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers or hands on a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not self._is_own(Headers(scope=scope)):
            refused = PlainTextResponse("Requests of other sites are refused.", 403)
            await refused(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _is_own(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            if self.own_names and urlsplit(f"//{host}").hostname not in self.own_names:
                return False
            return origin is None or urlsplit(origin).netloc == host
        except ValueError:  # no address at all, such as "[::1"
            return False
