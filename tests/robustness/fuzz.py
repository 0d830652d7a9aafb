"""Feeds broken pictures to every function that takes pictures from outside.

python tests/robustness/fuzz.py TARGET...

Targets: decode (image_io.decode), rows (the same as of a picture that is too large for memory),
pages (all pages or frames of a file, and pages put together), colorize (Colorizer on a decoded
file), saved_model (colorize_bytes of an exported SavedModel). It runs atheris, which is
libFuzzer for Python (pip install atheris), from a seed corpus of every format, in a process of its
own: a crash, a hang, an exception that is no promised error, or memory above the bound ends that
process and leaves the input in CORPUS/found/TARGET-*; then the next process continues. Prints one
JSON line a target.

Every picture is decoded twice, with memory that the C library hands out and takes back filled with
different patterns each time: a pixel that differs was never written. libvips, OpenCV and TensorFlow
are not built for libFuzzer, so it is guided by the branches taken in this project's reading of
headers and metadata. What atheris records of them grows by megabytes a
picture, so memory is bounded for each input alone, and for the whole process with --unguided only.
Of PNG files the checksums are put right after every second change.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

TARGETS = ("decode", "rows", "pages", "colorize", "saved_model")
MAX_PIXELS = 4_000_000  # instead of 200 megapixels, so that the bound on memory is near
# Megabytes that a process may take; for every pixel of 16 bits 20 bytes more. With TensorFlow, the
# shipped network and atheris it begins at 1,100, and oneDNN keeps kernels for every aspect ratio.
MEMORY = {"decode": 156, "rows": 156, "pages": 1536, "colorize": 1536, "saved_model": 1536}
BYTES_PER_PIXEL = 20
M_PERTURB = -6  # of mallopt: new memory is filled with the pattern's complement, freed with it
SECONDS = 20  # that one input may take
LONGEST = 1 << 16  # bytes of an input


# --- the corpus ---------------------------------------------------------------------------------


def write_seeds(folder: Path) -> int:
    """One file a seed, by number: names are the fuzzer's own business."""
    import fuzz_seeds

    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(fuzz_seeds.seeds().values()):
        (folder / f"seed-{number:03d}").write_bytes(data[:LONGEST])
    return 0


# --- the targets ----------------------------------------------------------------------------------


def decode_target() -> Any:
    from residual_encoder.imaging import image_io

    image_io.MAX_PIXELS = MAX_PIXELS

    def target(data: bytes) -> None:
        pictures = []
        for pattern in (0x55, 0xA3):
            fill(pattern)
            pictures.append(decoded(data))
        check_same(*pictures)
        if pictures[0] is not None:
            check_picture(pictures[0])

    return target


def fill(pattern: int) -> None:
    """Fills memory that is handed out with a pattern's complement, and what is freed with it."""
    ctypes.CDLL("libc.so.6").mallopt(M_PERTURB, pattern)


def check_same(first: Any, second: Any) -> None:
    """Both answers, or refusals, are the same whatever was in memory."""
    if (first is None) != (second is None):
        raise RuntimeError("decoded once and refused once")
    for name in ("pixels", "alpha"):
        one, other = getattr(first, name, None), getattr(second, name, None)
        if one is not None and (one.shape != other.shape or (one != other).any()):
            raise RuntimeError(f"{name} differ: some were never written")


def decoded(data: bytes) -> Any:
    """The picture, or None where it is refused in proper words."""
    from residual_encoder.imaging import image_io

    try:
        return image_io.decode(data)
    except ValueError as error:
        check_words(str(error))
        return None


def check_words(message: str) -> None:
    if not re.match(r"(is|has|begins|makes) ", message) or len(message) > 300:
        raise RuntimeError(f"no sentence that follows a file's name: {message!r}")


def check_picture(picture: Any) -> None:
    height, width = picture.pixels.shape[:2]
    if not 0 < height * width <= MAX_PIXELS or picture.pixels.dtype.name not in ("uint8", "uint16"):
        raise RuntimeError(f"a picture of {picture.pixels.shape}, {picture.pixels.dtype}")
    if picture.alpha is not None and picture.alpha.shape != (height, width):
        raise RuntimeError(f"alpha of {picture.alpha.shape} for pixels of {picture.pixels.shape}")


def rows_target() -> Any:
    """Decodes the whole and in rows, which must be the same."""
    import numpy as np

    from residual_encoder.imaging import image_io

    image_io.MAX_PIXELS = MAX_PIXELS

    def in_rows(data: bytes) -> Any:
        image_io.IN_MEMORY = 0
        try:
            return image_io.as_picture(np.asarray(image_io.decode(data).pixels))
        except ValueError as error:
            check_words(str(error))
            return None if "is decoded as a whole" not in str(error) else NO_ROWS
        finally:
            image_io.IN_MEMORY = 10**9

    def target(data: bytes) -> None:
        fill(0x55)
        whole = decoded(data)
        fill(0xA3)
        rows = in_rows(data)
        if rows is not NO_ROWS:
            check_same(whole and image_io.as_picture(whole.pixels), rows)

    return target


NO_ROWS = object()


def pages_target() -> Any:
    """Reads every page or frame, and joins the pages of a TIFF."""
    from residual_encoder.imaging import animations, image_io, tiff_pages
    from residual_encoder.inference import pages

    image_io.MAX_PIXELS = MAX_PIXELS
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def found(path: Path) -> list[Any]:
        try:
            several = pages.inspect(path)
            if several is None:
                return []
            if not isinstance(several, pages.Document):
                frames = itertools.islice(animations.frames(several), 20)
                return [frame.picture for frame in frames]
            with (folder / "joined.tif").open("wb") as file:
                size = sum(page.size for page in several.pages)
                joiner = tiff_pages.Joiner(file, several.count, size)
                for page in several.pages[:20]:
                    tiff_pages.extract(path, page, folder / "page.tif")
                    joiner.add(folder / "page.tif", path, page)
            return [image_io.read(folder / "page.tif")]
        except ValueError as error:
            check_words(
                str(error).removeprefix(str(path)).removeprefix(str(folder / "page.tif")).strip()
            )
            return []

    def target(data: bytes) -> None:
        path = folder / "input"
        path.write_bytes(data)
        pictures = []
        for pattern in (0x55, 0xA3):
            fill(pattern)
            pictures.append(found(path))
        if len(pictures[0]) != len(pictures[1]):
            raise RuntimeError("read once and refused once")
        for first, second in zip(*pictures, strict=True):
            check_same(first, second)
            check_picture(first)

    return target


def colorize_target() -> Any:
    """Decodes, colors, and writes as PNG with what goes along of the metadata."""
    from residual_encoder.imaging import image_io
    from residual_encoder.inference.colorizer import Colorizer

    image_io.MAX_PIXELS = MAX_PIXELS
    colorizer = Colorizer(size=32)

    def target(data: bytes) -> None:
        picture = decoded(data)
        if picture is None:
            return
        colored = colorizer.colorize(picture)
        if colored.shape[:2] != picture.pixels.shape[:2] or colored.dtype != picture.pixels.dtype:
            raise RuntimeError(f"{picture.pixels.shape} became {colored.shape}, {colored.dtype}")
        image_io.encode(colored, ".png", picture.metadata)

    return target


def saved_model_target() -> Any:
    import tensorflow as tf

    from residual_encoder.export import saved_model
    from residual_encoder.inference import model_loading

    folder = tempfile.mkdtemp(prefix="fuzz-")
    saved_model.export_saved_model(
        model_loading.shipped_weights(), f"{folder}/model", max_pixels=MAX_PIXELS
    )
    serve = tf.saved_model.load(f"{folder}/model").signatures["colorize_bytes"]

    def target(data: bytes) -> None:
        answer = serve(image_bytes=tf.constant([data]))["png_bytes"].numpy()[0]
        if answer and not answer.startswith(b"\x89PNG"):
            raise RuntimeError(f"no PNG: {answer[:20]!r}")

    return target


# --- a process that fuzzes ------------------------------------------------------------------------


def with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the right checksums."""
    parts, at = [png[:8]], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        body = png[at + 4 : at + 8 + length]
        parts += [png[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts)


def memory(field: str) -> int:
    """Of this process, in MB: VmRSS is resident, VmHWM the most since that was begun anew."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) >> 10


def fuzz(name: str, folder: Path, seconds: int, guided: bool) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["residual_encoder"] if guided else ["nothing"]):
        from residual_encoder.apps import cli  # noqa: F401
        from residual_encoder.imaging import image_io  # noqa: F401
    if name not in ("decode", "rows"):
        cli.quiet_tensorflow()
    target = {
        "decode": decode_target,
        "rows": rows_target,
        "pages": pages_target,
        "colorize": colorize_target,
        "saved_model": saved_model_target,
    }[name]()

    # glibc keeps what is freed between pieces in use: after thousands of pictures of all sizes 50
    # MB, and under 4 once it is asked for them. What is bounded here is what is in use.
    give_back = ctypes.CDLL("libc.so.6").malloc_trim
    most = MEMORY[name] + BYTES_PER_PIXEL * MAX_PIXELS // 2**20

    def bounded(data: bytes) -> None:
        """libFuzzer looks once a second, and would name another input."""
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        before = memory("VmRSS") if guided else 0  # notes of earlier inputs do not count
        target(data)
        took = memory("VmHWM") - before
        give_back(0)
        if took > most:
            raise RuntimeError(f"took {took} MB, at most {most} are allowed")

    known = [path.read_bytes() for part in (name, "seeds") for path in (folder / part).glob("*")]

    def mutate(data: bytes, largest: int, seed: int) -> bytes:
        if not guided:  # nothing tells libFuzzer then what is worth keeping
            data = known[seed % len(known)][:largest]
        changed = atheris.Mutate(data, largest)
        is_png = changed.startswith(b"\x89PNG")
        return with_checksums(changed)[:largest] if is_png and seed % 2 else changed

    own = folder / name
    own.mkdir(exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={16 * most if guided else 0}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/found/{name}-",
        f"-report_slow_units={SECONDS}",
        "-print_final_stats=1",
        "-reload=0",
        str(own),
        str(folder / "seeds"),
    ]
    atheris.Setup(arguments, bounded, custom_mutator=mutate)
    atheris.Fuzz()


# --- the tool -------------------------------------------------------------------------------------


def watch(name: str, folder: Path, minutes: float, *more: str) -> dict[str, Any]:
    """Runs processes that fuzz until the time is over; a find ends one of them."""
    end, inputs, peak, crashed = time.monotonic() + 60 * minutes, 0, 0, 0
    while (left := round(end - time.monotonic())) > 0:
        command = [sys.executable, __file__, name, f"--corpus={folder}", f"--child={left}", *more]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        log = done.stdout + done.stderr
        (folder / f"{name}.log").write_text(log)
        inputs += sum(int(n) for n in re.findall(r"number_of_executed_units:\s+(\d+)", log))
        peak = max([peak, *(int(n) for n in re.findall(r"peak_rss_mb:\s+(\d+)", log))])
        if done.returncode:
            crashed += 1
            print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
            if not inputs:
                break  # it does not even start
    found = sorted(path.name for path in (folder / "found").glob(f"{name}-*"))
    return {
        "target": name,
        "minutes": minutes,
        "inputs": inputs,
        "peak_mb": peak,
        "ended_early": crashed,
        "found": found,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0, help="of each target")
    parser.add_argument("--corpus", type=Path, default=Path("runs/fuzz"), help="grows, and is kept")
    parser.add_argument("--unguided", action="store_true", help="without notes, memory bounded")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seeds", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz(options.targets[0], options.corpus, options.child, not options.unguided)
    if options.seeds:
        return write_seeds(options.corpus / "seeds")
    (options.corpus / "found").mkdir(parents=True, exist_ok=True)
    # In a process of its own: the memory that this one has used would count for its children.
    subprocess.run([sys.executable, *sys.argv, "--seeds"], check=True)
    more = ["--unguided"] if options.unguided else []
    results = [watch(name, options.corpus, options.minutes, *more) for name in options.targets]
    for result in results:
        print(json.dumps(result), flush=True)
    return any(result["found"] or result["ended_early"] for result in results)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
