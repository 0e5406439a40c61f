"""Released files: the golden vectors, strictness, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srflow.checkpoints.released import convert, read_released
from srflow.cli import main
from srflow.contract import CheckpointError
from srflow.likelihood import standard_normal_log_prob
from srflow.model import SRFlow

OWN = Path(__file__).parent / "golden"
NAMES = [f"SRFlow{variant}_DF2K_{scale}X" for variant in ("-DA", "-DA-R", "-DA-S", "-DA-D", "") for scale in (4, 8)]
COMMITTED = [path.stem for path in sorted(OWN.glob("SRFlow*.safetensors"))]
TOLERANCE = 2e-5  # of the value range


def _golden(name: str, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict]:
    """The released file as it would be downloaded, the reference tensors, and the settings."""
    settings = json.loads((folder / "index.json").read_text())[name]
    tensors = load_file(folder / f"{name}.safetensors")
    released = {key.removeprefix("sd."): value for key, value in tensors.items() if key.startswith("sd.")}
    released |= load_file(folder / settings["rrdb_file"])
    released |= {key: torch.zeros(2) for key in settings["unused_keys_in_released_files"]}
    return released, tensors, settings


def _assert_agrees(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    assert actual.shape == expected.shape, what
    error = ((actual - expected).abs().max() / expected.abs().max()).item()
    assert error < TOLERANCE, f"{what} is off by {error:.1e} of its range"


def _check_golden(name: str, folder: Path, tmp_path: Path) -> None:
    released, reference, settings = _golden(name, folder)
    torch.save(released, tmp_path / "released.pth")
    blocks = ",".join(map(str, settings["rrdb"]["blocks"]))
    assert main(["convert", str(tmp_path / "released.pth"), str(tmp_path / "out"), "--blocks", blocks]) == 0
    model = SRFlow.from_pretrained(tmp_path / "out")
    count = settings["n_latents"]
    with torch.no_grad():
        conditioning = model.condition(reference["lr"])
        latents, log_prob = model.encode(reference["hr"], conditioning)
        assert len(latents) == count
        for i, latent in enumerate(latents):
            _assert_agrees(latent, reference[f"eps.{i}"], f"latent {i}")
        last_prior = standard_normal_log_prob(reference[f"eps.{count - 1}"]).sum((1, 2, 3))
        _assert_agrees(log_prob, reference["logdet"] + last_prior, "log-likelihood")
        split_priors = sum(standard_normal_log_prob(reference[f"eps.{i}"]).sum((1, 2, 3)) for i in range(count - 1))
        own_log_det = log_prob - sum(standard_normal_log_prob(latent).sum((1, 2, 3)) for latent in latents)
        _assert_agrees(own_log_det, reference["logdet"] - split_priors, "log-det")
        height, width = reference["hr"].shape[-2:]
        _assert_agrees(-log_prob / (height * width * math.log(2)), reference["nll_bits_per_pixel"], "bits per pixel")
        sr = model.decode([reference[f"sample_eps.{i}"] for i in range(count)], conditioning)
        _assert_agrees(sr, reference["sr"], "SR")
        _assert_agrees(model.encoder.super_resolve(reference["lr"]), reference["rrdb_out"], "encoder output")


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_golden_vectors(name: str, tmp_path: Path) -> None:
    _check_golden(name, OWN, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_all_golden_vectors(name: str, shared: Path, tmp_path: Path) -> None:
    _check_golden(name, shared / "golden", tmp_path)


def test_committed_vectors_are_there() -> None:
    assert len(COMMITTED) >= 2


def _released() -> dict[str, torch.Tensor]:
    return _golden(COMMITTED[0], OWN)[0]


def test_dead_keys_are_named_and_licence_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(_released(), tmp_path / "SRFlow.pth")
    assert main(["convert", str(tmp_path / "SRFlow.pth"), str(tmp_path / "out"), "--blocks", "0,1,2,3"]) == 0
    assert "flowUpsamplerNet.f.0.bias" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "config.json").read_text())["license"] == "cc-by-nc-sa-4.0"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card
    assert "no commercial use" in card


def test_blocks_must_be_named_for_an_encoder_that_is_not_the_papers() -> None:
    with pytest.raises(CheckpointError, match="--blocks"):
        convert(_released(), "toy.pth")


@pytest.mark.parametrize("prefix", ["RRDB.", "flowUpsamplerNet.layers.3.", "flowUpsamplerNet."])
def test_unknown_keys_are_refused(prefix: str) -> None:
    with pytest.raises(CheckpointError, match="surprise"):
        convert(_released() | {f"{prefix}surprise.weight": torch.zeros(1)}, "file.pth", blocks=(0, 1, 2, 3))


@pytest.mark.parametrize(
    "part", ["trunk_conv.weight", "layers.3.affine", "layers.1.actnorm.logs", "layers.4.conv.bias"]
)
def test_missing_keys_are_refused(part: str) -> None:
    released = _released()
    gone = next(key for key in sorted(released) if part in key)
    del released[gone]
    with pytest.raises(CheckpointError):
        convert(released, "file.pth", blocks=(0, 1, 2, 3))


def test_values_that_are_not_finite_are_refused() -> None:
    released = _released()
    released["RRDB.trunk_conv.bias"][0] = math.nan
    with pytest.raises(CheckpointError, match="not finite"):
        convert(released, "file.pth", blocks=(0, 1, 2, 3))


def test_plain_rrdb_file_becomes_a_model_whose_flow_is_untrained(tmp_path: Path) -> None:
    encoder = {key.removeprefix("RRDB."): value for key, value in _released().items() if key.startswith("RRDB.")}
    converted = convert(encoder, "RRDB_PSNR_x4.pth")
    assert not converted.has_flow
    assert converted.model.config.encoder.long_skip == "first_conv"
    assert converted.model.config.encoder.stacked_blocks == (0, 1, 2, 3)
    torch.testing.assert_close(converted.model.encoder.conv_first.weight, encoder["conv_first.weight"])
    assert "not trained" in converted.model.metadata.provenance
    wrapped = tmp_path / "wrapped.pth"
    torch.save({"params_ema": {f"module.{key}": value for key, value in encoder.items()}}, wrapped)
    assert read_released(wrapped).keys() == encoder.keys()


class _Code:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("run-by-unpickling"),))


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Code()))
    torch.save({"weight": torch.zeros(1), "bad": _Code()}, tmp_path / "zip.pth")
    for name in ("plain.pth", "zip.pth"):
        with pytest.raises(CheckpointError, match="not run"):
            read_released(tmp_path / name)
    assert not (tmp_path / "run-by-unpickling").exists()


@pytest.mark.parametrize("keep", [0, 10, 1000, -100])
def test_truncated_files_are_refused(keep: int, tmp_path: Path) -> None:
    torch.save({"weight": torch.randn(50, 50)}, tmp_path / "whole.pth")
    data = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(data[:keep])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        read_released(tmp_path / "cut.pth")


def test_other_contents_are_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no table of tensors"):
        read_released(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="not there"):
        read_released(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match=r"neither a released"):
        convert({"fc.weight": torch.zeros(2, 2)}, "resnet.pth")
