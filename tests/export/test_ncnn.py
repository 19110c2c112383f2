"""Networks that pnnx makes for ncnn, at other sizes than that of the example, and at once."""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shufflenet_det.export.agreement import compare
from shufflenet_det.export.errors import ExportError
from shufflenet_det.export.ncnn_writer import convert
from shufflenet_det.export.ncnn_writer import write as write_ncnn
from shufflenet_det.export.networks import Exportable, exportable
from shufflenet_det.export.onnx_writer import write as write_onnx
from shufflenet_runtime.engines import ENGINES
from shufflenet_runtime.errors import EngineError
from shufflenet_runtime.ncnn_engine import NcnnNetwork
from shufflenet_runtime.sessions import Session

import numpy as np
import pytest
import torch
from mmdet.models import TwoStageDetector
from torch import Tensor, nn
from torch.nn import functional as F

from .detectors import FAMILIES, detector_config, picture, predict, random_detector


def written(model: TwoStageDetector, folder: Path, threads: int = 1) -> Session:
    write_ncnn(exportable(model, None, None), folder)
    return ENGINES['ncnn'].open(folder, threads)


def as_rgb(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[None, ::-1])


@pytest.mark.parametrize('family', FAMILIES)
def test_maps_of_any_size_are_those_of_mmdetection(tmp_path, family):
    # without padding a map may be less than twice the next one
    model = random_detector(
        detector_config(family, **{'model.data_preprocessor.pad_size_divisor': 1})
    )
    session = written(model, tmp_path)
    for size in ((1, 1), (5, 7), (97, 161), (66, 129)):
        image = picture(*size)
        expected = predict(model, image)
        assert len(expected['scores'])
        difference = compare('detector', expected, session(as_rgb(image)))
        assert difference.agrees and difference.boxes < 0.1


@pytest.mark.parametrize('family', ['c4', 'light'])
def test_threads_may_call_a_detector_at_the_same_time(tmp_path, family):
    model = random_detector(detector_config(family))
    session = written(model, tmp_path, threads=2)
    images = [picture(64 + 32 * (n % 3), 96, seed=n) for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(session, map(as_rgb, images)))
    for image, found in zip(images, results, strict=True):
        assert compare('detector', predict(model, image), found).agrees


class Pyramid(nn.Module):
    """Upsamples a map to the size of the image."""

    def __init__(self, added: bool) -> None:
        super().__init__()
        self.added = added
        self.coarse, self.fine = nn.Conv2d(3, 4, 3, 2, padding=1), nn.Conv2d(3, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        """An image (1, 3, H, W) to (1, 4, H, W)."""
        upsampled = F.interpolate(self.coarse(image), size=image.shape[2:])
        return upsampled + self.fine(image) if self.added else upsampled


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.mul(2)


class Written(nn.Module):
    """With a function in Python, as MMDetection has some."""

    def forward(self, image: Tensor) -> Tensor:
        return Doubled.apply(image)


class Gathered(nn.Module):
    """As Libra R-CNN's neck, pooled to a size that depends on the image's."""

    def forward(self, image: Tensor) -> Tensor:
        size = (image.shape[2] // 2, image.shape[3] // 2)
        return F.adaptive_max_pool2d(image.float(), size)


class Bessel(nn.Module):
    """Something that ncnn does not have."""

    def forward(self, image: Tensor) -> Tensor:
        """A function of an image."""
        return torch.special.i0(image)


def test_an_upsampled_map_has_the_size_of_what_it_is_added_to(tmp_path):
    network, path = Pyramid(added=True), tmp_path / 'model.ncnn.param'
    convert(network, torch.zeros(1, 3, 32, 48), 'image', ['out'], path)
    image = torch.rand(1, 3, 21, 35)
    (found,) = NcnnNetwork(path, 1).run(image[0].numpy(), ['out'])
    with torch.no_grad():
        np.testing.assert_allclose(found, network(image)[0].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ('network', 'message'),
    [
        (Pyramid(added=False), 'would be that of the example image'),
        (Bessel(), 'ncnn has no operator for aten::i0'),
        (Written(), "TorchScript, .*: RuntimeError: .*'Doubled'.*test the detector with PyTorch"),
    ],
    ids=['size', 'operator', 'function'],
)
def test_what_would_be_wrong_in_ncnn_is_refused(tmp_path, network, message):
    with pytest.raises(ExportError, match=message):
        convert(network, torch.zeros(1, 3, 32, 48), 'image', ['out'], tmp_path / 'a.ncnn.param')
    assert not list(tmp_path.iterdir())


def test_what_onnx_has_not_is_refused(tmp_path):
    axes = {2: 'height', 3: 'width'}
    source = Exportable('backbone', Gathered(), {'out': {}}, axes, predict=dict)
    with pytest.raises(ExportError, match='ONNX: .*test the detector with PyTorch'):
        write_onnx(source, tmp_path, ())


def test_what_ncnn_cannot_load_is_an_error(tmp_path):
    path = tmp_path / 'model.ncnn.param'
    convert(Pyramid(added=True), torch.zeros(1, 3, 32, 48), 'image', ['out'], path)
    path.write_text(path.read_text().replace('Convolution', 'Convulsion'))
    with pytest.raises(EngineError, match=r'model\.ncnn\.param is damaged, or has something'):
        ENGINES['ncnn'].open(tmp_path)
