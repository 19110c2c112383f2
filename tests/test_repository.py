"""What the repository says of itself is true."""
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from shufflenet_det.benchmark.paper_tables import count_network
from shufflenet_det.models.widths import widths_table

import pytest
import yaml
from mmengine.config import Config

from .conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'),
                    *(ROOT / 'configs').rglob('*.md')])  # fmt: skip
MENTIONED = re.compile(
    r'(?<![\w/.-])((?:configs|tools|docs|tests|requirements|shufflenet_det)/[\w./-]*\w)'
)


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_file_that_a_document_mentions_exists(document: Path):
    text = document.read_text()
    mentioned = set(MENTIONED.findall(text))
    mentioned |= {
        (document.parent / link).resolve().relative_to(ROOT).as_posix()
        for link in re.findall(r'\]\(([^)#:]+)\)', text)
    }
    missing = [path for path in mentioned if not (ROOT / path).exists()]
    assert not missing


def test_documented_widths_are_those_of_the_code():
    assert widths_table() in (ROOT / 'docs' / 'backbone.md').read_text()


def test_model_index_names_every_config_of_the_zoo():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    models = [
        model
        for path in index['Import']
        for model in yaml.safe_load((ROOT / path).read_text())['Models']
    ]
    assert {m['Config'] for m in models} == {
        path.relative_to(ROOT).as_posix()
        for folder in ('faster_rcnn', 'imagenet')
        for path in (ROOT / 'configs' / folder).glob('*.py')
    }
    for model in models:
        train_cfg = Config.fromfile(ROOT / model['Config']).train_cfg
        metadata = model['Metadata']
        if 'max_iters' in train_cfg:
            assert train_cfg.max_iters == metadata['Iterations']
        else:
            assert train_cfg.max_epochs == metadata['Epochs']
        assert Path(model['Config']).stem == model['Name']


def test_documented_complexity_is_that_of_the_networks():
    folder = ROOT / 'configs' / 'imagenet'
    models = yaml.safe_load((folder / 'metafile.yml').read_text())['Models']
    text = (folder / 'README.md').read_text()
    assert all(f'`{model["Name"]}.py`' in text for model in models)
    for model in models[::5]:
        counted = count_network(model['Name'])
        assert counted.macs == model['Metadata']['FLOPs']
        assert counted.params == model['Metadata']['Parameters']
        (row,) = (line for line in text.splitlines() if f'`{model["Name"]}.py`' in line)
        assert f' {counted.macs / 1e6:.1f} ' in row


def test_wheel_holds_what_mim_looks_for(tmp_path):
    if shutil.which('git') is None:
        pytest.skip('git, which tells the files of the repository from others, is not installed')
    source = tmp_path / 'source'
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    assert listed
    for name in listed:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(tmp_path), str(source)],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob('shufflenet_det-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert 'shufflenet_det/.mim/model-index.yml' in names
    assert 'shufflenet_det/.mim/tools/train.py' in names
    for config in (ROOT / 'configs').rglob('*.py'):
        assert f'shufflenet_det/.mim/{config.relative_to(ROOT).as_posix()}' in names
    assert 'shufflenet_det/compat/mmcv_ext/nms.py' in names


def test_package_never_asks_for_an_mmcv_by_itself():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    assert 'mmcv' not in re.sub(r'#.*', '', metadata['options']['install_requires'])
    assert 'mmcv-lite' in metadata['options.extras_require']['lite']
