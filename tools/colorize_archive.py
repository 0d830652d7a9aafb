"""Colors archives with Apache Beam: tools/colorize_archive.py INPUT... --output=DIR [BEAM'S FLAGS].

INPUTs are files, folders and quoted globs, as tools/colorize.py takes them, or with --records
TFRecord files. What is colored already is skipped. On four processes of this machine:
--direct_num_workers=4 --direct_running_mode=multi_processing; elsewhere: --runner=FlinkRunner ...
"""

from __future__ import annotations

import _bootstrap
from absl import flags

_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for the colored files, manifest.jsonl and errors.jsonl; made if need be.",
    required=True,
)
_RECORDS = flags.DEFINE_bool(
    "records", False, "INPUTs are TFRecord files with image/encoded, such as ImageNet's shards."
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Training workdir, weights file or exported SavedModel; default: shipped weights.",
)
_SIZE = flags.DEFINE_string(
    "size", "auto", "Short side in pixels that the network sees, from 8 up; auto: the model's own."
)
_SATURATION = flags.DEFINE_float(
    "saturation", 1.0, "Factor on the colors: 0 is gray, 1 what the network says.", lower_bound=0.0
)
_UPSAMPLING = flags.DEFINE_enum(
    "upsampling", "guided", ["guided", "bilinear"], "How colors are enlarged."
)
_FORMAT = flags.DEFINE_enum(
    "format", "keep", ["keep", "jpeg", "png", "webp", "tiff"], "What colored pictures are saved as."
)


def main(arguments: list[str]) -> int:
    """Colors an archive; exit code 1 if any input failed."""
    from residual_encoder.apps.archive import beam_pipeline, beam_runner, tasks

    inputs, beam = beam_runner.split(arguments)
    if not inputs:
        raise ValueError("takes INPUT... --output=DIR, then Beam's flags; received no input")
    config = tasks.ArchiveConfig(
        inputs=tuple(inputs),
        output=_OUTPUT.value,
        records=_RECORDS.value,
        model=_MODEL.value,
        size=_bootstrap.network_size(_SIZE.value),
        saturation=_SATURATION.value,
        upsampling=_UPSAMPLING.value,
        format=_FORMAT.value,
    )
    done = beam_pipeline.colorize_archive(config, beam)
    print(f"{done.colored} colored, {done.skipped} skipped, {done.failed} failed")
    print(f"output, {beam_pipeline.MANIFEST} and {beam_pipeline.ERRORS} in {config.output}")
    return 1 if done.failed else 0


if __name__ == "__main__":
    _bootstrap.run(main, positional=True, foreign=True)
