"""Damaged inputs from a seed: bytes, images, annotations, checkpoints, exported folders."""
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from shufflenet_runtime.hashing import sha256

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

Rng = random.Random


def damaged_bytes(content: bytes, rng: Rng) -> tuple[str, bytes]:
    """One of the ways in which disks, networks and editors damage a file."""
    kind = rng.choice(['cut', 'flip', 'flip', 'zeros', 'noise', 'doubled', 'insert', 'start'])
    at = rng.randrange(len(content)) if content else 0
    data = bytearray(content)
    if kind == 'cut':
        return kind, bytes(data[:at])
    if kind == 'flip':
        for _ in range(rng.choice([1, 4, 40])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 'zeros':
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == 'noise':
        data[at : at + 64] = rng.randbytes(len(data[at : at + 64]))
    elif kind == 'doubled':
        data += data[at:]
    elif kind == 'insert':
        data[at:at] = rng.randbytes(rng.randrange(1, 9))
    else:
        data[: rng.randrange(1, 16)] = b''
    return kind, bytes(data)


def image_files(rng: Rng) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and content of damaged images, and of odd ones that are whole."""
    while True:
        size = rng.choice([(48, 64), (64, 48), (1, 1), (2, 300), (33, 47)])
        shape = size if rng.random() < 0.2 else (*size, rng.choice([3, 3, 3, 4]))
        depth = np.uint16 if rng.random() < 0.1 else np.uint8
        pixels = np.random.default_rng(rng.randrange(2**32)).integers(
            0, np.iinfo(depth).max, shape, dtype=depth
        )
        ending = rng.choice(['.jpg', '.jpg', '.png', '.bmp', '.webp', '.tiff'])
        if ending in ('.jpg', '.bmp', '.webp'):
            pixels = (pixels >> 8 * (depth == np.uint16)).astype(np.uint8)
        content = cv2.imencode(ending, pixels)[1].tobytes()
        if rng.random() < 0.08:
            # sizes in the header that no memory holds
            png = bytearray(cv2.imencode('.png', pixels)[1].tobytes())
            png[16:24] = struct.pack('>II', rng.choice([2**31 - 1, 60000]), 60000)
            yield 'header', 'image.png', bytes(png)
        elif rng.random() < 0.1:
            text = [b'', b'<!doctype html><html>404</html>', b'\0' * 100, b'GIF89a', b'%PDF-1.4']
            yield 'other', f'image{ending}', rng.choice(text)
        else:
            kind, content = damaged_bytes(content, rng)
            yield kind, f'image{ending}', content


_VALUES = (None, -1, 0, 1e308, float('nan'), float('inf'), '', 'x', '7', [], {}, [[]], True, 2**70,
           'a' * 3000, '\ud800', [1, 2], {'id': 1})  # fmt: skip


def damaged_json(tables: dict, rng: Rng) -> tuple[str, bytes]:
    """A COCO file with a damaged text, or with values that are none."""
    text = json.dumps(tables)
    if rng.random() < 0.3:
        kind, content = damaged_bytes(text.encode(), rng)
        return kind, content
    if rng.random() < 0.1:
        deep = [b'[' * 100000, b'{"images":' * 3000, b'[' * 500 + b']' * 500, b'null', b'3']
        return 'deep', rng.choice(deep)
    tables = json.loads(text)
    for _ in range(rng.choice([1, 1, 3])):
        holder = _somewhere(tables, rng)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = rng.choice(_VALUES)
    return 'value', json.dumps(tables).encode()


def _somewhere(node: dict | list, rng: Rng) -> dict | list:
    while True:
        values = list(node.values() if isinstance(node, dict) else node)
        inner = [value for value in values if isinstance(value, dict | list) and value]
        if not inner or rng.random() < 0.25:
            return node
        node = rng.choice(inner)


VOC = """<annotation><folder>f</folder><filename>{name}</filename>
<size><width>80</width><height>60</height><depth>3</depth></size>
<object><name>mug</name><difficult>0</difficult>
<bndbox><xmin>10</xmin><ymin>12</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object></annotation>
"""
_TEXTS = ('', 'nan', '-3', '1e999', '12.5.1', 'x' * 3000, '&lt;', '0x10', '１２', '9' * 400)


def damaged_xml(name: str, rng: Rng) -> tuple[str, bytes]:
    text = VOC.format(name=name)
    kind = rng.choice(['bytes', 'value', 'value', 'tag', 'entity', 'encoding'])
    if kind == 'bytes':
        return damaged_bytes(text.encode(), rng)
    if kind == 'value':
        old = rng.choice(['10', '12', '40', '50', '80', '60', 'mug', name, '0'])
        return kind, text.replace(f'>{old}<', f'>{rng.choice(_TEXTS)}<').encode()
    if kind == 'tag':
        tag = rng.choice(['xmin', 'bndbox', 'object', 'name', 'filename', 'size', 'annotation'])
        return kind, text.replace(f'{tag}>', f'{rng.choice(["x", "Name", "a:b", "1"])}>').encode()
    if kind == 'entity':
        # a thousand million laughs
        entities = '<!ENTITY e0 "ha">' + ''.join(
            f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10)
        )
        bomb = f'<!DOCTYPE annotation [{entities}]>' + text.replace('>mug<', '>&e9;<')
        outside = '<!DOCTYPE annotation [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + text.replace(
            '>mug<', '>&e;<')  # fmt: skip
        return kind, rng.choice([bomb, outside]).encode()
    encoding = rng.choice(['utf-16', 'gb2312', 'nonsense', 'utf-7'])
    return kind, f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode('latin1')


YOLO = 'names: [mug]\ntrain: images\nval: images\n'
YOLO_LABELS = '0 0.3 0.5 0.4 0.6\n0 0.1 0.1 0.4 0.1 0.4 0.5\n'


def damaged_yolo(rng: Rng) -> tuple[str, bytes, bytes]:
    """What happened, ``data.yaml``, and the labels of an image."""
    kind = rng.choice(['labels, bytes', 'labels, value', 'labels, value', 'yaml, bytes', 'yaml'])
    whole, labels = YOLO.encode(), YOLO_LABELS.encode()
    if kind == 'labels, bytes':
        return kind, whole, damaged_bytes(labels, rng)[1]
    if kind == 'labels, value':
        old = rng.choice(['0 0.3', '0.5 0.4', '0.6', '0.1 0.1', '0.4 0.5'])
        new = rng.choice([*_TEXTS, '7 0.3', '-0.5 0.4', '0.5 1.4', '0.5', 'mug 0.3', '0,5'])
        return kind, whole, YOLO_LABELS.replace(old, new).encode()
    if kind == 'yaml, bytes':
        return kind, damaged_bytes(whole, rng)[1], labels
    old = rng.choice(['[mug]', 'images', 'names', 'train', 'val: images'])
    new = rng.choice([
        '{0: mug, 2: cup}', '[]', 'null', '../..', '/etc/passwd', '&a [*a]', '[mug, mug]',
        '!!python/object/apply:os.getcwd []', 'C:\\data\\images', '12', "{'x': 1}",
    ])  # fmt: skip
    return kind, YOLO.replace(old, new).encode(), labels


def damaged_checkpoint(state: dict, folder: Path, rng: Rng) -> tuple[str, Path]:
    """A file of ``torch.save`` or safetensors that is not what it was."""
    suffix = rng.choice(['.pth', '.pth', '.safetensors'])
    path = folder / f'weights{suffix}'
    kind = rng.choice(['bytes', 'bytes', 'bytes', 'content'])
    names = list(state)
    if kind == 'content':
        name = rng.choice(names)
        kind, odd = rng.choice([
            ('missing', None), ('type', 'text'), ('shape', torch.zeros(3, 1, 7)),
            ('list', [1]), ('nested', {'a': torch.zeros(2)}),
            ('huge', torch.zeros(1).expand(2**20, 2**12)), ('complex', torch.zeros(4).cfloat()),
        ])  # fmt: skip
        state = {**state, name: odd}
        if odd is None:
            del state[name]
        suffix, path = '.pth', folder / 'weights.pth'
    if suffix == '.pth':
        torch.save(rng.choice([state, dict(state_dict=state, meta=dict(epoch=1))]), path)
    else:
        save_file(state, str(path))
    if kind == 'bytes':
        content = path.read_bytes()
        if suffix == '.safetensors' and rng.random() < 0.6:
            # the header alone: nothing protects the numbers behind it
            size = 8 + int.from_bytes(content[:8], 'little')
            kind, head = damaged_bytes(content[:size], rng)
            path.write_bytes(head + content[size:])
        else:
            kind, content = damaged_bytes(content, rng)
            path.write_bytes(content)
    return f'{suffix[1:]} {kind}', path


def _rehash(folder: Path, about: dict) -> None:
    """Make the folder one that its author has written so."""
    files = about.get('files')
    for name in files if isinstance(files, dict) else ():
        # no longer than a disk takes
        if len(name) < 200 and '\0' not in name and (folder / name).is_file():
            files[name] = sha256(folder / name)
    (folder / 'deploy.json').write_text(json.dumps(about))


def _outside(model: onnx.ModelProto, rng: Rng) -> None:
    tensor = rng.choice([t for t in model.graph.initializer if t.raw_data])
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    where = rng.choice(['../../secret.bin', '/etc/passwd', 'missing.bin', '../deploy.json', ''])
    for key, value in (('location', where), ('offset', '0'), ('length', '1000000')):
        tensor.external_data.add(key=key, value=value)


def _enormous(model: onnx.ModelProto, rng: Rng) -> None:
    """An output that no memory holds."""
    side = rng.choice([2**20, 2**31, 2**40])
    shape = helper.make_tensor('fuzz_shape', TensorProto.INT64, [3], [side, side, 4])
    one = helper.make_tensor('fuzz_one', TensorProto.FLOAT, [1], [1.0])
    model.graph.initializer.extend([shape, one])
    name = model.graph.output[0].name
    for node in model.graph.node:
        for i, output in enumerate(node.output):
            if output == name:
                node.output[i] = 'fuzz_replaced'
    model.graph.node.append(helper.make_node('Expand', ['fuzz_one', 'fuzz_shape'], [name]))


def _renamed(model: onnx.ModelProto, rng: Rng) -> None:
    value = rng.choice([*model.graph.output, *model.graph.input])
    value.name = rng.choice(['', 'x', 'a/../b', value.name * 50])


def _dropped(model: onnx.ModelProto, rng: Rng) -> None:
    del model.graph.node[rng.randrange(len(model.graph.node))]


def _unknown(model: onnx.ModelProto, rng: Rng) -> None:
    rng.choice(model.graph.node).op_type = rng.choice(['Nonsense', 'Loop', 'Sin', ''])


_MODELS: tuple[Callable, ...] = (_outside, _outside, _enormous, _renamed, _dropped, _unknown)
# keys of deploy.json whose values are put to use
_KEYS = ('kind', 'labels', 'input', 'outputs', 'resize', 'thresholds', 'engines', 'files', 'name')
_NUMBERS = (0, -5, 1e30, 10**12, 2**31, float('nan'), 'x', None, [], 0.5)
_NAMES = ('../../etc/passwd', '/etc/passwd', '', 'x\0y', '.', 'a' * 5000, 'missing.onnx', 7, None)


def damaged_export(source: Path, folder: Path, rng: Rng) -> str:
    """A copy of an exported folder as a stranger may have made it."""
    shutil.copytree(source, folder)
    about = json.loads((folder / 'deploy.json').read_text())
    kind = rng.choice(['bytes', 'model', 'model', 'json', 'json', 'resize', 'names', 'labels'])
    if kind == 'bytes':
        name = rng.choice(['deploy.json', 'model.onnx'])
        changed, content = damaged_bytes((folder / name).read_bytes(), rng)
        (folder / name).write_bytes(content)
        if name == 'model.onnx':
            _rehash(folder, about)
        return f'{name} {changed}'
    if kind == 'model':
        model = onnx.load(str(folder / 'model.onnx'))
        change = rng.choice(_MODELS)
        change(model, rng)
        (folder / 'model.onnx').write_bytes(model.SerializeToString())
        kind = f'model {change.__name__.strip("_")}'
    elif kind == 'json':
        holder = about if rng.random() < 0.5 else _somewhere({k: about[k] for k in _KEYS}, rng)
        key = rng.choice(list(_KEYS) if holder is about else
                         list(holder) if isinstance(holder, dict) else range(len(holder)))
        if rng.random() < 0.4 and not isinstance(holder, list):
            holder.pop(key, None)
        else:
            holder[key] = rng.choice(_VALUES)
    elif kind == 'resize':
        about['resize'] = rng.choice([
            dict(rule='fit', long=rng.choice(_NUMBERS), short=rng.choice(_NUMBERS)),
            dict(rule='exact', width=rng.choice(_NUMBERS), height=rng.choice(_NUMBERS)),
            dict(rule='crop', short=rng.choice(_NUMBERS), crop=rng.choice(_NUMBERS)),
            dict(rule='nonsense'), {}, None, 3,
        ])  # fmt: skip
    elif kind == 'names':
        name = rng.choice(_NAMES)
        about['engines']['onnxruntime']['files'] = [name]
        about['engines']['onnxruntime']['model'] = name
        about['files'] = {name: 'x'} if isinstance(name, str) else about['files']
    else:
        about['labels'] = rng.choice([[], ['one'], [None] * 9, 'text', {'0': 'a'}, [1, 2], 5])
    _rehash(folder, about)
    return kind
