"""Released files: the golden vectors, strictness, and what is refused."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from srflow.checkpoints.released import convert, read_released
from srflow.cli import main
from srflow.contract import CheckpointError
from srflow.likelihood import standard_normal_log_prob
from srflow.model import SRFlow
from srflow.pictures import save_png

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
    again = convert(read_released(wrapped), "wrapped.pth").model
    torch.testing.assert_close(again.encoder.state_dict(), converted.model.encoder.state_dict())


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
    with pytest.raises(CheckpointError, match="not a table of tensors"):
        read_released(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="not there"):
        read_released(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match=r"neither a released"):
        convert({"fc.weight": torch.zeros(2, 2)}, "resnet.pth")


# -- files of other trainers -------------------------------------------------------------------------------------------


def _encoder() -> dict[str, torch.Tensor]:
    return {key.removeprefix("RRDB."): value for key, value in _released().items() if key.startswith("RRDB.")}


def _as_basicsr(name: str) -> str:
    for ours, theirs in (("RRDB_trunk", "body"), ("RDB", "rdb"), ("trunk_conv", "conv_body"), ("HRconv", "conv_hr")):
        name = name.replace(ours, theirs)
    return name.replace("upconv", "conv_up")


def _as_numbered(name: str) -> str:
    """Of the first ESRGAN files, x4: Sequential modules, numbered with the activations and upsamplings between them."""
    module, _, kind = name.rpartition(".")
    plain = {
        "conv_first": "0",
        "upconv1": "3",
        "upconv2": "6",
        "HRconv": "8",
        "conv_last": "10",
        "trunk_conv": "1.sub.99",
    }
    if module in plain:
        return f"model.{plain[module]}.{kind}"
    return f"model.{module.replace('RRDB_trunk', '1.sub')}.0.{kind}"


STYLES = {"released": str, "basicsr": _as_basicsr, "numbered": _as_numbered}
PREFIXES = ("", "module.", "netG.", "model.", "generator.", "_orig_mod.", "params_ema.")


@pytest.mark.parametrize(
    ("style", "suffix"),
    [*((style, ".pth") for style in STYLES), ("basicsr", ".ckpt"), ("numbered", ".pt"), ("released", ".safetensors")],
)
def test_every_style_of_names_behind_every_prefix(style: str, suffix: str, tmp_path: Path) -> None:
    encoder = _encoder()
    expected = convert(encoder, "plain.pth").model.encoder.state_dict()
    for prefix in PREFIXES:
        tensors = {prefix + STYLES[style](key): value for key, value in encoder.items()}
        path = tmp_path / f"weights{suffix}"
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
        converted = convert(read_released(path), path.name)
        assert not converted.left_out
        torch.testing.assert_close(converted.model.encoder.state_dict(), expected)


def test_averaged_weights_go_before_others_and_other_networks_are_named(tmp_path: Path) -> None:
    encoder = _encoder()
    wrong = {key: value + 1 for key, value in encoder.items()}
    expected = convert(encoder, "plain.pth").model.encoder.state_dict()
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}}
    torch.save({"params": wrong, "params_ema": encoder, "optimizer": optimizer, "iter": 5}, tmp_path / "a.pth")
    critic = {f"netD.conv{number}.weight": torch.zeros(2, 2) for number in range(3)}
    in_one_table = {f"netG.{key}": value for key, value in encoder.items()} | critic
    torch.save({"state_dict": in_one_table, "hyper_parameters": {"lr": 1e-4}}, tmp_path / "b.ckpt")
    averages = {f"net_g.{key}": value for key, value in wrong.items()}
    averages |= {f"net_g_ema.{key}": value for key, value in encoder.items()}
    torch.save(averages, tmp_path / "c.pth")
    for name, left_out in (
        ("a.pth", ()),
        ("b.ckpt", ("netD (3 tensors)",)),
        ("c.pth", (f"net_g ({len(wrong)} tensors)",)),
    ):
        converted = convert(read_released(tmp_path / name), name)
        torch.testing.assert_close(converted.model.encoder.state_dict(), expected)
        assert converted.left_out == left_out


@pytest.mark.parametrize("prefix", ["module.", "netG.module.", "model."])
def test_a_whole_flow_behind_a_prefix(prefix: str) -> None:
    released = _released()
    expected = convert(released, "plain.pth", blocks=(0, 1, 2, 3)).model.state_dict()
    prefixed = {prefix + key: value for key, value in released.items()}
    converted = convert(prefixed, "prefixed.pth", blocks=(0, 1, 2, 3))
    assert converted.has_flow
    torch.testing.assert_close(converted.model.state_dict(), expected)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "picture"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=said):
            read_released(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t | {"conv_first.weight": torch.zeros(8, 12, 3, 3)}, "x2 or x1"),
        (lambda t: {k: v for k, v in t.items() if not k.startswith("upconv2")}, "scale factor 2"),
        (lambda t: t | {"RRDB_trunk.0.RDB1.conv1x1.weight": torch.zeros(1)}, "ESRGAN\\+"),
        (lambda _: {"layers.0.residual_group.blocks.0.attn.qkv.weight": torch.zeros(1)}, "SwinIR"),
        (lambda _: {"body.0.weight": torch.zeros(1), "body.1.weight": torch.zeros(1)}, "SRVGGNet"),
    ],
)
def test_networks_that_do_not_fit_are_called_what_they_are(change: object, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        convert(change(_encoder()), "other.pth")


def test_a_weights_file_in_place_of_a_checkpoint_is_to_be_converted_first(tmp_path: Path, capsys) -> None:
    torch.save(_encoder(), tmp_path / "x.pth")
    picture = tmp_path / "a.png"
    save_png(picture, np.full((8, 8, 3), 99, np.uint8))
    assert main(["sample", str(picture), str(tmp_path / "out"), "--model", str(tmp_path / "x.pth")]) == 2
    assert "srflow convert" in capsys.readouterr().err
