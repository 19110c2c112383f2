import copy
import itertools

from shufflenet_det.errors import ConfigError
from shufflenet_det.models import ShuffleNetV1, ShuffleUnit, channel_shuffle

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

SMALL = dict(groups=3, widen_factor=0.25)


def randomised(model: nn.Module) -> nn.Module:
    """The model with all parameters and statistics away from their initial values."""
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.5 + 0.1)
    return model


def test_levels_strides_and_channels_are_known_without_a_forward_pass():
    image = torch.rand(2, 3, 96, 160)
    for count in (1, 2, 3, 4):
        for indices in itertools.combinations(range(4), count):
            model = MODELS.build(dict(type='ShuffleNetV1', out_indices=indices, **SMALL))
            outputs = model(image)
            assert [o.shape[1] for o in outputs] == list(model.out_channels)
            assert [(96 // o.shape[2], 160 // o.shape[3]) for o in outputs] == [
                (s, s) for s in model.out_strides
            ]
            assert model.out_strides == tuple(4 * 2**i for i in indices)


def test_stages_after_the_last_level_are_not_built():
    assert len(ShuffleNetV1(out_indices=(0, 2), **SMALL).layers) == 2
    assert len(ShuffleNetV1(out_indices=(0,), **SMALL).layers) == 0


@pytest.mark.parametrize('indices', [(), (4,), (-1,), (1, 0), (2, 2)])
def test_levels_that_do_not_exist_are_refused(indices):
    with pytest.raises(ConfigError, match='out_indices'):
        ShuffleNetV1(out_indices=indices)


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


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2, 3])
def test_frozen_stages_change_neither_parameters_nor_statistics(frozen):
    model = ShuffleNetV1(frozen_stages=frozen, **SMALL)
    model.train()
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad] or
                                [nn.Parameter(torch.zeros(1))], lr=0.1)  # fmt: skip
    outputs = model(torch.rand(4, 3, 64, 64))
    if outputs[-1].requires_grad:
        sum(o.sum() for o in outputs).backward()
        optimiser.step()
    frozen_prefixes = ['conv1.'] * (frozen >= 0) + [f'layers.{i}.' for i in range(frozen)]
    for key, value in model.state_dict().items():
        is_frozen = key.startswith(tuple(frozen_prefixes))
        assert torch.equal(value, before[key]) == is_frozen, key


def test_norm_eval_keeps_statistics_and_trains_the_affine_part():
    model = ShuffleNetV1(norm_eval=True, **SMALL).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.training and module.weight.requires_grad


@pytest.mark.parametrize('frozen', [4, -2, 2.5])
def test_frozen_stages_that_cannot_be_are_refused(frozen):
    with pytest.raises(ConfigError, match='frozen_stages'):
        ShuffleNetV1(frozen_stages=frozen)


def test_group_norm_and_activation_are_taken_everywhere():
    model = ShuffleNetV1(
        norm_cfg=dict(type='GN', num_groups=1), act_cfg=dict(type='LeakyReLU'), **SMALL
    )
    kinds = {type(m) for m in model.modules()}
    assert nn.GroupNorm in kinds and nn.LeakyReLU in kinds
    assert not kinds & {nn.BatchNorm2d, nn.ReLU}
    model(torch.rand(1, 3, 32, 32))


def test_sync_bn_builds():
    model = ShuffleNetV1(norm_cfg=dict(type='SyncBN'), **SMALL)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())


@pytest.mark.parametrize('with_se', [False, True])
def test_checkpointing_changes_memory_not_gradients(with_se):
    plain = ShuffleNetV1(with_se=with_se, norm_eval=True, **SMALL).train()
    saving = ShuffleNetV1(with_se=with_se, norm_eval=True, with_cp=True, **SMALL).train()
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


def test_batch_equals_its_images_one_by_one():
    model = randomised(ShuffleNetV1(**SMALL)).eval()
    images = torch.rand(3, 3, 64, 96)
    for together, single in zip(
        model(images), zip(*[model(i[None]) for i in images], strict=True), strict=True
    ):
        assert torch.allclose(together, torch.cat(single), rtol=1e-4)


def test_traced_network_equals_eager_at_another_size():
    model = randomised(ShuffleNetV1(**SMALL)).eval()
    traced = torch.jit.trace(model, torch.rand(1, 3, 64, 64))
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(model(image), traced(image), strict=True):
        assert torch.allclose(a, b, rtol=1e-5)


def test_initial_weights_keep_the_scale_of_activations():
    model = ShuffleNetV1(**SMALL)
    model.init_weights()
    for output in model.train()(torch.randn(8, 3, 64, 64)):
        assert 0.1 < output.std() < 10


@pytest.mark.parametrize('factor', [0.1, 0.15])
def test_squeeze_and_excitation_of_very_narrow_nets_builds(factor):
    ShuffleNetV1(groups=1, widen_factor=factor, with_se=True)(torch.rand(2, 3, 64, 64))
