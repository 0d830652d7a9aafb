"""Colors collections with Apache Beam: INPUT... --output=DIR [BEAM'S FLAGS].

INPUTs are files, folders and quoted globs, as colorize takes them, or with --records TFRecord
files. Files that are there already are skipped. On four processes of this machine:
--direct_num_workers=4 --direct_running_mode=multi_processing; elsewhere: --runner=FlinkRunner ...
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for the colored files, manifest.jsonl and errors.jsonl; made if need be.",
    required=True,
)
_RECORDS = flags.DEFINE_bool(
    "records", False, "INPUTs are TFRecord files with image/encoded, such as ImageNet's shards."
)
_MODEL = shared_flags.model()
_SIZE = shared_flags.size()
_VIVIDNESS = shared_flags.vividness()
_TEMPERATURE = shared_flags.temperature()
_PRIOR_CORRECTION = shared_flags.prior_correction()
_SATURATION = shared_flags.saturation()
_UPSAMPLING = shared_flags.upsampling()
_FORMAT = shared_flags.file_format()
_LEVELS = shared_flags.levels()
_COLOR_INPUTS = shared_flags.color_inputs()


def main(arguments: list[str]) -> int:
    """Colors a collection; exit code 1 if any input failed."""
    from residual_encoder.apps.archive import beam_pipeline, beam_runner, tasks

    inputs, beam = beam_runner.split(arguments)
    if not inputs:
        raise ValueError("takes INPUT... --output=DIR, then Beam's flags; received no input")
    config = tasks.CollectionConfig(
        inputs=tuple(inputs),
        output=_OUTPUT.value,
        records=_RECORDS.value,
        model=_MODEL.value,
        size=shared_flags.network_size(_SIZE.value),
        saturation=_SATURATION.value,
        upsampling=_UPSAMPLING.value,
        format=_FORMAT.value,
        vividness=_VIVIDNESS.value,
        temperature=_TEMPERATURE.value,
        prior_correction=_PRIOR_CORRECTION.value,
        levels=_LEVELS.value,
        color_inputs=_COLOR_INPUTS.value,
    )
    done = beam_pipeline.colorize_archive(config, beam)
    left_out = f", {done.left_out} left out" if done.left_out else ""
    print(f"{done.colored} colored, {done.skipped} skipped{left_out}, {done.failed} failed")
    print(f"output, {beam_pipeline.MANIFEST} and {beam_pipeline.ERRORS} in {config.output}")
    return 1 if done.failed else 0


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True, foreign=True)
