"""Films on the page: with progress, and back with their sound."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from helpers.web import saved

from residual_encoder.apps.web import archive, films, limits, stills, store
from residual_encoder.imaging import image_io
from residual_encoder.inference import video
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.engines import choice, settling

FRAMES = 12


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gray film of half a second with a tone."""
    if not shutil.which("ffmpeg"):
        pytest.skip("there is no ffmpeg")
    path = tmp_path_factory.mktemp("film") / "old film.mp4"
    picture = f"testsrc=s=96x64:r=24:d={FRAMES / 24}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i"]
    command += [f"sine=d={FRAMES / 24}", "-vf", "hue=s=0,format=yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path


def streams(path: Path) -> list[str]:
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True).stdout.split()


def given(film: Path, model: Path, folder: Path) -> tuple[films.Films, store.Entry]:
    kept = store.Store(folder)
    entry = kept.add(film.name)
    shutil.copy(film, entry.path)
    return films.Films(Colorizer(model), kept), entry


def test_a_film_comes_back_with_its_sound(film, soft_weights, tmp_path) -> None:
    jobs, entry = given(film, soft_weights, tmp_path)
    asyncio.run(jobs.color(entry, 1.5))
    done = films.progress(entry)
    assert done["state"] == "done" and done["frames"] == done["total"] == FRAMES, done
    token = done["url"].removeprefix("files/")
    path = jobs.store.result(token)
    assert path.name == "old film_colored.mp4"
    made = archive.Made(path, entry.path.name, entry.facts[token])
    assert archive.pack(tmp_path / "colored.zip", [made], archive.Served(["--model=soft"]))
    with zipfile.ZipFile(tmp_path / "colored.zip") as packed:
        commands = packed.read("commands.txt").decode()
    wanted = "old film_colored.mp4: colorize 'old film.mp4' --model=soft --saturation=1.5\n"
    assert commands == wanted
    assert {"video", "audio"} <= set(streams(path))
    still = image_io.read(jobs.store.result(done["still"].removeprefix("files/")))
    assert still.pixels.shape == (64, 96, 3)
    assert stills.write(film.with_name("none.mp4")) is None


def test_films_settle_by_their_frames_and_pictures_keep_their_engine(
    film, soft_weights, tmp_path, monkeypatch
) -> None:
    """The page and Python choose an engine for a film as the command line does."""
    asked = []

    def settle(engine, model, size, pictures) -> settling.Settled:
        asked.append(pictures)
        return settling.Settled(choice.tensorflow_engine(model, "float32", size), "measured")

    monkeypatch.setattr(settling, "settle", settle)
    page = Colorizer(soft_weights)
    (tmp_path / "kept").mkdir()
    kept = store.Store(tmp_path / "kept")
    jobs, entry = films.Films(page, kept), kept.add(film.name)
    shutil.copy(film, entry.path)
    asyncio.run(jobs.color(entry, 1.0))
    assert films.progress(entry)["state"] == "done" and asked == [FRAMES]
    assert (jobs.colorizer.engine.name, page.engine.name) == ("tensorflow", "onnx")
    video.colorize_video(page, video.VideoConfig(str(film), str(tmp_path / "out.mp4")))
    assert page.engine.name == "tensorflow" and asked == [FRAMES, FRAMES]


def test_what_is_no_film_is_a_sentence(soft_weights, tmp_path) -> None:
    (tmp_path / "no.mp4").write_text("no film")
    (tmp_path / "kept").mkdir()
    jobs, entry = given(tmp_path / "no.mp4", soft_weights, tmp_path / "kept")
    asyncio.run(jobs.color(entry, 1.0))
    done = films.progress(entry)
    assert done["state"] == "failed" and "no.mp4" in done["error"]
    assert str(tmp_path) not in done["error"]


def test_a_removed_film_stops(film, soft_weights, tmp_path, monkeypatch) -> None:
    jobs, entry = given(film, soft_weights, tmp_path)
    own = video.colorize_video

    def removed(*arguments) -> video.VideoSummary:
        jobs.store.remove(entry.id)
        return own(*arguments)

    monkeypatch.setattr(video, "colorize_video", removed)
    asyncio.run(jobs.color(entry, 1.0))
    assert entry.facts["state"] == "failed"
    assert not entry.path.parent.exists()


def test_films_wait_in_a_line_of_their_own(film, soft_weights, tmp_path) -> None:
    async def crowd() -> list[str]:
        jobs, entry = given(film, soft_weights, tmp_path)
        others = [store.Entry(str(number), entry.path, 0.0) for number in range(8)]
        jobs._color = lambda entry, saturation: None
        jobs.check_room()
        ends = [jobs.color(one, 1.0) for one in others]
        return await asyncio.gather(*ends, return_exceptions=True)

    ends = [str(one) for one in asyncio.run(crowd()) if isinstance(one, limits.Busy)]
    assert len(ends) == 8 - (limits.FILMS_WAITING + 1)
    assert all(one.startswith("Many films are being colored") for one in ends)


@pytest.mark.browser
def test_a_film_on_the_page(visit, film, tmp_path) -> None:
    visit.set_input_files("#files", film)
    visit.wait_for_selector("#film:visible")
    visit.wait_for_selector("#film-status:has-text('Colored')")
    name, data = saved(visit, "#film-save")
    assert name == "old film_colored.mp4"
    (tmp_path / name).write_bytes(data)
    assert {"video", "audio"} <= set(streams(tmp_path / name))

    visit.route(
        "**/api/films/*",
        lambda route: route.fulfill(
            json=route.fetch().json() | {"notes": ["damaged or truncated", "left out: a stream"]}
        ),
    )
    visit.reload()
    told = "Colored; damaged or truncated; left out: a stream"
    visit.wait_for_selector(f"#film-status:has-text('{told}')")

    # It is played here, from its middle too; where that fails, a still is seen.
    visit.wait_for_function("() => document.querySelector('#film-player').readyState >= 2")
    played = visit.evaluate(
        """async () => {
          const player = document.querySelector('#film-player');
          player.currentTime = 0.3;
          await new Promise((done) => player.addEventListener('seeked', done, { once: true }));
          return [player.currentTime, player.videoWidth, player.controls];
        }"""
    )
    assert played == [0.3, 96, True]
    assert visit.locator("#gallery img").evaluate("image => image.naturalWidth") == 96
    visit.evaluate("document.querySelector('#film-player').src = 'static/page.css'")
    visit.wait_for_selector("#film-status:has-text('does not play')")
    visit.wait_for_function("() => document.querySelector('#film-still').naturalWidth === 96")
    assert not visit.locator("#film-player").is_visible()
    visit.click("#gallery button:has-text('old film.mp4')")  # it is told again
    assert visit.text_content("#film-status").count("does not play") == 1


@pytest.mark.browser
@pytest.mark.parametrize("first", [True, False], ids=["asked", "sent"])
def test_a_film_that_finds_no_room_is_refused_in_a_sentence(first, visit, film) -> None:
    """It is not sent, or once only where others came meanwhile."""
    sentence = "Many films are being colored at the moment. Please try again soon."
    sent: list[str] = []

    def answer(route) -> None:
        sent.append(route.request.method)
        if route.request.method == "POST" or first:
            route.fulfill(status=503, json={"error": sentence})
        else:
            route.continue_()

    visit.route(re.compile(r"/api/films(\?.*)?$"), answer)
    visit.set_input_files("#files", film)
    visit.wait_for_selector(f"#alert:has-text('{sentence}')")
    assert visit.text_content("#gallery .note") == sentence
    assert sent == (["GET"] if first else ["GET", "POST"])
    visit.unroute_all()
    visit.set_input_files("#files", film)  # again, as it says
    visit.wait_for_selector("#film-status:has-text('Colored')")
    assert visit.locator("#gallery li").count() == 1
