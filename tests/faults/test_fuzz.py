"""Damaged inputs end in a named error or in a right result: no traceback, no hang, no crash.

``pytest tests/faults/test_fuzz.py -m faults -s`` prints what became of them. Another seed and
number are FUZZ_SEED and FUZZ_INPUTS of the environment.
"""
import json
import math
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shufflenet_det.common.tables import Column, Table, as_text
from shufflenet_det.export import export
from shufflenet_det.models import ShuffleNetV1

import cv2
import pytest
import torch

from ..export.detectors import detector_config, picture, random_detector
from ..zygote import Ended, Zygote
from . import damage
from .tiny import write_data

SEED = int(os.environ.get('FUZZ_SEED', 0))
INPUTS = int(os.environ.get('FUZZ_INPUTS', 300))
# seconds; a damaged input must not take longer than a whole one
PATIENCE = 60
# of memory on top of what is there already
MEMORY = 3 * 10**9


@dataclass
class Damaged:
    """An input, what to run on it, and whether what came out is right.

    Attributes:
        kind: of input. ``what`` was done to it.
        right: raises or is false if the result is none.
    """

    kind: str
    what: str
    argv: list
    right: Callable[[str], bool]


class Sources:
    """Whole inputs that are then damaged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = write_data(root / 'data', images=4)
        cfg = detector_config('light')
        for step in cfg.test_dataloader.dataset.pipeline:
            if step['type'] == 'Resize':
                step['scale'] = (160, 96)
        torch.save(dict(state_dict=random_detector(cfg).state_dict(), meta={}), root / 'd.pth')
        cv2.imwrite(str(root / 'one.png'), picture(120, 160).transpose(1, 2, 0))
        export(cfg, 'configs/light.py', str(root / 'd.pth'), root / 'exported', ['onnx'],
               [root / 'one.png'])  # fmt: skip
        torch.manual_seed(0)
        self.weights = ShuffleNetV1(groups=3, widen_factor=0.25).state_dict()
        torch.save(self.weights, root / 'whole.pth')
        self.tables = json.loads((self.data / 'annotations/instances_train2017.json').read_text())


def detections_are_right(path: Path, output: str) -> bool:
    """Every image is there, with boxes that are numbers or with an error of its own."""
    (entry,) = json.loads(path.read_text())
    return all(
        math.isfinite(found['score']) and all(map(math.isfinite, found['box']))
        for found in entry['detections']
    )


def data_set_is_right(out: Path, output: str) -> bool:
    tables = [json.loads((out / f'annotations/{part}.json').read_text())
              for part in ('train', 'val')]  # fmt: skip
    boxes = [a['bbox'] for table in tables for a in table['annotations']]
    return (out / 'config.py').is_file() and all(
        len(box) == 4 and all(map(math.isfinite, box)) and min(box[2:]) > 0 for box in boxes
    )


def of_image(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    kind, name, content = next(damage.image_files(rng))
    (folder / name).write_bytes(content)
    out = folder / 'found.json'
    argv = ['-m', 'shufflenet_runtime', sources.root / 'exported', folder / name, '--json', out]
    return Damaged('image, detected', kind, argv, partial(detections_are_right, out))


def of_image_in_a_data_set(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    data = folder / 'images'
    data.mkdir()
    for image in (sources.data / 'train2017').iterdir():
        (data / image.name).write_bytes(image.read_bytes())
    kind, name, content = next(damage.image_files(rng))
    tables = json.loads(json.dumps(sources.tables))
    # without a size, which would tell nearly all of them apart
    tables['images'][0] = dict(id=tables['images'][0]['id'], file_name=name)
    (data / name).write_bytes(content)
    (folder / 'a.json').write_text(json.dumps(tables))
    return _prepared('image, prepared', kind, data, folder / 'a.json', folder)


def of_json(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    kind, content = damage.damaged_json(sources.tables, rng)
    (folder / 'a.json').write_bytes(content)
    return _prepared('JSON', kind, sources.data / 'train2017', folder / 'a.json', folder)


def of_xml(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    (folder / 'voc').mkdir()
    kind = ''
    for number, image in enumerate(sorted((sources.data / 'train2017').iterdir())):
        height, width = cv2.imread(str(image)).shape[:2]
        content = damage.VOC.format(name=image.name).replace('>80<', f'>{width}<')
        content = content.replace('<height>60', f'<height>{height}').encode()
        if number == 0:
            kind, content = damage.damaged_xml(image.name, rng)
        (folder / 'voc' / f'{image.stem}.xml').write_bytes(content)
    return _prepared('XML', kind, sources.data / 'train2017', folder / 'voc', folder)


def of_yolo(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    what, yaml, labels = damage.damaged_yolo(rng)
    _write_yolo(sources, folder, yaml, labels)
    return _prepared('YOLO', what, folder / 'data.yaml', None, folder)


def _write_yolo(sources: Sources, folder: Path, yaml: bytes, labels: bytes) -> None:
    for name in ('images', 'labels'):
        (folder / name).mkdir()
    for number, image in enumerate(sorted((sources.data / 'train2017').iterdir())):
        (folder / 'images' / image.name).write_bytes(image.read_bytes())
        text = labels if number == 0 else damage.YOLO_LABELS.encode()
        (folder / 'labels' / f'{image.stem}.txt').write_bytes(text)
    (folder / 'data.yaml').write_bytes(yaml)


def _prepared(
    kind: str, what: str, images: Path, annotations: Path | None, folder: Path
) -> Damaged:
    out = folder / 'out'
    argv = ['tools/prepare_data.py', images, *filter(None, [annotations]), '--out', out]
    return Damaged(kind, what, argv, partial(data_set_is_right, out))


def of_checkpoint(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    kind, path = damage.damaged_checkpoint(sources.weights, folder, rng)
    argv = ['tests/faults/load_weights.py', path, sources.root / 'whole.pth']
    # nothing protects the numbers of a safetensors file: they are as the file says
    free = path.suffix == '.safetensors'
    return Damaged('checkpoint', kind, argv, lambda output: free or 'are equal' in output)


def of_export(sources: Sources, folder: Path, rng: random.Random) -> Damaged:
    kind = damage.damaged_export(sources.root / 'exported', folder / 'exported', rng)
    out = folder / 'found.json'
    argv = ['-m', 'shufflenet_runtime', folder / 'exported', sources.root / 'one.png',
            '--json', out]  # fmt: skip
    return Damaged('exported folder', kind, argv, partial(detections_are_right, out))


MAKERS = (of_image, of_image_in_a_data_set, of_json, of_json, of_xml, of_checkpoint, of_export,
          of_export, of_yolo)  # fmt: skip


def inputs(sources: Sources) -> Iterator[tuple[int, Damaged]]:
    for number in range(INPUTS):
        folder = sources.root / f'{number:03d}'
        folder.mkdir()
        yield number, MAKERS[number % len(MAKERS)](
            sources, folder, random.Random(f'{SEED} {number}')
        )


def whole_inputs(sources: Sources) -> Iterator[Damaged]:
    """One of each kind that nothing has happened to."""
    images, folder = sources.data / 'train2017', sources.root / 'whole'
    (folder / 'voc').mkdir(parents=True)
    (folder / 'json').mkdir()
    (folder / 'yolo').mkdir()
    _write_yolo(sources, folder / 'yolo', damage.YOLO.encode(), damage.YOLO_LABELS.encode())
    for image in sorted(images.iterdir()):
        height, width = cv2.imread(str(image)).shape[:2]
        text = damage.VOC.format(name=image.name)
        text = text.replace('>80<', f'>{width}<').replace('<height>60', f'<height>{height}')
        (folder / 'voc' / f'{image.stem}.xml').write_text(text)
    annotations = sources.data / 'annotations/instances_train2017.json'
    yield _prepared('JSON', 'whole', images, annotations, folder / 'json')
    yield _prepared('XML', 'whole', images, folder / 'voc', folder)
    yield _prepared('YOLO', 'whole', folder / 'yolo' / 'data.yaml', None, folder / 'yolo')
    found = folder / 'found.json'
    yield Damaged('exported folder', 'whole', ['-m', 'shufflenet_runtime', sources.root /
                  'exported', sources.root / 'one.png', '--json', found],
                  partial(detections_are_right, found))  # fmt: skip
    yield Damaged('checkpoint', 'whole', ['tests/faults/load_weights.py',
                  *[sources.root / 'whole.pth'] * 2],
                  lambda output: 'are equal' in output)  # fmt: skip


def verdict(damaged: Damaged, ended: Ended) -> str:
    """``named error``, ``right result``, or what else it was."""
    lines = [line for line in ended.output.splitlines() if line.strip()]
    if ended.status is None:
        return f'hung for {PATIENCE} s'
    if ended.status < 0:
        return f'crash: signal {-ended.status}'
    if 'Traceback' in ended.output:
        return f'traceback: {lines[-1][:300]}'
    if ended.status:
        named = any(line.startswith('error: ') for line in lines)
        return 'named error' if named else f'no message: {lines[-3:]}'
    try:
        return 'right result' if damaged.right(ended.output) else 'wrong result'
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f'no result: {type(error).__name__}: {error}'


@pytest.mark.faults
def test_damaged_inputs(zygote: Zygote, tmp_path_factory):
    sources = Sources(tmp_path_factory.mktemp('fuzz'))
    for damaged in whole_inputs(sources):
        ended = zygote.run(damaged.argv, sources.root / f'{damaged.kind}.log', PATIENCE)
        # else every damaged one would end in a named error, too
        assert verdict(damaged, ended) == 'right result', ended.output[-2000:]
    counts: dict[str, Counter] = defaultdict(Counter)
    others = []
    for number, damaged in inputs(sources):
        log = sources.root / f'{number:03d}.log'
        ended = zygote.run(damaged.argv, log, PATIENCE, memory=MEMORY)
        became = verdict(damaged, ended)
        known = became in ('named error', 'right result')
        counts[damaged.kind].update(inputs=1, **{became if known else 'others': 1})
        if not known:
            others.append(f'{number} {damaged.kind}, {damaged.what}: {became}')
    print(summary(counts))
    assert not others, '\n'.join(others)


def summary(counts: dict[str, Counter]) -> str:
    total = sum(counts.values(), Counter())
    names = ('inputs', 'named error', 'right result', 'others')
    rows = [dict(kind=kind, **{name: c[name] for name in names})
            for kind, c in [*sorted(counts.items()), ('all', total)]]  # fmt: skip
    columns = (Column('kind', 'input'), *(Column(name, name, 'd') for name in names))
    return as_text([Table(f'damaged inputs of seed {SEED}', columns, rows)])
