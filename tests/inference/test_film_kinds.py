"""Films of every kind keep their frames, times, gray, sound in step, and what is copied."""

import json
import subprocess
from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers.films import PROGRAM, FakeColorizer, decoded, run_ffmpeg, times, whole_probe

from residual_encoder.inference import output_paths
from residual_encoder.inference.video import VideoConfig, colorize_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to make films with")
FLASH = 0.6  # seconds; a beep begins with it
X264 = "-c:v libx264 -preset veryfast -crf 12"
SLOW = pytest.mark.slow


@dataclass
class Kind:
    """A film: how it is made, and what is expected of the colored one."""

    name: str
    picture: str
    sound: str = "-c:a aac"
    size: str = "96x64"
    rate: str = "25"
    filters: str = "null"  # of the picture
    seen: str = "null"  # filters by which the source is compared
    copied: str = "-f md5"  # how copied sound is compared; nothing where it is not copied
    output: str = ""  # suffix of the colored film; nothing is the source's
    notes: tuple = ()
    tolerance: float = 2.0  # of 255
    expected: dict = field(default_factory=dict)  # of the colored picture's stream
    marks: tuple = (SLOW,)


def kind(name, picture, *more, quick=False, **settings):
    one = Kind(name, picture, *more, **settings, marks=() if quick else (SLOW,))
    return pytest.param(one, id=name, marks=one.marks)


FIELDS = "-flags +ilme+ildct"
MATROSKA = "written as Matroska"
WHOLE = "interlaced"
TO_MP4 = {"output": ".mp4"}
TO_MKV = {"output": ".mkv", "notes": (MATROSKA,)}
KINDS = [
    kind("a.mp4", X264, quick=True, expected={"pix_fmt": "yuv420p", "color_range": "tv"}),
    kind("b frames.mp4", X264 + " -bf 3 -x264opts open-gop=1:keyint=8"),
    kind("baseline.mp4", X264 + " -profile:v baseline"),
    kind("444.mp4", X264 + " -pix_fmt yuv444p"),
    kind("422.mp4", X264 + " -pix_fmt yuv422p"),
    kind("odd.mp4", X264 + " -pix_fmt yuv444p", size="97x65", expected={"pix_fmt": "yuv444p"}),
    kind("full.mp4", X264 + " -color_range pc", filters="scale=out_range=pc,format=yuv420p",
         expected={"color_range": "pc"}, quick=True),
    kind("709.mp4", X264 + " -colorspace bt709 -color_primaries bt709 -color_trc bt709",
         expected={"color_space": "bt709", "color_primaries": "bt709"}),
    kind("wide.mp4", X264, filters="setsar=16/11", expected={"sample_aspect_ratio": "16:11"}),
    kind("ac3.mp4", X264, "-c:a ac3"),
    kind("fragments.mp4", X264 + " -movflags frag_keyframe+empty_moov"),
    kind("ntsc.mp4", X264, rate="30000/1001"),
    kind("mpeg4.mp4", "-c:v mpeg4 -q:v 2 -bf 2", "-c:a mp3"),
    kind("hevc.mp4", "-c:v libx265 -crf 12 -x265-params log-level=none"),
    kind("hevc10.mp4", "-c:v libx265 -crf 12 -pix_fmt yuv420p10le -x265-params log-level=none",
         quick=True, expected={"pix_fmt": "yuv420p10le"}),
    kind("h264 10.mkv", X264 + " -pix_fmt yuv420p10le", expected={"pix_fmt": "yuv420p10le"}),
    kind("prores.mov", "-c:v prores_ks -profile:v 3", "-c:a pcm_s16le", size="128x96",
         expected={"pix_fmt": "yuv420p10le"}),
    kind("jpeg.mov", "-c:v mjpeg -q:v 2", "-c:a pcm_s24le"),
    kind("png.mov", "-c:v png", "-c:a alac"),
    kind("rle.mov", "-c:v qtrle", "-c:a pcm_s16be"),
    kind("a.m4v", X264, **TO_MP4),
    kind("ffv1.mkv", "-c:v ffv1", "-c:a flac", quick=True),
    kind("ffv1 gray.mkv", "-c:v ffv1 -pix_fmt gray", "-c:a flac"),
    kind("ffv1 10.mkv", "-c:v ffv1 -pix_fmt yuv422p10le", "-c:a flac",
         expected={"pix_fmt": "yuv420p10le"}),
    kind("ffv1 16.mkv", "-c:v ffv1 -pix_fmt gray16le", "-c:a flac",
         expected={"pix_fmt": "yuv420p10le"}),
    kind("huffyuv.mkv", "-c:v huffyuv -pix_fmt yuv422p", "-c:a pcm_s16le"),
    kind("vp9.mkv", "-c:v libvpx-vp9 -crf 12 -b:v 0 -cpu-used 8", "-c:a libopus"),
    kind("vp8.webm", "-c:v libvpx -crf 4 -b:v 4M", "-c:a libvorbis",
         expected={"codec_name": "vp9"}, quick=True),
    kind("vp9.webm", "-c:v libvpx-vp9 -crf 12 -b:v 0 -cpu-used 8", "-c:a libopus"),
    kind("xvid.avi", "-c:v mpeg4 -q:v 2 -bf 2 -vtag XVID", "-c:a mp3", **TO_MP4),
    kind("divx3.avi", "-c:v msmpeg4 -q:v 2", "-c:a mp3", **TO_MP4),
    kind("jpeg.avi", "-c:v mjpeg -q:v 2", "-c:a pcm_s16le", **TO_MKV),
    kind("huffyuv.avi", "-c:v huffyuv", "-c:a pcm_u8", **TO_MKV),
    kind("raw.avi", "-c:v rawvideo -pix_fmt bgr24", "-c:a pcm_s16le", **TO_MKV),
    kind("h264.avi", X264, "-c:a ac3", **TO_MP4, quick=True),
    kind("mpeg1.mpg", "-c:v mpeg1video -q:v 2", "-c:a mp2", **TO_MP4),
    kind("mpeg2.mpg", "-c:v mpeg2video -q:v 2", "-c:a mp2", **TO_MP4),
    kind("disc.vob", "-c:v mpeg2video -q:v 2 -f vob", "-c:a ac3", **TO_MP4),
    kind("fields.mpg", f"-c:v mpeg2video -q:v 2 {FIELDS}", "-c:a mp2", **TO_MP4, notes=(WHOLE,),
         filters="interlace=scan=tff", seen="bwdif=send_frame:tff", quick=True),
    kind("fields.mp4", f"{X264} {FIELDS}", filters="interlace=scan=bff", notes=(WHOLE,),
         seen="bwdif=send_frame:bff"),
    kind("fields.ts", f"{X264} {FIELDS}", copied="-f adts", **TO_MP4, notes=(WHOLE,),
         filters="interlace=scan=tff", seen="bwdif=send_frame:tff"),
    kind("a.ts", X264, copied="-f adts -", **TO_MP4, quick=True),
    kind("mpeg2.ts", "-c:v mpeg2video -q:v 2", "-c:a mp2", **TO_MP4),
    kind("a.m2ts", X264, "-c:a ac3", **TO_MP4),
    kind("pal.dv", "-c:v dvvideo", "-c:a pcm_s16le -ar 48000 -ac 2", size="720x576",
         filters="interlace=scan=bff,format=yuv420p", seen="bwdif=send_frame:bff", output=".mkv",
         notes=(WHOLE, MATROSKA), copied="", quick=True),
    kind("ntsc.dv", "-c:v dvvideo", "-c:a pcm_s16le -ar 48000 -ac 2", size="720x480",
         rate="30000/1001", filters="interlace=scan=bff,format=yuv411p", copied="",
         seen="bwdif=send_frame:bff", output=".mkv", notes=(WHOLE, MATROSKA)),
    kind("a.3gp", "-c:v h263 -q:v 2", size="176x144", **TO_MP4),
    kind("flv1.flv", "-c:v flv -q:v 2", "-c:a mp3 -ar 44100", **TO_MP4, quick=True),
    kind("h264.flv", X264, **TO_MP4),
    kind("a.wmv", "-c:v wmv2 -q:v 2", "-c:a wmav2", output=".mkv", copied="",
         notes=(MATROSKA, "FLAC"), quick=True),
    kind("a.asf", "-c:v msmpeg4 -q:v 2", "-c:a mp3", **TO_MP4),
    kind("a.ogv", "-c:v libtheora -q:v 9", "-c:a libvorbis", **TO_MKV),
    kind("a.mxf", "-c:v mpeg2video -q:v 2", "-c:a pcm_s16le -ar 48000", **TO_MKV),
]  # fmt: skip


def make(path, one, seconds=1.2):
    """A gray film of a moving pattern with a flash of two frames and a beep that begins with it."""
    double = one.rate.replace("30000", "60000") if "/" in one.rate else str(2 * int(one.rate))
    rate = double if "interlace" in one.filters else one.rate
    moving = "60+90*mod(X/W+Y/H/2+T/2,1)"
    flash = f"if(between(T,{FLASH - 0.001},{FLASH + 0.079}),230,{moving})"
    picture = f"nullsrc=s={one.size}:r={rate},format=gray,geq=lum='{flash}',{one.filters}"
    beep = f"sine=800:sample_rate=48000,volume='between(t,{FLASH},{FLASH + 0.1})':eval=frame"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", beep]
    form = (
        [] if "pix_fmt" in one.picture or "format=yuv" in one.filters else ["-pix_fmt", "yuv420p"]
    )
    if any(codec in one.picture for codec in ("prores", "png", "qtrle", "huffyuv")):
        form = []
    run_ffmpeg(*inputs, "-t", seconds, *form, *one.picture.split(), *one.sound.split(), path)


def beeps(path):
    """Second at which the sound of a film begins to be loud, by the clock of its picture."""
    command = [PROGRAM, "-v", "error", "-i", str(path), "-map", "0:a", "-ac", "1", "-ar", "8000"]
    command += ["-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-"]
    sound = np.frombuffer(subprocess.check_output(command, stderr=subprocess.DEVNULL), np.int16)
    return np.argmax(np.abs(sound.astype(int)) > 1500) / 8000


def flashes(path, frames):
    """Second of the first white frame; ffmpeg's clock begins with the film's first stream."""
    begin = float(whole_probe(path)["format"]["start_time"])
    return times(path)[np.argmax(frames.mean(axis=(1, 2)) > 190)] - begin


def copied(path, how):
    command = [PROGRAM, "-v", "error", "-i", str(path), "-map", "0:a", "-c", "copy", *how.split()]
    return subprocess.check_output([*command, *([] if how.endswith("-") else ["-"])])


@pytest.mark.parametrize("one", KINDS)
def test_a_film_of_this_kind(one, tmp_path):
    source = tmp_path / one.name
    make(source, one)
    target = tmp_path / "colored" / output_paths.video_output_name(one.name)
    target.parent.mkdir()
    summary = colorize_video(FakeColorizer(), VideoConfig(str(source), str(target)))
    (target,) = target.parent.iterdir()
    assert summary.output == str(target)
    assert target.suffix == (one.output or source.suffix)
    assert len(summary.notes) == len(one.notes), summary.notes
    assert all(any(part in note for note in summary.notes) for part in one.notes)

    before, after = decoded(source, "gray", one.seen), decoded(target, "gray")
    assert before.shape == after.shape and summary.frames == len(after) > 25
    difference = np.abs(before.astype(float) - after).mean(axis=(1, 2))
    assert difference.max() < one.tolerance
    was, now = times(source), times(target)
    np.testing.assert_allclose(now - now[0], was - was[0], atol=0.0011)
    step = flashes(target, after) - beeps(target), flashes(source, before) - beeps(source)
    assert abs(step[0]) < 0.06  # of an AVI with B frames, which has no times of display
    assert abs(step[0] - step[1]) < 0.02
    assert abs(length(target) - length(source)) < 0.09  # an AVI has no times of display
    if one.copied:
        assert copied(target, one.copied) == copied(source, one.copied)
    stream = next(s for s in whole_probe(target)["streams"] if s["codec_type"] == "video")
    assert one.expected.items() <= stream.items()
    assert np.ptp(decoded(target, "rgb24")[3].astype(int), axis=-1).mean() > 4  # in color


def length(path):
    """Seconds from the first packet to the end of the last, of picture and sound."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        "packet=pts_time,duration_time",
    ]
    packets = json.loads(subprocess.check_output([*command, str(path)]))["packets"]
    ends = [
        (float(p["pts_time"]), float(p.get("duration_time", 0))) for p in packets if "pts_time" in p
    ]
    return max(t + d for t, d in ends) - max(0, min(t for t, _ in ends))
