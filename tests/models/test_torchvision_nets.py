"""torchvision's own networks as the reference for those that are made of its layers."""
from functools import partial

from shufflenet_det.models import backbones

import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

REFERENCES = {
    'AlexNet': torchvision.models.AlexNet,
    'VGG16': torchvision.models.vgg16,
    'GoogLeNet': partial(torchvision.models.GoogLeNet, aux_logits=False, init_weights=False),
    'SqueezeNet': torchvision.models.squeezenet1_0,
}
every_net = pytest.mark.parametrize('name', REFERENCES)


def build_reference(name: str) -> torch.nn.Module:
    # VGG-16's own initialisation takes seconds
    with torch.device('meta'):
        net = REFERENCES[name](num_classes=10)
    net = net.to_empty(device='cpu').eval()
    for key, tensor in net.state_dict().items():
        if tensor.ndim > 1:
            torch.nn.init.kaiming_normal_(tensor)
        elif tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if 'var' in key else tensor.uniform_(0, 0.5)
    return net


@every_net
@torch.no_grad()
def test_weights_of_torchvision_load_by_path_and_give_its_output(name, tmp_path):
    reference = build_reference(name)
    # as torchvision publishes them, the bare state dict, but for the half gigabyte of VGG-16
    state = {k: v for k, v in reference.state_dict().items() if v.numel() < 1e7}
    torch.save(state, tmp_path / 'net.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'net.pth'))
    backbone = MODELS.build(dict(type=name, init_cfg=init_cfg)).eval()
    backbone.init_weights()
    head = backbone.original_head(10).eval()
    known = head.state_dict().keys()
    head.load_state_dict({k: v for k, v in reference.state_dict().items() if k in known})
    assert set(reference.state_dict()) == {*backbone.state_dict(), *known}
    image = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(head(backbone(image)[-1]), reference(image))


@every_net
def test_nothing_is_left_without_initial_values(name):
    # memory that to_empty() leaves as it finds it may hold anything
    backbone = backbones()[name]()
    for module in (backbone, backbone.original_head(3)):
        for key, tensor in module.state_dict().items():
            assert tensor.device.type == 'cpu'
            assert torch.isfinite(tensor).all() and tensor.abs().max() <= 1, key
        for child in module.modules():
            if list(child.parameters(recurse=False)):
                assert hasattr(child, 'reset_parameters'), child


@pytest.mark.parametrize(
    ('name', 'mflops', 'paper'),
    [('AlexNet', 714, 720), ('VGG16', 15470, 15300), ('GoogLeNet', 1498, 1500),
     ('SqueezeNet', 819, 833)],
)  # fmt: skip
def test_complexity_is_the_papers(name, mflops, paper):
    with torch.device('meta'):
        net = REFERENCES[name](num_classes=1000).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, 224, 224))
    counted = counter.get_total_flops() / 2 / 1e6
    assert counted == pytest.approx(mflops, abs=0.6)
    assert counted == pytest.approx(paper, rel=0.02)


@pytest.mark.parametrize(
    ('name', 'sizes'),
    [('AlexNet', [55, 27, 13, 6]), ('VGG16', [56, 28, 14, 7]), ('GoogLeNet', [56, 28, 14, 7]),
     ('SqueezeNet', [54, 27, 13])],
)  # fmt: skip
@torch.no_grad()
def test_maps_of_224_pixels_have_the_documented_sizes(name, sizes):
    outputs = backbones()[name]().eval()(torch.zeros(1, 3, 224, 224))
    assert [o.shape[2] for o in outputs] == [o.shape[3] for o in outputs] == sizes
