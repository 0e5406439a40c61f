import socket
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from srflow.contract import CheckpointError, InputError
from srflow.evaluation.features import (
    BACKBONES,
    FeatureDistance,
    FeatureNetwork,
    MissingPackageError,
    feature_distance,
    feature_scales,
    find_weights,
)
from srflow.images import to_tensor


@pytest.fixture(scope="module")
def network():
    return FeatureNetwork()


@pytest.fixture(scope="module")
def vgg_weights(tmp_path_factory):
    """Random weights under torchvision's names, of the layers needed and one that is not."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in BACKBONES["vgg19"].build().state_dict().items()}
    random = torch.Generator().manual_seed(3)
    tensors = {name: 0.02 * torch.randn(shape, generator=random) for name, shape in shapes.items()}
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(tensors | {"classifier.6.bias": torch.zeros(1000)}, path)
    return path


def batch(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def picture(height, width, strength=0.0):
    random = np.random.default_rng(0)
    gradient = np.linspace(40, 200, height)[:, None, None] + np.linspace(-30, 30, width)[None, :, None] + np.zeros(3)
    return np.clip(gradient + strength * random.standard_normal(gradient.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (45, 33), (32, 32)])
def test_shapes_are_as_said(network, size):
    outputs = network.features(batch(2, 3, *size))
    assert len(outputs) == len(network.strides) == len(network.channels) == 6
    for output, stride, channels in zip(outputs, network.strides, network.channels, strict=True):
        assert output.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_features_are_those_of_timms_own_network(network):
    import timm
    from timm.data import create_transform, resolve_data_config

    reference = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(0, 1, 2, 3)).eval()
    state = reference.state_dict()
    tensors = safetensors.torch.load_file(find_weights())
    assert tensors.keys() <= state.keys()
    reference.load_state_dict(tensors, strict=False)
    normalise = create_transform(**resolve_data_config({}, model=reference)).transforms[-1]
    x = batch(2, 3, 64, 80)
    with torch.no_grad():
        expected = reference(normalise(x))
    actual = network.features(x)
    for mine, theirs in zip([actual[i] for i in (1, 2, 3, 5)], expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_reach_the_picture_and_not_the_network(network):
    truth = batch(2, 3, 48, 48)
    x = truth.clone().requires_grad_()
    true = network.features(truth)
    distance = feature_distance(network.features(x), true, feature_scales(true))
    distance.sum().backward()
    assert torch.equal(distance, torch.zeros(2))
    assert torch.equal(x.grad, torch.zeros_like(x))  # and not NaN
    moved = (truth + 0.05 * batch(2, 3, 48, 48, seed=1)).requires_grad_()
    feature_distance(network.features(moved), true, feature_scales(true)).sum().backward()
    assert torch.isfinite(moved.grad).all()
    assert (moved.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_gradient_is_that_of_finite_differences():
    network = FeatureNetwork().double()
    truth, x, direction = (batch(1, 3, 32, 32, seed=seed).double() for seed in range(3))
    true = network.features(truth)

    def loss(step):
        return feature_distance(network.features(x + step * direction), true, feature_scales(true)).sum()

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(step), step)
    expected = (loss(torch.tensor(1e-6)) - loss(torch.tensor(-1e-6))) / 2e-6
    torch.testing.assert_close(gradient, expected.detach(), rtol=1e-5, atol=0)


def test_the_distance_by_hand():
    """Two layers, one place differing by (3, 4) times the scale in the first, none in the second."""
    a = [torch.zeros(1, 2, 2, 2), torch.ones(1, 1, 1, 1)]
    b = [torch.zeros(1, 2, 2, 2), torch.ones(1, 1, 1, 1)]
    b[0][0, :, 1, 0] = torch.tensor([6.0, 8.0])
    actual = feature_distance(a, b, [torch.tensor([2.0]), torch.tensor([1.0])])
    assert actual.item() == pytest.approx((5 / 4 + 0) / 2, abs=1e-3)
    scales = feature_scales([torch.full((3, 4, 2, 2), 3.0)])
    torch.testing.assert_close(scales[0], torch.full((3,), 6.0))  # the length of (3, 3, 3, 3)


def test_pictures_of_a_batch_do_not_depend_on_each_other_unless_scales_are_shared(network):
    a, b = batch(2, 3, 40, 40, seed=1), batch(2, 3, 40, 40, seed=2)
    b[1] = b[1] * 0.1
    fa, fb = network.features(a), network.features(b)
    together = feature_distance(fa, fb, feature_scales(fb))
    alone = [
        feature_distance([f[i : i + 1] for f in fa], [f[i : i + 1] for f in fb], [s[i : i + 1] for s in scales])
        for scales in [feature_scales(fb)]
        for i in range(2)
    ]
    torch.testing.assert_close(together, torch.cat(alone))
    shared = feature_scales(fb, shared=True)
    for one, each in zip(shared, feature_scales(fb), strict=True):
        torch.testing.assert_close(one, each.square().mean().sqrt().view(1))
    assert feature_distance(fa, fb, shared).shape == (2,)


def test_features_of_nothing_do_not_divide_by_zero():
    zero = [torch.zeros(1, 4, 2, 2, requires_grad=True)]
    distance = feature_distance(zero, [torch.zeros(1, 4, 2, 2)], feature_scales(zero))
    distance.sum().backward()
    assert distance.item() == 0
    assert torch.isfinite(zero[0].grad).all()


def test_autocast_and_channels_last(network):
    x = batch(2, 3, 64, 64)
    plain = network.features(x)
    last = network.features(x.to(memory_format=torch.channels_last))
    for a, b in zip(plain, last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    other = network.features(batch(2, 3, 64, 64, seed=1))
    expected = feature_distance(other, plain, feature_scales(plain))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        truth = network.features(x)
        assert truth[-1].dtype == torch.bfloat16
        actual = feature_distance(network.features(batch(2, 3, 64, 64, seed=1)), truth, feature_scales(truth))
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0)


def test_the_network_stays_frozen_inside_a_module_that_is_trained(network):
    outer = torch.nn.ModuleList([network]).train()
    assert not any(part.training for part in network.modules())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    outer[0].features(batch(2, 3, 32, 32))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_building_downloads_nothing_and_leaves_the_random_numbers_alone(monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    FeatureNetwork()
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_vgg19_is_there_for_those_who_have_its_weights(vgg_weights, monkeypatch):
    monkeypatch.delenv("SRFLOW_VGG19_WEIGHTS", raising=False)
    with pytest.raises(CheckpointError, match="SRFLOW_VGG19_WEIGHTS"):
        FeatureNetwork("vgg19")
    monkeypatch.setenv("SRFLOW_VGG19_WEIGHTS", str(vgg_weights))
    network = FeatureNetwork("vgg19")
    x = batch(1, 3, 64, 48)
    (output,) = network.features(x)
    assert output.shape == (1, 512, 4, 3)
    assert (network.strides, network.channels) == ((16,), (512,))
    assert (output < 0).any()  # before the activation
    from torchvision.models import vgg19

    reference = vgg19(weights=None, init_weights=False).features.eval()
    tensors = torch.load(vgg_weights, weights_only=True)
    needed = {name.removeprefix("features."): value for name, value in tensors.items() if name.startswith("features.")}
    reference.load_state_dict(needed)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = reference[:35]((x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
    torch.testing.assert_close(output, expected)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackageError, match="pip install timm"):
        FeatureNetwork()


def test_missing_weights_say_where_they_were_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("SRFLOW_EFFICIENTNET_WEIGHTS", str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors.*SRFLOW_EFFICIENTNET_WEIGHTS"):
        FeatureNetwork()
    monkeypatch.delenv("SRFLOW_EFFICIENTNET_WEIGHTS")
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(find_weights().read_bytes())
    assert find_weights(weights=copy) == copy
    with pytest.raises(InputError, match=r"'resnet'.*efficientnet-lite0, vgg19"):
        find_weights("resnet")


def test_wrong_and_truncated_weights_are_named(tmp_path, vgg_weights):
    whole = find_weights().read_bytes()
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(whole[:100_000])
    with pytest.raises(CheckpointError, match="truncated"):
        FeatureNetwork(weights=truncated)
    tensors = safetensors.torch.load_file(find_weights())
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(
        {name: tensor for name, tensor in tensors.items() if name != "bn1.bias"} | {"extra": torch.zeros(1)}, other
    )
    with pytest.raises(CheckpointError, match=r"another shape: bn1\.bias, extra"):
        FeatureNetwork(weights=other)
    broken = tmp_path / "broken.safetensors"
    safetensors.torch.save_file(tensors | {"bn1.bias": torch.full((32,), torch.nan)}, broken)
    with pytest.raises(CheckpointError, match=r"not finite, in bn1\.bias"):
        FeatureNetwork(weights=broken)
    pickled = tmp_path / "vgg19.pth"
    pickled.write_bytes(vgg_weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        FeatureNetwork("vgg19", pickled)
    torch.save([1, 2], pickled)
    with pytest.raises(CheckpointError, match="tensors by name"):
        FeatureNetwork("vgg19", pickled)


def test_pickles_run_no_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (pytest.fail, ("code from the file was run",))

    path = tmp_path / "hostile.pth"
    torch.save({"features.0.weight": Hostile()}, path)
    with pytest.raises(CheckpointError, match=r"hostile\.pth"):
        FeatureNetwork("vgg19", path)


def test_whole_networks_of_timm_are_accepted(tmp_path, network):
    """As timm saves them, with the later stages and the counters of batch normalisation."""
    import timm

    with torch.device("meta"):
        names = timm.create_model("tf_efficientnet_lite0").state_dict()
    ours = safetensors.torch.load_file(find_weights())
    path = tmp_path / "whole.safetensors"
    safetensors.torch.save_file(
        {name: ours.get(name, torch.zeros(tensor.shape, dtype=tensor.dtype)) for name, tensor in names.items()}, path
    )
    x = batch(1, 3, 32, 32)
    for a, b in zip(FeatureNetwork(weights=path).features(x), network.features(x), strict=True):
        assert torch.equal(a, b)


def test_other_inputs_are_refused(network):
    for bad, message in [
        (torch.zeros(3, 64, 64), r"\(B, 3, H, W\)"),
        (torch.zeros(1, 4, 64, 64), r"\(B, 3, H, W\)"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), "float tensors"),
        (torch.zeros(1, 3, 31, 64), "32 pixels a side; the pictures are 64x31"),
    ]:
        with pytest.raises(InputError, match=message):
            network.features(bad)


def test_distances_of_8_bit_pictures(network):
    distance = FeatureDistance(network=network)
    truth = picture(48, 70)
    to_truth = distance.distance_to(truth)
    values = [to_truth(picture(48, 70, strength)) for strength in (0, 5, 15, 40)]
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[1] > 0.01
    x, y = network.features(to_tensor(picture(48, 70, 15))), network.features(to_tensor(truth))
    assert values[2] == pytest.approx(feature_distance(x, y, feature_scales(y)).item(), rel=1e-6)
    assert distance.distance(picture(48, 70, 15), truth) == values[2]
    with pytest.raises(InputError, match="The feature distance takes uint8"):
        to_truth(truth.astype(np.float32))
    with pytest.raises(InputError, match="differ in size"):
        to_truth(truth[:40])
    with pytest.raises(InputError, match="needs 32 pixels a side"):
        distance.distance(truth[:31], truth[:31])


def test_known_value():
    """Computed once with timm 1.0.31: it moves if the weights, the input's range or the formula do."""
    flat = np.zeros((64, 64, 3), dtype=np.uint8)
    rows = flat.copy()
    rows[::8] = 255
    assert FeatureDistance().distance(rows, flat) == pytest.approx(1.1370, abs=2e-4)
