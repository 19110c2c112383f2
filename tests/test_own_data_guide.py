"""docs/own-data.md, followed to the letter."""
import json
import re
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data.sample import CATEGORIES
from shufflenet_det.own_data import prepare

import cv2
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

from .conftest import ROOT
from .documents import bash_blocks, run_document
from .own_data.files import coco_tables, write_images, write_json

GUIDE = ROOT / 'docs' / 'own-data.md'
CLASSES = tuple(category.name for category in CATEGORIES)
# what the quick test makes smaller, and what follows from it
SMALLER = {
    '--train 60 --val 8': '--train 12 --val 2',
    '--steps 150': '--steps 2',
    'epoch_25.pth': 'epoch_1.pth',
}


def check_results(folder: Path, output: str, pictures: int) -> float:
    """The files that the page promises are there; returns mAP."""
    own, work = folder / 'data' / 'own', folder / 'work_dirs' / 'own'
    counts = {}
    for part in ('train', 'val'):
        tables = json.loads((own / 'annotations' / f'{part}.json').read_text())
        counts[part] = len(tables['images'])
        assert [category['name'] for category in tables['categories']] == list(CLASSES)
    assert cv2.imread(str(own / 'annotated.jpg')) is not None
    # the commands that the tool prints are those of the page
    train, test = re.findall(r'^  (python \S*tools/.*)$', output, re.MULTILINE)
    commands = '\n'.join(bash_blocks(folder / 'guide.md'))
    assert f'{train}\n' in commands and f'{test} ' in commands
    metrics = json.loads((work / 'metrics.json').read_text())
    assert metrics['images'] == counts['val'] and metrics['classes'] == len(CLASSES)
    assert len(list((work / 'shown').iterdir())) == counts['val']
    assert len(list((work / 'found' / 'vis').iterdir())) == pictures
    assert len(list((work / 'found' / 'preds').iterdir())) == pictures
    assert list(work.glob('epoch_*.pth'))
    return metrics['metrics']['coco/bbox_mAP']


def test_guide_runs_as_written_but_shorter(tmp_path):
    text = GUIDE.read_text()
    for written, smaller in SMALLER.items():
        assert written in text
        text = text.replace(written, smaller)
    (tmp_path / 'guide.md').write_text(text)
    output = run_document(tmp_path / 'guide.md', tmp_path)
    check_results(tmp_path, output, pictures=2)


def test_guide_shows_what_preparing_prints(tmp_path):
    sample, prepare = bash_blocks(GUIDE)[:2]
    (tmp_path / 'guide.md').write_text(f'```bash\n{sample}```\n```bash\n{prepare}```\n')
    output = run_document(tmp_path / 'guide.md', tmp_path)
    (shown,) = re.findall(r'^\+ data/own .*?(?=\n\n)', output, re.MULTILINE | re.DOTALL)
    assert 'note: ' in shown and f'```\n{shown}\n```' in GUIDE.read_text()


@pytest.mark.slow
def test_guide_runs_as_written_and_learns(tmp_path):
    (tmp_path / 'guide.md').write_text(GUIDE.read_text())
    output = run_document(tmp_path / 'guide.md', tmp_path, timeout=1800)
    assert check_results(tmp_path, output, pictures=8) > 0.02


def test_documented_message_of_classes_that_do_not_match(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f'{number}.jpg' for number in range(4)]
    write_images(Path('data/photos'), *names)
    every = [(name, [1, 1, 9, 9]) for name in CLASSES]
    source = write_json(Path('labels.json'), coco_tables(dict.fromkeys(names, every), CLASSES))
    prepare(Path('data/photos'), source, Path('data/own'))
    config = Path('data/own/config.py')
    config.write_text(config.read_text().replace("'mug'", "'cup'"))
    with pytest.raises(DataError) as error:
        DATASETS.build(Config.fromfile(config).train_dataloader.dataset)
    assert message(error.value, tmp_path) in GUIDE.read_text()


def test_documented_message_of_faults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(Path('photos'), 'kitchen.jpg', 'table.jpg', 'shelf.jpg')
    Path('photos/shelf.jpg').write_bytes(Path('photos/shelf.jpg').read_bytes()[:500])
    boxes = {
        'kitchen.jpg': [('mug', [30, 20, 25, 15]), ('mug', [4, 6, 10, 0])],
        'table.jpg': [('mug', [5, 5, 10, 20])],
        'shelf.jpg': [],
        'garden.jpg': [('mug', [5, 5, 10, 20])],
    }
    tables = coco_tables(boxes)
    tables['images'][1].update(width=96, height=80)
    with pytest.raises(DataError) as error:
        prepare(Path('photos'), write_json(Path('labels.json'), tables), Path('own'))
    assert message(error.value, tmp_path) in GUIDE.read_text()
    assert not Path('own').exists()


def test_documented_message_of_yolo_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part, name, line in (('train', 'a', '2 0.5 0.5 0.5 0.5'), ('val', 'c', '0 24 20 24 20')):
        write_images(Path('set/images', part), f'{name}.jpg')
        labels = Path('set/labels', part, f'{name}.txt')
        labels.parent.mkdir(parents=True)
        good = '0 0.5 0.5 0.5 0.5\n' if part == 'train' else ''
        labels.write_text(good + line)
    Path('set/data.yaml').write_text('train: images/train\nval: images/val\nnames: [mug, cup]\n')
    with pytest.raises(DataError) as error:
        prepare(Path('set'), None, Path('own'))
    assert message(error.value, tmp_path) in GUIDE.read_text()


def message(error: DataError, folder: Path) -> str:
    """What the tools print, with paths as they are on the page."""
    return f'error: {error}'.replace(f'{folder}/', '')
