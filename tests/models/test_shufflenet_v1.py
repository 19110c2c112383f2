import copy
import itertools

from shufflenet_det.models import ShuffleNetV1, ShuffleUnit, channel_shuffle

import pytest
import torch
from torch import nn

SMALL = dict(groups=3, widen_factor=0.25)


def randomised(model: nn.Module) -> nn.Module:
    """The model with all parameters and statistics away from their initial values."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.5 + 0.1)
    return model


def reference_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """The paper's words, channel by channel."""
    channels = x.shape[1]
    each = channels // groups
    order = [group * each + i for i in range(each) for group in range(groups)]
    return x[:, order]


@pytest.mark.parametrize(('groups', 'each'), [(1, 6), (2, 5), (3, 4), (8, 3)])
def test_channel_shuffle_is_the_papers_permutation(groups, each):
    x = torch.rand(2, groups * each, 3, 5)
    shuffled = channel_shuffle(x, groups)
    assert torch.equal(shuffled, reference_shuffle(x, groups))
    assert torch.equal(channel_shuffle(shuffled, each), x)


def test_shuffle_orders_differ_and_share_the_state_dict():
    models = {s: ShuffleNetV1(shuffle=s, **SMALL) for s in ('standard', 'transposed', 'none')}
    state = randomised(models['standard']).state_dict()
    image, outputs = torch.rand(1, 3, 64, 64), {}
    for name, model in models.items():
        model.load_state_dict(state)
        outputs[name] = model.eval()(image)[-1]
    for a, b in itertools.combinations(outputs.values(), 2):
        assert not torch.allclose(a, b)


def test_transposed_shuffle_is_the_inverse_permutation():
    unit = ShuffleUnit(48, 48, groups=3, shuffle='transposed')
    assert unit.shuffle_groups == 48 // 4 // 3
    x = torch.rand(1, 12, 2, 2)
    assert torch.equal(channel_shuffle(channel_shuffle(x, 3), unit.shuffle_groups), x)


def test_shuffling_before_the_depthwise_convolution_is_the_same_unit():
    """The paper shuffles before it; moving the shuffle permutes the depthwise filters."""
    unit = randomised(ShuffleUnit(24, 24, groups=3)).eval()
    x = torch.rand(2, 24, 5, 7)
    order = reference_shuffle(torch.arange(6).view(1, 6, 1, 1), 3).flatten()
    moved = copy.deepcopy(unit.depthwise_conv3x3_bn)
    for tensor in moved.state_dict().values():
        if tensor.ndim:
            tensor.copy_(tensor[order])
    compressed = unit.g_conv_1x1_compress(x)
    expected = unit.g_conv_1x1_expand(moved(channel_shuffle(compressed, 3)))
    assert torch.allclose(unit(x), torch.relu(x + expected), atol=1e-6)


def test_checkpointing_with_squeeze_and_excitation_does_not_change_gradients():
    plain = ShuffleNetV1(with_se=True, norm_eval=True, **SMALL).train()
    saving = ShuffleNetV1(with_se=True, norm_eval=True, with_cp=True, **SMALL).train()
    saving.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 64)
    for model in (plain, saving):
        model(image)[-1].square().sum().backward()
    for (name, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, atol=1e-6), name


def test_squeeze_and_excitation_adds_only_its_own_layers():
    plain, with_se = ShuffleNetV1(**SMALL), ShuffleNetV1(with_se=True, **SMALL)
    added = set(with_se.state_dict()) - set(plain.state_dict())
    assert added and all('.se.conv' in key for key in added)
    image = torch.rand(1, 3, 64, 64)
    with_se.load_state_dict(plain.state_dict(), strict=False)
    assert not torch.allclose(plain.eval()(image)[-1], with_se.eval()(image)[-1])


@pytest.mark.parametrize('factor', [0.1, 0.15])
def test_squeeze_and_excitation_of_very_narrow_nets_builds(factor):
    ShuffleNetV1(groups=1, widen_factor=factor, with_se=True)(torch.rand(2, 3, 64, 64))


def reaches(stages: nn.Module, channels: int) -> torch.Tensor:
    """Which output channel depends on which input channel, as a matrix of both."""
    # nothing cancels, so what gets a signal from a channel depends on it
    for tensor in stages.state_dict().values():
        tensor.fill_(1)
    for norm in (m for m in stages.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.zeros_(norm.bias)
        norm.running_mean.zero_()
    inputs = torch.eye(channels, dtype=torch.double)[:, :, None, None].expand(-1, -1, 8, 8)
    with torch.no_grad():
        return (stages.double().eval()(inputs).amax((2, 3)) > 0).T


@pytest.mark.parametrize(('groups', 'in_a_stage', 'to_the_end'), [(8, 1 / 8, 1 / 2), (3, 1 / 3, 1)])
def test_what_crosses_groups_without_shuffle(groups, in_a_stage, to_the_end):
    """Units of stride 2 join their groups in pairs: docs/claims.md has these shares."""
    for shuffle, shares in (('standard', (1, 1)), ('none', (in_a_stage, to_the_end))):
        model = ShuffleNetV1(groups=groups, widen_factor=0.25, shuffle=shuffle)
        # the first unit's convolution has no groups
        stage = nn.Sequential(*model.layers[0][1:])
        width = next(m for m in stage.modules() if isinstance(m, nn.Conv2d)).in_channels
        stages = nn.Sequential(stage, *model.layers[1], *model.layers[2])
        for part, share in zip((stage, stages), shares, strict=True):
            assert reaches(part, width).double().mean() == pytest.approx(share)
