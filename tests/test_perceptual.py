import socket
import warnings
import weakref

import lpips
import numpy as np
import pytest
import safetensors.torch
import torch

from srflow.contract import CheckpointError, InputError
from srflow.evaluation import perceptual
from srflow.evaluation.perceptual import PerceptualDistance, find_weights, lpips_map, pairwise_lpips


@pytest.fixture(scope="module")
def distance():
    return PerceptualDistance()


@pytest.fixture(scope="module")
def pictures():
    """Four pictures of 48x70 (W x H), noise of growing strength on a gradient."""
    random = np.random.default_rng(0)
    gradient = np.linspace(40, 200, 70)[:, None, None] + np.linspace(-30, 30, 48)[None, :, None] + np.zeros(3)
    return [
        np.clip(gradient + strength * random.standard_normal(gradient.shape), 0, 255).astype(np.uint8)
        for strength in (0, 5, 15, 40)
    ]


def package_map(a, b):
    """The map by the lpips package alone: its own forward, with torchvision's tensors put in by hand."""
    with warnings.catch_warnings():  # the package's use of torchvision is out of date
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net="alex", version="0.1", spatial=True, pnet_rand=True, verbose=False).eval()
    tensors = safetensors.torch.load_file(find_weights())
    for part in (model.net.slice1, model.net.slice2, model.net.slice3, model.net.slice4, model.net.slice5):
        for name, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = tensors[f"features.{name}.weight"]
                layer.bias.data = tensors[f"features.{name}.bias"]
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (a, b))
    with torch.no_grad():
        return model(2 * x - 1, 2 * y - 1)[0, 0].numpy()


def test_the_map_is_the_packages(distance, pictures):
    for other in pictures[1:]:
        expected = package_map(other, pictures[0])
        actual = distance.map(other, pictures[0])
        assert actual.shape == (70, 48)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_known_values():
    """Computed once with lpips 0.1.4 and torchvision's AlexNet: they move if the weights, scaling or version do."""
    flat = np.zeros((64, 64, 3), dtype=np.uint8)
    rows = flat.copy()
    rows[::8] = 255
    assert lpips_map(rows, flat).mean() == pytest.approx(0.7166, abs=2e-4)


def test_more_noise_is_farther_and_equal_pictures_are_at_zero(distance, pictures):
    means = [distance.map(picture, pictures[0]).mean() for picture in pictures]
    assert means == sorted(means)
    assert means[0] == 0.0
    assert means[1] > 0.001
    np.testing.assert_allclose(
        distance.map(pictures[2], pictures[0]), distance.map(pictures[0], pictures[2]), atol=1e-6
    )


def test_one_reference_for_many(distance, pictures):
    map_of = distance.map_to(pictures[0])
    for picture in pictures:
        np.testing.assert_array_equal(map_of(picture), distance.map(picture, pictures[0]))


@pytest.mark.parametrize("pixels_held", [1, 20_000, 10**9], ids=["one at a time", "blocks", "all"])
def test_pairwise_is_the_mean_of_every_map(distance, pictures, monkeypatch, pixels_held):
    monkeypatch.setattr(perceptual, "_MAX_PIXELS_HELD", pixels_held)
    pictures = [*pictures, pictures[1][::-1]]
    result = distance.pairwise(pictures)
    expected = [[distance.map(a, b).mean() for b in pictures] for a in pictures]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_array_equal(result, result.T)
    np.testing.assert_array_equal(np.diag(result), 0)


def test_the_features_held_at_once_are_bounded(distance, pictures, monkeypatch):
    monkeypatch.setattr(perceptual, "_MAX_PIXELS_HELD", 2 * 70 * 48)  # blocks of two
    alive, most = set(), 0
    original = PerceptualDistance._features

    def counted(self, picture):
        nonlocal most
        features = original(self, picture)
        alive.add(id(features))
        weakref.finalize(features[0], alive.discard, id(features))
        most = max(most, len(alive))
        return features

    monkeypatch.setattr(PerceptualDistance, "_features", counted)
    distance.pairwise(pictures * 2)
    assert most <= 4  # a block, the picture it is compared with, and the one before that


def test_the_shared_network_is_built_once(pictures):
    before = perceptual._shared()
    np.testing.assert_array_equal(lpips_map(pictures[1], pictures[0]), before.map(pictures[1], pictures[0]))
    assert pairwise_lpips(pictures[:2]).shape == (2, 2)
    assert perceptual._shared() is before


def test_building_downloads_nothing_and_leaves_the_random_numbers_alone(monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    built = PerceptualDistance()
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    assert not built._model.training
    assert not any(parameter.requires_grad for parameter in built._model.parameters())


def test_missing_weights_say_where_they_were_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors.*SRFLOW_LPIPS_WEIGHTS"):
        PerceptualDistance()
    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE)
    monkeypatch.setattr(perceptual, "shipped_folder", lambda kind: tmp_path / kind)
    with pytest.raises(CheckpointError, match=r"assets/lpips/alexnet_features\.safetensors"):
        find_weights()


def test_weights_may_be_elsewhere(monkeypatch, tmp_path):
    copy = tmp_path / "features.safetensors"
    copy.write_bytes(find_weights().read_bytes())
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(copy))
    assert find_weights() == copy
    monkeypatch.delenv(perceptual.WEIGHTS_VARIABLE)
    assert find_weights(copy) == copy


def test_wrong_and_truncated_weights_are_named(tmp_path):
    tensors = safetensors.torch.load_file(find_weights())
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(find_weights().read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match="truncated"):
        PerceptualDistance(weights=truncated)
    other = tmp_path / "other.safetensors"
    tensors["features.3.bias"] = tensors["features.3.bias"][:-1]
    del tensors["features.10.bias"]
    safetensors.torch.save_file(tensors, other)
    with pytest.raises(CheckpointError, match=r"features\.10\.bias, features\.3\.bias"):
        PerceptualDistance(weights=other)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((70, 48, 3), dtype=np.float32), "uint8"),
        (np.zeros((70, 48), dtype=np.uint8), "uint8"),
        (np.zeros((70, 40, 3), dtype=np.uint8), "differ in size"),
    ],
)
def test_other_pictures_are_refused(distance, pictures, bad, message):
    with pytest.raises(InputError, match=message):
        distance.map(bad, pictures[0])


def test_too_small_and_no_pictures_are_refused(distance):
    small = np.zeros((31, 64, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="32 pixels a side; the picture is 64x31"):
        distance.map(small, small)
    with pytest.raises(InputError, match="no pictures"):
        distance.pairwise([])
    smallest = np.zeros((32, 32, 3), dtype=np.uint8)
    assert distance.map(smallest, smallest).shape == (32, 32)
