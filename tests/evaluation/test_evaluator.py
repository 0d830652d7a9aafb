"""Evaluation and tools/evaluate.py: the report file, its fields, and refused settings."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from residual_encoder import models
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import evaluator
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights as weights_files
from residual_encoder.recipes import RECIPES
from residual_encoder.utils import files

TOOL = Path(__file__).resolve().parents[2] / "tools" / "evaluate.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    recipe = dataclasses.replace(RECIPES["modern"], image_size=32, min_crop=1.0)
    path = tmp_path_factory.mktemp("model") / "model.weights.h5"
    weights_files.save_weights(models.build(recipe.network), path, recipe.to_json())
    return path


def config(output, **changes):
    base = EvaluateConfig(
        data=DataConfig("synthetic"),
        output=str(output),
        image_size=32,
        limit=3,
        batch_size=2,
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope="module")
def measured(weights, tmp_path_factory):
    output = tmp_path_factory.mktemp("reports") / "new" / "report.json"
    return evaluate_model(config(output), Colorizer(weights)), output


def test_report_file_records_what_was_measured(measured, weights):
    report, output = measured
    assert json.loads(output.read_text()) == report
    assert report["n"] == 3
    assert report["model"] == {
        "name": "model.weights.h5",
        "sha256": files.sha256(weights),
        "recipe": "modern",
        "color_space": "yuv",
        "gray": "luma",
    }
    assert report["data"]["kind"] == "synthetic"
    assert (report["data"]["n"], report["data"]["limit"], report["data"]["split"]) == (3, 3, "val")
    assert (report["image_size"], report["network_size"]) == (32, 32)
    assert set(report["versions"]) == {"python", *evaluator.VERSIONED}
    assert set(report["baselines"]) == {"gray", "oracle"}
    assert str(output.parent) not in output.read_text()
    assert list(output.parent.iterdir()) == [output]  # nothing half-written is left


def test_result_does_not_depend_on_the_batch_size(measured, weights):
    second = evaluate_model(config("", batch_size=3), Colorizer(weights))
    for name in ("auc", "psnr", "ssim", "delta_e00", "colorfulness"):
        assert measured[0][name]["mean"] == pytest.approx(second[name]["mean"], rel=1e-4)


def test_output_is_kept_unless_told(weights, tmp_path):
    output = tmp_path / "report.json"
    output.write_text("mine")
    with pytest.raises(FileExistsError, match="pass --overwrite"):
        evaluate_model(config(output), Colorizer(weights))
    assert output.read_text() == "mine"
    evaluate_model(config(output, limit=1, overwrite=True), Colorizer(weights, size=16))
    report = json.loads(output.read_text())
    assert (report["n"], report["image_size"], report["network_size"]) == (1, 32, 16)


def test_no_output_is_written_when_data_is_missing(weights, tmp_path):
    (tmp_path / "empty").mkdir()
    data = DataConfig("folder", data_dir=str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="empty"):
        evaluate_model(config(tmp_path / "report.json", data=data), Colorizer(weights))
    assert not (tmp_path / "report.json").exists()


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TOOL, *flags], capture_output=True, text=True, timeout=120
    )


def test_tool_prints_a_table_and_writes(weights, tmp_path):
    output = tmp_path / "report.json"
    done = run(
        f"--model={weights}",
        "--data=synthetic",
        f"--output={output}",
        "--image_size=32",
        "--limit=2",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 photographs")
    assert lines[1].split() == ["model", "gray", "oracle"]
    assert any(line.startswith("AuC, %") for line in lines)
    assert lines[-1] == f"written to {output}"
    assert json.loads(output.read_text())["n"] == 2


def test_tool_ends_in_one_line_on_error(tmp_path):
    done = run("--model=nowhere", "--data=synthetic", f"--output={tmp_path / 'a.json'}")
    assert done.returncode == 1
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("evaluate.py: error:")
    assert "nowhere" in errors[0]
