"""What holds for every backbone of the package, found through MMDetection's registry."""
import copy
import inspect
import itertools

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models import SharedRoIStage, StagedBackbone, backbones
from shufflenet_det.models.torchvision_nets import TorchvisionBackbone

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.hub import get_config
from torch import Tensor, nn

NAMES = list(backbones())
OWN = [n for n, kind in backbones().items() if not issubclass(kind, TorchvisionBackbone)]
every_backbone = pytest.mark.parametrize('name', NAMES)


def small(name: str, **kwargs) -> dict:
    """Config of the smallest variant of a backbone."""
    known = inspect.signature(backbones()[name]).parameters
    sizes = {k: v for k, v in dict(widen_factor=0.25, mflops=13).items() if k in known}
    return dict(type=name, **sizes, **kwargs)


def build(name: str, **kwargs) -> StagedBackbone:
    model = MODELS.build(small(name, **kwargs))
    model.init_weights()
    return model


def used(name: str, **kwargs) -> StagedBackbone:
    """A backbone in evaluation mode whose batch norms have seen a batch."""
    model = build(name, **kwargs).train()
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64))
    return model.eval()


def loss_of(outputs: tuple[Tensor, ...]) -> Tensor:
    # weighted, because a plain sum behind a batch norm has no gradient
    return sum((o * torch.randn_like(o)).sum() for o in outputs)


def test_backbones_of_the_paper_are_registered():
    assert {'ShuffleNetV1', 'MobileNetV1', 'VGGLike', 'ResNetLike', 'XceptionLike', 'ResNeXtLike',
            'AlexNet', 'VGG16', 'GoogLeNet', 'SqueezeNet'} <= set(NAMES)  # fmt: skip


@every_backbone
@torch.no_grad()
def test_maps_have_the_channels_and_strides_that_are_told(name):
    model = build(name).eval()
    assert model.out_strides == tuple(4 * 2**i for i in model.out_indices)
    for height, width in ((64, 96), (97, 131)):
        outputs = model(torch.rand(1, 3, height, width))
        larger = model(torch.rand(1, 3, height + 32, width + 64))
        assert tuple(o.shape[1] for o in outputs) == model.out_channels
        for stride, map_, grown in zip(model.out_strides, outputs, larger, strict=True):
            assert grown.shape[2] - map_.shape[2] == 32 // stride
            assert grown.shape[3] - map_.shape[3] == 64 // stride
            # torchvision's layers have less padding and so up to two cells less
            slack = 0 if name in OWN else 2
            for side, cells in zip((height, width), map_.shape[2:], strict=True):
                assert -(-side // stride) - slack <= cells <= -(-side // stride)


@every_backbone
@torch.no_grad()
def test_levels_are_the_same_however_many_are_returned(name):
    full = used(name)
    image = torch.rand(1, 3, 64, 97)
    expected = full(image)
    count = len(full.out_indices)
    assert full.out_indices == tuple(range(count))
    for indices in [(0,), (1, 2), (0, count - 1)]:
        part = MODELS.build(small(name, out_indices=indices)).eval()
        assert len(part.layers) == max(indices)
        result = part.load_state_dict(full.state_dict(), strict=False)
        assert not result.missing_keys
        assert part.out_channels == tuple(full.out_channels[i] for i in indices)
        assert part.out_strides == tuple(full.out_strides[i] for i in indices)
        for index, output in zip(indices, part(image), strict=True):
            assert torch.equal(output, expected[index])


@every_backbone
def test_frozen_stages_change_neither_parameters_nor_statistics(name):
    for frozen in range(-1, len(MODELS.build(small(name)).out_indices)):
        model = build(name, frozen_stages=frozen)
        held = nn.ModuleList(itertools.chain(*model.levels()[: frozen + 1]))
        assert not any(p.requires_grad for p in held.parameters())
        model.train()
        before = copy.deepcopy(model.state_dict())
        outputs = model(torch.rand(2, 3, 64, 64))
        trained = [p for p in model.parameters() if p.requires_grad]
        if trained:
            loss_of(outputs).backward()
            torch.optim.SGD(trained, lr=0.1).step()
        held_tensors = {t.data_ptr() for t in held.state_dict().values()}
        for key, value in model.state_dict().items():
            is_held = value.data_ptr() in held_tensors
            assert torch.equal(value, before[key]) == is_held, (frozen, key)


@every_backbone
def test_norm_eval_keeps_statistics_and_trains_the_affine_part(name):
    model = build(name, norm_eval=True).train()
    buffers = copy.deepcopy(dict(model.named_buffers()))
    loss_of(model(torch.rand(2, 3, 64, 64))).backward()
    for key, value in model.named_buffers():
        assert torch.equal(value, buffers[key]), key
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.grad is not None
    model.norm_eval = False
    assert all(m.training for m in model.train().modules())


@every_backbone
def test_gradients_reach_every_parameter(name):
    model = build(name).train()
    loss_of(model(torch.rand(2, 3, 64, 64))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@every_backbone
@torch.no_grad()
def test_state_dict_makes_another_instance_the_same_network(name, tmp_path):
    model = used(name)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'net.pth')
    other = MODELS.build(
        small(name, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth')))
    ).eval()
    other.init_weights()
    image = torch.rand(1, 3, 64, 96)
    for a, b in zip(model(image), other(image), strict=True):
        assert torch.equal(a, b)


@every_backbone
@torch.no_grad()
def test_batch_equals_its_images_one_by_one(name):
    # in double precision, in which the order of a sum hardly matters
    model = used(name).double()
    images = torch.rand(3, 3, 64, 96).double()
    singles = zip(*[model(image[None]) for image in images], strict=True)
    for together, single in zip(model(images), singles, strict=True):
        torch.testing.assert_close(together, torch.cat(single))


@every_backbone
@torch.no_grad()
@pytest.mark.filterwarnings('ignore:.*torch.jit.trace')
def test_traced_network_equals_eager_at_another_size(name):
    model = used(name)
    traced = torch.jit.trace(model, torch.rand(1, 3, 64, 64), check_trace=False)
    image = torch.rand(1, 3, 97, 131)
    for a, b in zip(model(image), traced(image), strict=True):
        # the eager one has its channels last, and adds in another order
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()


@every_backbone
@torch.no_grad()
def test_initial_weights_keep_the_scale_of_activations(name):
    for output in build(name).train()(torch.randn(4, 3, 96, 96)):
        assert 0.1 < output.std() < 10


@every_backbone
@torch.no_grad()
def test_last_stage_can_be_the_shared_head_of_a_c4_detector(name):
    model = used(name)
    stage = len(model.layers)
    shared = SharedRoIStage(small(name, frozen_stages=1), stage=stage).eval()
    assert shared.out_channels == model.out_channels[-1]
    donor = nn.ModuleList(model.layers[-1])
    shared.load_state_dict(donor.state_dict())
    features = model(torch.rand(1, 3, 96, 128))
    assert torch.equal(shared(features[-2]), features[-1])
    with pytest.raises(ConfigError):
        SharedRoIStage(small(name), stage=stage + 1)


@every_backbone
@pytest.mark.parametrize(
    'indices', [(), (9,), (-1,), (1, 0), (2, 2), (1.0,), (True,), 'all', 1.5, [[0]]]
)
def test_levels_that_do_not_exist_are_refused(name, indices):
    with pytest.raises(ConfigError, match='out_indices'):
        MODELS.build(small(name, out_indices=indices))


@every_backbone
@pytest.mark.parametrize('frozen', [9, 2, -2, 0.5, True, None])
def test_frozen_stages_that_cannot_be_are_refused(name, frozen):
    with pytest.raises(ConfigError, match='frozen_stages'):
        MODELS.build(small(name, frozen_stages=frozen, out_indices=(0, 1)))


@pytest.mark.parametrize('name', OWN)
@torch.no_grad()
def test_layers_of_a_config_are_taken_everywhere(name):
    model = build(name, norm_cfg=dict(type='GN', num_groups=1), act_cfg=dict(type='LeakyReLU'))
    kinds = {type(m) for m in model.modules()}
    assert nn.GroupNorm in kinds and nn.LeakyReLU in kinds
    assert not kinds & {nn.BatchNorm2d, nn.ReLU}
    model(torch.rand(1, 3, 32, 32))
    synchronised = build(name, norm_cfg=dict(type='SyncBN'))
    assert any(isinstance(m, nn.SyncBatchNorm) for m in synchronised.modules())


@pytest.mark.parametrize('name', OWN)
def test_checkpointing_changes_memory_not_gradients(name, monkeypatch):
    plain = build(name, norm_eval=True).train()
    saving = build(name, norm_eval=True, with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    calls = []
    checkpoint = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        torch.utils.checkpoint,
        'checkpoint',
        lambda *args, **kwargs: calls.append(0) or checkpoint(*args, **kwargs),
    )
    image = torch.rand(1, 3, 64, 64)
    for model in (plain, saving):
        assert not calls
        model(image)[-1].square().sum().backward()
    assert calls
    for (key, p), q in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6, msg=key)


@every_backbone
def test_faster_rcnn_takes_a_training_step(name):
    model = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model
    model.backbone = small(name)
    model.neck.in_channels = list(MODELS.build(model.backbone).out_channels)
    # as small as the network allows: the test is of the wiring
    model.train_cfg.rcnn.sampler.num = 8
    model.neck.out_channels = model.rpn_head.in_channels = model.rpn_head.feat_channels = 16
    model.roi_head.bbox_roi_extractor.out_channels = model.roi_head.bbox_head.in_channels = 16
    detector = MODELS.build(model)
    detector.init_weights()
    detector.train()
    inputs = demo_mm_inputs(2, [[3, 96, 128]] * 2, num_items=[2, 1], num_classes=80)
    losses = detector(**detector.data_preprocessor(inputs, True), mode='loss')
    total, _ = detector.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    for key, parameter in detector.backbone.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key
