"""The glue in numpy and in ONNX operators gives what one table of cases says."""
from pathlib import Path

from shufflenet_det.export import operators
from shufflenet_det.export.onnx_writer import OPSET
from shufflenet_runtime import boxes as in_numpy
from shufflenet_runtime.roi_align import RoIAlign

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from .glue_cases import CASES, Case

# what is compared exactly: indices
INDICES = ('nms', 'top_k')
# below every score
NO_SCORE = -1e30


class AsNetwork(nn.Module):
    """A case's function as a network of its arrays."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.function, self.settings = case.function, case.settings

    def forward(self, *arrays: Tensor) -> Tensor:
        s = self.settings
        if self.function == 'decode':
            border = torch.tensor([s['width'], s['height']] * 2, dtype=torch.float32)
            return operators.decode(*arrays, s['means'], s['stds'], border)
        if self.function == 'nms':
            return operators.nms(*arrays, s['iou_threshold'], s['limit'], NO_SCORE)
        if self.function == 'top_k':
            return operators.top_k(*arrays, s['limit'])[1]
        features, rois = arrays
        return operators.roi_align(
            features[None], rois, s['bins'], s['scale'], s['samples'], s['aligned']
        )


def with_numpy(case: Case, folder: Path) -> np.ndarray:
    s = case.settings
    if case.function == 'decode':
        return in_numpy.decode(*case.arrays, **s)
    if case.function == 'nms':
        return in_numpy.nms(*case.arrays, **s)
    if case.function == 'top_k':
        return in_numpy.top_k(*case.arrays, **s)
    features, rois = case.arrays
    pooled = np.empty((len(rois), len(features), *s['bins']), np.float32)
    pool = RoIAlign(*s['bins'], s['scale'], s['samples'], s['aligned'])
    pool(np.ascontiguousarray(features.transpose(1, 2, 0)), rois, pooled, np.arange(len(rois)))
    return pooled


def with_torch(case: Case, folder: Path) -> np.ndarray:
    return AsNetwork(case)(*map(torch.from_numpy, case.arrays)).numpy()


def with_onnx_runtime(case: Case, folder: Path) -> np.ndarray:
    path, names = folder / 'glue.onnx', [f'x{i}' for i in range(len(case.arrays))]
    # an example of another length: no number of it may get into the graph
    example = [array[:1] if case.function != 'roi_align' else array for array in case.arrays]
    example = [x if len(x) else np.ones((1, *x.shape[1:]), np.float32) for x in example]
    axes = {} if case.function == 'roi_align' else {name: {0: 'number'} for name in names}
    torch.onnx.export(
        AsNetwork(case), tuple(map(torch.from_numpy, example)), str(path), dynamo=False,
        opset_version=OPSET, input_names=names, dynamic_axes=axes,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(None, dict(zip(names, case.arrays, strict=True)))[0]


FORMS = (with_numpy, with_torch, with_onnx_runtime)


@pytest.mark.filterwarnings(
    'ignore::DeprecationWarning', 'ignore::UserWarning', 'ignore::torch.jit.TracerWarning'
)
@pytest.mark.parametrize('form', FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_every_form_gives_what_the_table_says(case: Case, form, tmp_path: Path):
    found = form(case, tmp_path)
    assert found.shape == case.expected.shape
    if case.function in INDICES:
        assert found.tolist() == case.expected.tolist()
    else:
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, case.expected, atol=1e-3)
