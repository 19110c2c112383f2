"""A description that cannot be is refused by its key, before anything of its folder is run."""
import copy
import json

from shufflenet_runtime.description import read_description
from shufflenet_runtime.errors import DataError

import pytest

WHOLE = dict(
    format=2, name='x', kind='detector', labels=['a', 'b'], outputs=['boxes', 'scores', 'labels'],
    input=dict(name='image', dtype='uint8', layout='NCHW', channels='rgb', batch=1, height=None,
               width=None),
    resize=dict(rule='fit', long=500, short=300), thresholds=dict(score=0.05),
    engines=dict(onnxruntime=dict(model='model.onnx', files=['model.onnx'])),
    files={'model.onnx': 'hash'},
)  # fmt: skip


def read(folder, content: dict) -> dict:
    (folder / 'deploy.json').write_text(json.dumps(content))
    return read_description(folder)


def test_a_whole_one(tmp_path):
    assert read(tmp_path, WHOLE) == WHOLE
    assert read(tmp_path, {**WHOLE, 'labels': None, 'resize': None})['resize'] is None


@pytest.mark.parametrize('key, value', [
    ('kind', 'oven'), ('kind', []), ('name', 3),
    ('input', []), ('files', [['a', 'b']]), ('labels', 'text'), ('labels', [None]),
    ('outputs', None),
    ('input.channels', 'hsv'), ('input.height', -1), ('input.width', 10**12), ('resize', 3),
    ('resize.rule', 'nonsense'), ('resize.long', 0), ('resize.short', float('nan')),
    ('resize.long', 1e30), ('thresholds', None), ('thresholds.score', 2),
    ('engines.onnxruntime', None), ('engines.onnxruntime.files', ['../model.onnx']),
    ('engines.onnxruntime.files', ['/etc/passwd']), ('engines.onnxruntime.files', [])],
)  # fmt: skip
def test_what_cannot_be(tmp_path, key, value):
    content = copy.deepcopy(WHOLE)
    *parents, last = key.split('.')
    holder = content
    for parent in parents:
        holder = holder[parent]
    holder[last] = value
    with pytest.raises(DataError, match=key.split('.')[0]):
        read(tmp_path, content)


@pytest.mark.parametrize('key', ['labels', 'resize', 'input', 'engines', 'files', 'kind'])
def test_what_lacks(tmp_path, key):
    with pytest.raises(DataError, match=key):
        read(tmp_path, {k: v for k, v in WHOLE.items() if k != key})
