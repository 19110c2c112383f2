"""What the repository says of itself is true."""
import configparser
import re
from pathlib import Path

from shufflenet_det.models.widths import widths_table
from shufflenet_det.paper.figures import CLASSIFIERS, DETECTORS
from shufflenet_det.paper.runs import ALIASES, Runs
from shufflenet_det.paper.zoo import (
    make_entry,
    paper_figures,
    readme_table,
    with_models,
    with_table,
    zoo_folders,
)

import pytest
import yaml
from mmengine.config import Config

from .conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'),
                    *(ROOT / 'configs').rglob('*.md')])  # fmt: skip
MENTIONED = re.compile(
    r'(?<![\w/.-])((?:configs|tools|docs|tests|requirements|shufflenet_det|shufflenet_runtime)/[\w./-]*\w)'
)
ZOO = zoo_folders(ROOT / 'configs')
OF_THE_PAPER = {row.config for row in [*sum(CLASSIFIERS.values(), []), *DETECTORS]}


def read_models(metafile: Path) -> list[dict]:
    return yaml.safe_load(metafile.read_text())['Models']


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


def test_model_index_names_every_config_and_no_other():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert [Path(path).parent.name for path in index['Import']] == [f.name for f in ZOO]
    configs = [m['Config'] for path in index['Import'] for m in read_models(ROOT / path)]
    assert len(configs) == len(set(configs))
    assert set(configs) == {
        path.relative_to(ROOT).as_posix() for folder in ZOO for path in folder.glob('*.py')
    }


def test_configs_under_short_names_are_other_configs():
    configs = {path.stem: path for folder in ZOO for path in folder.glob('*.py')}
    assert {path.stem for path in (ROOT / 'configs').glob('*.py')} == set(ALIASES)
    for alias, name in ALIASES.items():
        short = Config.fromfile(ROOT / 'configs' / f'{alias}.py')
        assert short.to_dict() == Config.fromfile(configs[name]).to_dict()


@pytest.mark.parametrize('folder', ZOO, ids=lambda folder: folder.name)
def test_metafile_has_what_the_networks_have(folder: Path):
    metafile = folder / 'metafile.yml'
    models = read_models(metafile)
    assert with_models(metafile.read_text(), models) == metafile.read_text()
    collections = yaml.safe_load(metafile.read_text())['Collections']
    for collection in collections:
        assert (ROOT / collection['README']) == folder / 'README.md'
        assert (ROOT / collection['Code']['URL']).is_file()
    # to count them all takes half a minute
    for model in models[::6]:
        assert make_entry(ROOT / model['Config'], collections, Runs(), model) == model
    for model in models:
        metadata, paper = model['Metadata'], paper_figures(model['Name'])
        assert {k: v for k, v in metadata.items() if k.startswith('Paper')} == paper
        assert (paper == {}) == (model['Name'] not in OF_THE_PAPER)


@pytest.mark.parametrize('folder', ZOO, ids=lambda folder: folder.name)
def test_table_of_the_readme_is_that_of_the_metafile(folder: Path):
    text = (folder / 'README.md').read_text()
    table = readme_table(read_models(folder / 'metafile.yml'))
    assert with_table(text, table) == text


def test_figures_of_the_sample_are_those_of_the_demo():
    readme = (ROOT / 'README.md').read_text()
    (error,) = re.findall(r'classifier: top-1 error ([\d.]+)%', readme)
    mean_ap = dict(re.findall(r'^\| pretrained \| (\d+) .*?\| ([\d.]+) ', readme, flags=re.M))
    metrics = {
        model['Name']: model['Results'][0]['Metrics']
        for model in read_models(ROOT / 'configs' / 'sample' / 'metafile.yml')
    }
    classifier = metrics['shufflenet-v1-0.5x-g3_sample']
    # the README gives one digit of a percent, the zoo more
    assert round(100 - classifier['Top 1 Accuracy'], 1) == float(error)
    assert mean_ap.keys() == {'300', '600'}
    for resolution, figure in mean_ap.items():
        detector = metrics[f'faster-rcnn_shufflenet-v1-0.5x-g3_c4_sample-{resolution}']
        assert round(detector['box AP'], 1) == pytest.approx(100 * float(figure))


def test_package_asks_for_no_mmdetection_by_itself():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / 'setup.cfg')
    required = re.sub(r'#.*', '', metadata['options']['install_requires'])
    for name in ('mmcv', 'mmdet', 'mmengine', 'setuptools'):
        assert name not in required
    extras = {name: set(re.findall(r'^[\w-]+', re.sub(r'#.*', '', text), re.M))
              for name, text in metadata['options.extras_require'].items()}  # fmt: skip
    assert extras['openmmlab'] == {'mmengine', 'mmdet', 'setuptools'}
    assert extras['lite'] == extras['openmmlab'] | {'mmcv-lite'}
    assert extras['onedl'] == {'onedl-mmengine', 'onedl-mmdetection', 'onedl-mmcv'}
