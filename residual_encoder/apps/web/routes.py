"""Answers the requests of the web page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from residual_encoder.apps.web import archive, films, limits, preview, security
from residual_encoder.apps.web.answers import Refused, answering
from residual_encoder.apps.web.archive import Look
from residual_encoder.apps.web.limits import Answer, Line
from residual_encoder.apps.web.store import Entry, Store
from residual_encoder.imaging import film_names, image_io
from residual_encoder.inference import hints
from residual_encoder.inference.coloring_config import checked_saturation
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import vividness as curve

STATIC = Path(__file__).parent / "static"
MOST_JSON = hints.MAX_BYTES  # bytes of a request that is no file


class Site:
    """The page of one colorizer."""

    def __init__(
        self,
        colorizer: Colorizer,
        store: Store,
        samples: dict[str, Path],
        megabytes: int,
        film_megabytes: int,
        served: archive.Served = archive.AS_SHIPPED,
    ) -> None:
        """Uses a colorizer, the store of visitors' files, and pictures to try."""
        self.colorizer, self.store, self.samples = colorizer, store, samples
        self.served = served
        self.most, self.most_film = megabytes * 2**20, film_megabytes * 2**20
        self.line, self.films = Line(), films.Films(colorizer, store)
        self.start = self._start()
        self.tasks: set[asyncio.Task[None]] = set()

    def _start(self) -> float | None:
        """Returns where the control of vividness stands at first; None of a model without one."""
        if not self.colorizer.has_distribution:
            return None
        if self.served.vividness is not None:
            return self.served.vividness
        return curve.nearest(**curve.settings(self.colorizer.recipe.network))

    # --- what the page is made of ---

    @answering
    async def page(self, request: Request) -> Response:
        """Sends the page."""
        return FileResponse(STATIC / "page.html")

    @answering
    async def about(self, request: Request) -> Response:
        """Tells what the page has to know of the server."""
        return JSONResponse(
            {
                "megabytes": self.most / 2**20,
                "film_megabytes": self.most_film / 2**20,
                "minutes": limits.KEPT // 60,
                "most_in_zip": limits.MOST_IN_ZIP,
                "vividness": self.start,
                "given_vividness": self.served.vividness,  # in each file of hints
                "samples": list(self.samples),
                "films": sorted(film_names.READABLE),
                "pictures": sorted(image_io.READABLE),
            }
        )

    @answering
    async def sample(self, request: Request) -> Response:
        """Sends a picture to try."""
        return FileResponse(self._sample(request))

    def _sample(self, request: Request) -> Path:
        name = request.path_params["name"]
        if name not in self.samples:
            raise Refused(404, "There is no such sample.")
        return self.samples[name]

    # --- pictures ---

    @answering
    async def open_picture(self, request: Request) -> Response:
        """Takes a picture and runs the network on it."""
        entry = await self._received(request, self.most)
        return JSONResponse(await self._opened(request, entry))

    @answering
    async def open_sample(self, request: Request) -> Response:
        """Runs the network on a picture to try."""
        path = self._sample(request)
        entry = self.store.add(path.name)
        entry.path.write_bytes(path.read_bytes())
        return JSONResponse(await self._opened(request, entry))

    async def _opened(self, request: Request, entry: Entry) -> dict[str, Any]:
        try:
            shown = await self._in_turn(request, self._preview, entry)
        except BaseException:
            self.store.remove(entry.id)
            raise
        entry.facts["in_color"] = shown.in_color
        size = {"width": shown.width, "height": shown.height}
        area = shown.full_area._asdict()  # outside, nothing takes a color
        kind = {name: getattr(shown, name) for name in ("pictures", "others", "in_color")}
        return {"id": entry.id, "name": entry.path.name, **size, "area": area, **kind}

    def _preview(self, entry: Entry) -> preview.Preview:
        return self.store.preview(entry, lambda: preview.make_preview(self.colorizer, entry.path))

    @answering
    async def gray(self, request: Request) -> Response:
        """Sends a picture without color, small."""
        entry = self.store.get(request.path_params["id"])
        return await self._in_turn(request, self._drawn, entry, Look(0.0))

    @answering
    async def color(self, request: Request) -> Response:
        """Sends a picture in color, small."""
        entry = self.store.get(request.path_params["id"])
        look = self._look(await _body(request))
        return await self._in_turn(request, self._drawn, entry, look)

    def _drawn(self, entry: Entry, look: Look) -> Response:
        pixels = preview.render_preview(self.colorizer, self._preview(entry), *look)
        return Response(image_io.encode(pixels, ".jpg"), media_type="image/jpeg")

    def _look(self, body: dict[str, Any]) -> Look:
        """Reads saturation, vividness, hints and faces of a request."""
        vividness = _number(body, "vividness", None)
        # A control that was not moved: the model's own numbers may lie off the curve.
        vividness = None if vividness == self.start else vividness
        if vividness is not None and self.start is None:  # of a file of hints
            raise ValueError("The model of this page has no vividness; leave it out.")
        return Look(
            checked_saturation(_number(body, "saturation", 1.0)),
            vividness,
            hints.parse(body.get("hints", [])),
            body.get("faces") is True,
        )

    @answering
    async def likely(self, request: Request) -> Response:
        """Tells which colors a place is likely to have."""
        entry, body = self.store.get(request.path_params["id"]), await _body(request)
        place = _number(body, "x", 0.0), _number(body, "y", 0.0)
        vividness = self._look(body).vividness

        def found() -> dict[str, Any]:
            shown = self._preview(entry)
            found = preview.likely_at(self.colorizer, shown, *place, vividness)
            return {"colors": found.colors.tolist(), "gray": found.gray}

        return JSONResponse(await self._in_turn(request, found))

    @answering
    async def make_file(self, request: Request) -> Response:
        """Writes a picture at full size, and its hints."""
        entry = self.store.get(request.path_params["id"])
        look = self._look(await _body(request))
        return JSONResponse(await self._in_turn(request, self._made, entry, look))

    def _made(self, entry: Entry, look: Look) -> dict[str, Any]:
        self.store.check_room()
        path = preview.render_full_size(
            self.colorizer, self._preview(entry), look.saturation, entry.path.parent, *look[1:]
        )
        token = self.store.add_result(entry, path)
        entry.facts[token] = look
        return {"url": f"files/{token}", "name": path.name}

    @answering
    async def command(self, request: Request) -> Response:
        """Tells the flags of a picture, and the command that colors it the same."""
        entry = self.store.get(request.path_params["id"])
        made = self._made_of(entry, entry.path, self._look(await _body(request)))
        line = archive.command(made, archive.hints_name(made.source), self.served)
        return JSONResponse({"flags": archive.flags(made, self.served), "command": line})

    @answering
    async def make_zip(self, request: Request) -> Response:
        """Packs files that were made, with the hints of their pictures."""
        wanted = (await _body(request)).get("files")
        if not isinstance(wanted, list) or not 0 < len(wanted) <= limits.MOST_IN_ZIP:
            raise Refused(422, f"A ZIP takes from 1 to {limits.MOST_IN_ZIP} files.")
        made = [self._found(str(token).rpartition("/")[2]) for token in wanted]
        entry = self.store.add("colored.zip")
        commands = await self._in_turn(request, archive.pack, entry.path, made, self.served)
        url = f"files/{self.store.add_result(entry, entry.path)}"
        return JSONResponse({"url": url, "name": entry.path.name, "commands": commands})

    def _found(self, token: str) -> archive.Made:
        entry = self.store.owner(token)
        return self._made_of(entry, entry.results[token], entry.facts.get(token, Look(1.0)))

    def _made_of(self, entry: Entry, path: Path, look: Look) -> archive.Made:
        return archive.Made(path, entry.path.name, look, entry.facts.get("in_color") is True)

    @answering
    async def result(self, request: Request) -> Response:
        """Sends a file that was made."""
        path = self.store.result(request.path_params["token"])
        return FileResponse(path, filename=path.name)

    @answering
    async def remove(self, request: Request) -> Response:
        """Deletes a visitor's picture or film now."""
        self.store.remove(request.path_params["id"])
        return Response(status_code=204)

    # --- films ---

    @answering
    async def film_room(self, request: Request) -> Response:
        """Tells whether there is room for a film; the page asks before it sends one."""
        self.films.check_room()
        return JSONResponse({})

    @answering
    async def open_film(self, request: Request) -> Response:
        """Takes a film and has it colored."""
        saturation = checked_saturation(_number(dict(request.query_params), "saturation", 1.0))
        self.films.check_room()
        entry = await self._received(request, self.most_film)
        task = asyncio.create_task(self.films.color(entry, saturation))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await asyncio.sleep(0)
        if task.done():  # refused: others came while it was sent
            task.result()
        return JSONResponse(films.progress(entry))

    @answering
    async def film(self, request: Request) -> Response:
        """Tells how far a film is."""
        return JSONResponse(films.progress(self.store.get(request.path_params["id"])))

    async def _in_turn(
        self, request: Request, function: Callable[..., Answer], *arguments: Any
    ) -> Answer:
        """Runs a function when it is its turn and the visitor still waits for the answer."""
        return await self.line.run(function, *arguments, gone=lambda: _left(request))

    # --- what visitors send ---

    async def _received(self, request: Request, most: int) -> Entry:
        """Writes a request's body into a new file; too long a one is refused."""
        too_long = Refused(413, f"The file is larger than {most // 2**20} MB.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise too_long
        entry, size = self.store.add(request.query_params.get("name", "")), 0
        looked = 0
        try:
            with entry.path.open("xb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise too_long
                    if size - looked >= limits.LOOK:
                        looked = size
                        self.store.check_room()
                    file.write(chunk)
        except BaseException:
            self.store.remove(entry.id)
            raise
        return entry


async def _left(request: Request) -> None:
    """Returns when the visitor has closed the connection; the request must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> dict[str, Any]:
    """Reads a request's JSON object, of limited length."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_JSON:
            raise Refused(413, "The request is too long.")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The request must be a JSON object.")
    return body


def _number(body: dict[str, Any], name: str, default: Any) -> Any:
    """Returns a number of a request."""
    value = body.get(name)
    if value is None:
        return default
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a number. Received {str(value)[:40]!r}.") from error


def application(site: Site, own_names: frozenset[str]) -> Starlette:
    """Returns the page as an ASGI application.

    Args:
      site: Answers.
      own_names: Host names that requests may come for; none allows all. See `security`.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(site.store))
        yield
        site.films.ending = True
        sweeper.cancel()

    pictures = "/api/pictures/{id}"
    routes = [
        Route("/", site.page),
        Route("/api/about", site.about),
        Route("/samples/{name}", site.sample),
        Route("/api/samples/{name}", site.open_sample, methods=["POST"]),
        Route("/api/pictures", site.open_picture, methods=["POST"]),
        Route(f"{pictures}/gray", site.gray),
        Route(f"{pictures}/color", site.color, methods=["POST"]),
        Route(f"{pictures}/likely", site.likely, methods=["POST"]),
        Route(f"{pictures}/command", site.command, methods=["POST"]),
        Route(f"{pictures}/file", site.make_file, methods=["POST"]),
        Route(pictures, site.remove, methods=["DELETE"]),
        Route("/api/zip", site.make_zip, methods=["POST"]),
        Route("/api/films", site.film_room, methods=["GET"]),
        Route("/api/films", site.open_film, methods=["POST"]),
        Route("/api/films/{id}", site.film),
        Route("/files/{token}", site.result),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    guard = Middleware(security.Guard, own_names=own_names)
    return Starlette(routes=routes, middleware=[guard], lifespan=lifespan)


async def _sweep(store: Store) -> None:
    """Deletes old files now and then."""
    while True:
        await asyncio.sleep(limits.SWEPT)
        with suppress(OSError):
            await asyncio.to_thread(store.sweep)
