import csv
import json
import math

import pytest

from srflow.evaluation.report import markdown_table, write_report
from srflow.evaluation.results import MethodResult, Scores

SETTINGS = {"model": "toy", "weights_sha256": None, "temperatures": [0.8, 0.9], "scale_factor": 4}


@pytest.fixture
def results():
    bicubic = MethodResult(
        method="bicubic",
        pictures={
            "a": Scores(psnr=26.0, lr_psnr=38.0, lpips=0.4, lpips_global=0.4, lpips_local=0.4, diversity=0.0),
            "b": Scores(
                psnr=28.0,
                lr_psnr=39.0,
                lpips=0.5,
                lpips_global=0.48,
                lpips_local=0.3,
                diversity=10.0,
                feature_distance=0.62,
            ),
        },
    )
    model = MethodResult(
        method="toy",
        num_samples=10,
        temperature=0.9,
        params=8_700_000,
        params_total=25_400_000,
        pictures={
            "a": Scores(psnr=27.0, ssim=0.7, bits_per_dim=-3.5, seconds=0.25, exploded=0.1, mse_diversity=12.345),
            "b": Scores(psnr=math.nan, ssim=0.8, bits_per_dim=math.inf, seconds=0.35, exploded=0.0),
        },
    )
    return [bicubic, model]


def read_json(folder):
    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    return json.loads((folder / "results.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_json_has_a_row_per_method_with_means_and_null_for_what_is_missing(results, tmp_path):
    write_report(tmp_path, results, SETTINGS)
    report = read_json(tmp_path)
    assert report["settings"] == SETTINGS
    bicubic, model = report["rows"]
    assert bicubic["method"] == "bicubic"
    assert bicubic["psnr"] == 27.0
    assert bicubic["lpips"] == pytest.approx(0.45)
    assert bicubic["params"] is None
    assert bicubic["bits_per_dim"] is None
    assert bicubic["num_images"] == 2
    assert (model["params"], model["params_total"]) == (8_700_000, 25_400_000)
    assert (model["num_samples"], model["temperature"]) == (10, 0.9)
    assert model["ssim"] == pytest.approx(0.75)
    assert model["exploded"] == pytest.approx(0.05)
    assert model["lpips"] is None
    assert (bicubic["feature_distance"], model["feature_distance"]) == (0.62, None)
    assert model["psnr"] is None  # one of its pictures had NaN
    assert model["bits_per_dim"] is None
    for name in ("lr_psnr", "lpips_global", "lpips_local", "diversity", "mse_diversity", "seconds"):
        assert name in model


def test_csv_has_a_line_per_picture_and_empty_cells_for_what_is_missing(results, tmp_path):
    write_report(tmp_path, results, SETTINGS)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["method"], line["picture"]) for line in lines] == [
        ("bicubic", "a"),
        ("bicubic", "b"),
        ("toy", "a"),
        ("toy", "b"),
    ]
    assert lines[0]["psnr"] == "26"
    assert lines[0]["temperature"] == ""
    assert (lines[2]["temperature"], lines[2]["num_samples"]) == ("0.9", "10")
    assert lines[2]["mse_diversity"] == "12.345"
    assert (lines[3]["psnr"], lines[3]["bits_per_dim"], lines[3]["lpips"]) == ("", "", "")
    text = (tmp_path / "results.csv").read_text(encoding="utf-8")
    assert "nan" not in text
    assert "inf" not in text.replace("exploded", "")


def test_markdown_is_the_papers_table(results, tmp_path):
    write_report(tmp_path, results, SETTINGS)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| bicubic | - | - | 38.50 | 27.00 | 0.450 | 0.440 | 0.350 | 5.00 | 0.620 |" in text
    assert "| toy, τ = 0.9 | 8.7M | 0.3 | - | - | - | - | - | - | - |" in text
    assert "| toy, τ = 0.9 | 10 | 0.7500 | - | 12.35 | - | 5 % |" in text
    assert "- temperatures: 0.8, 0.9" in text
    assert "- weights sha256: -" in text
    assert "Results on 2 pictures" in text
    assert "nan" not in text
    assert " inf " not in text


def test_every_line_of_a_table_has_as_many_cells(results):
    lines = markdown_table(results).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 5


def test_names_cannot_break_the_table(results, tmp_path):
    odd = MethodResult(method="a|b *c*\n<x>", pictures=results[0].pictures)
    row = markdown_table([odd]).splitlines()[-1]
    assert row.startswith(r"| a\|b \*c\* \<x\> |")
    write_report(tmp_path, [odd], SETTINGS)
    assert read_json(tmp_path)["rows"][0]["method"] == "a|b *c*\n<x>"


def test_an_earlier_report_stays_whole_if_writing_fails(results, tmp_path):
    write_report(tmp_path, results, SETTINGS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["results.csv", "results.json", "results.md"]
    with pytest.raises(TypeError):
        write_report(tmp_path, results[:1], {"model": object()})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_folder_is_made(results, tmp_path):
    write_report(tmp_path / "new" / "folder", results, SETTINGS)
    assert (tmp_path / "new" / "folder" / "results.md").is_file()
