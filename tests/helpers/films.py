"""Small films for tests, a colorizer without a network, and what ffmpeg tells of the results."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np

from residual_encoder.data import scenes
from residual_encoder.recipes import RECIPES

PROGRAM = shutil.which("ffmpeg")
RATE = 24
SIZE = (160, 120)  # width, height
LUMA = np.array([0.299, 0.587, 0.114])


def scene_gray(index, size=230):
    return scenes.render(3, index, size) / 255 @ LUMA


def film_frames(count, parts=3, size=SIZE, noise=0.02, exposure=0.08):
    """Gray frames of `parts` scenes, panned one pixel a frame, with grain and exposure flicker."""
    random = np.random.default_rng(0)
    width, height = size
    wholes = [scene_gray(index) for index in range(parts)]
    for number in range(count):
        part, step = divmod(number, count // parts)
        whole = wholes[part]
        x = min(step, whole.shape[1] - width)
        frame = whole[40 : 40 + height, x : x + width] * (1 + exposure * random.uniform(-1, 1))
        frame = frame + random.normal(0, noise, frame.shape)
        yield np.rint(255 * np.clip(frame, 0, 1)).astype(np.uint8)


def write_film(path, frames, rate=RATE):
    """An MPEG-4 film by OpenCV alone."""
    writer = None
    for frame in frames:
        if writer is None:
            code, size = cv2.VideoWriter.fourcc(*"mp4v"), frame.shape[1::-1]
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, size)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def run_ffmpeg(*arguments):
    subprocess.run([PROGRAM, "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def probe(path):
    """ffprobe's report of a file: its streams by kind, and its tags."""
    said = whole_probe(path)
    return {s["codec_type"]: s for s in said["streams"]}, said["format"].get("tags", {})


def whole_probe(path):
    command = ["ffprobe", "-v", "error", "-of", "json", "-count_frames", "-show_streams"]
    more = ["-show_format", "-show_chapters", str(path)]
    return json.loads(subprocess.check_output([*command, *more]))


def times(path):
    """Seconds at which a film's frames are shown, by ffprobe."""
    fields = ["-show_entries", "frame=best_effort_timestamp_time", "-of", "json"]
    command = ["ffprobe", "-v", "error", "-select_streams", "V:0", *fields, str(path)]
    frames = json.loads(subprocess.check_output(command))["frames"]
    found = np.array([float(f.get("best_effort_timestamp_time", "nan")) for f in frames])
    lost = np.flatnonzero(np.isnan(found))  # at the end of some containers
    step = found[1] - found[0]
    for number in lost:
        found[number] = found[number - 1] + step
    return found


def decoded(path, form, filters="null"):
    """All frames of a film by ffmpeg, [N, H, W] or [N, H, W, 3]."""
    stream = next(s for s in whole_probe(path)["streams"] if s["codec_type"] == "video")
    turned = any(s.get("rotation") in (90, -90) for s in stream.get("side_data_list", ()))
    size = (stream["width"], stream["height"]) if turned else (stream["height"], stream["width"])
    command = [PROGRAM, "-v", "error", "-i", str(path), "-map", "0:V:0", "-fps_mode", "passthrough"]
    command += ["-vf", filters, "-f", "rawvideo", "-pix_fmt", form, "-"]
    data = subprocess.check_output(command, stderr=subprocess.DEVNULL)
    kind = np.uint16 if "16" in form or "10" in form else np.uint8
    shape = (-1, *size, 3) if form.startswith("rgb") else (-1, *size)
    return np.frombuffer(data, kind).reshape(shape)


def read(path):
    """All frames in color, [N, H, W, 3] uint8."""
    return decoded(path, "rgb24")


class FakeColorizer:
    """Stands in for a Colorizer: chroma follows gray and jumps from frame to frame.

    `network_input`, `predict` and `merge` as the film job uses them; `merged` keeps the chroma.
    """

    sha256, source, saturation, upsampling = "fake", "fake", 1.0, "none"
    engine = SimpleNamespace(name="fake", precision="float32")
    recipe = RECIPES["modern"]

    def __init__(self, size=48, dies_at=None):
        self.size, self.dies_at, self.merged, self.predicted = size, dies_at, [], 0

    def settle(self, pictures):
        return None

    def in_engine(self, name, precision):
        return self

    def network_input(self, picture):
        height, width = picture.shape[:2]
        scale = self.size / min(height, width)
        size = round(width * scale), round(height * scale)
        small = cv2.resize(picture[..., 0], size, interpolation=cv2.INTER_AREA)
        return small[..., None] / np.float32(np.iinfo(picture.dtype).max)

    def predict(self, gray):
        self.predicted += len(gray)
        jump = 0.05 * np.sin(1e4 * gray.mean(axis=(1, 2, 3), keepdims=True))
        return np.concatenate([0.5 + jump + 0 * gray, 0.5 + 0.1 * gray], -1).astype(np.float32)

    def merge(self, picture, chroma, gray):
        if len(self.merged) == self.dies_at:
            raise KeyboardInterrupt
        self.merged.append(chroma)
        peak = np.iinfo(picture.dtype).max
        u, v = np.moveaxis(peak * (cv2.resize(chroma, picture.shape[1::-1]) - 0.5), -1, 0)
        luma = picture[..., 0].astype(np.float32)
        rgb = np.stack([luma + 1.402 * v, luma - 0.344 * u - 0.714 * v, luma + 1.772 * u], -1)
        return np.rint(np.clip(rgb, 0, peak)).astype(picture.dtype)
