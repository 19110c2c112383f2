"""The model zoo: metafile and README of each folder in ``configs``, kept true to the code.

python -m shufflenet_det.paper.zoo [--work-dirs DIR ...]

For every config it counts multiply-adds and parameters and looks up the paper's figures;
``--work-dirs`` adds what tools/test.py has measured. The entries of ``metafile.yml``, in the
fields of MMDetection's and mmpretrain's own, are the record, and the table of the README shows
them. What people write there stays: collections, ``Weights``, the order of the entries, all text,
and a measured figure until there is another.
"""
import argparse
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import yaml
from mmdet.registry import MODELS
from mmengine.config import Config

from ..common import cli
from ..common.config import load_config
from ..common.errors import ConfigError
from ..common.tables import Column, Table, markdown_table
from ..models.complexity import count_config
from .evaluations import (
    COCO,
    IMAGENET,
    MEAN_AP,
    TINY_IMAGENET,
    TOP1_ERROR,
    TOP5_ERROR,
    DataSet,
    Evaluation,
    Evaluations,
    find_evaluations,
)
from .figures import CLASSIFIERS, DETECTORS

NOTE = """
# Written by `python -m shufflenet_det.paper.zoo`: FLOPs are multiply-adds at the input shape,
# metrics are ours, in percent; without any, nobody has trained the model yet.
Models:
"""
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class EvaluationProtocol:
    """How the models that are tested on a data set are measured.

    Attributes:
        task, dataset: names in a metafile.
        metric: figure of ``metrics.json`` that decides.
        data: what it must be of.
    """

    task: str
    dataset: str
    metric: str
    data: DataSet

    def metrics(self, evaluation: Evaluation) -> dict[str, float]:
        """The figures of an evaluation in percent, by their names in a metafile."""
        if self.metric == MEAN_AP:
            return {'box AP': round(100 * evaluation.metrics[MEAN_AP], 2)}
        names = {TOP1_ERROR: 'Top 1 Accuracy', TOP5_ERROR: 'Top 5 Accuracy'}
        return {
            name: round(100 - evaluation.metrics[error], 2)
            for error, name in names.items()
            if error in evaluation.metrics
        }


PROTOCOLS = {
    'ImageNetDataset': EvaluationProtocol(
        'Image Classification', 'ImageNet-1k', TOP1_ERROR, IMAGENET
    ),
    TINY_IMAGENET.name: EvaluationProtocol(
        'Image Classification', 'Tiny ImageNet', TOP1_ERROR, TINY_IMAGENET
    ),
    'CheckedCocoDataset': EvaluationProtocol('Object Detection', 'COCO', MEAN_AP, COCO),
    'ImageFolderDataset': EvaluationProtocol(
        'Image Classification', 'Sample of 32 classes', TOP1_ERROR, DataSet('the sample', 32, 4000)
    ),
    'SampleDataset': EvaluationProtocol(
        'Object Detection', 'Sample of 8 classes', MEAN_AP, DataSet('the sample', 8, 150)
    ),
}
"""By the type of the data set that a config is tested on, or by its ``data_name``."""

COLUMNS = (
    Column('config', 'config'),
    Column('tables', 'tables'),
    Column('shape', 'input'),
    Column('macs', 'MFLOPs, counted', '.1f', scale=1e-6),
    Column('macs_paper', 'MFLOPs, paper', 'g', scale=1e-6),
    Column('params', 'parameters, M', '.2f', scale=1e-6),
)
MEASURED = {
    'Image Classification': (
        Column('error_paper', 'top-1 error, paper', '.1f'),
        Column('error', 'top-1 error, ours', '.1f', always=True),
    ),
    'Object Detection': (
        Column('mean_ap_paper', 'mAP, paper', '.1f'),
        Column('mean_ap', 'mAP, ours', '.1f', always=True),
    ),
}


def input_shape(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels at which a model is counted.

    Of a classifier, what it is tested on. Of a detector, what a 4:3 image, as most of COCO are,
    becomes at the short side that it is tested at, or what every image becomes.
    """
    for transform in reversed(cfg.test_dataloader.dataset.pipeline):
        side = transform.get('crop') or transform.get('size')
        if side:
            return side, side
        if 'scale' in transform:
            if not transform.get('keep_ratio', False):
                # every image becomes that
                return tuple(reversed(transform.scale))
            side = min(transform.scale)
            return side, side * 4 // 3
    raise ConfigError(f'{cfg.filename}: its test pipeline does not say the size of the images.')


def paper_figures(name: str) -> dict[str, float]:
    """What the paper has of a config, as fields of a metafile; of several complexities the first.

    Args:
        name: of the config file without ``.py``.
    """
    rows = [row for rows in CLASSIFIERS.values() for row in rows if row.config == name]
    figures: dict[str, float] = {}
    if rows:
        figures['Paper FLOPs'] = round(rows[0].mflops * 1e6)
    for row in rows:
        if row.error is not None:
            figures['Paper Top 1 Error'] = row.error
    for detector in DETECTORS:
        if detector.config == name:
            figures['Paper box AP'] = detector.mean_ap
    return figures


def make_entry(
    path: Path, collections: list[dict], evaluations: Evaluations, present: dict
) -> dict:
    """One model of a metafile.

    Args:
        path: of the config, in ``configs``/folder.
        collections: of the metafile; the model is in the one whose code defines its backbone, or
            in the first.
        evaluations: of which the latest fitting one replaces the metrics.
        present: the entry as it is; empty for a new one.
    """
    cfg = load_config(str(path))
    shape = input_shape(cfg)
    counted = count_config(cfg, shape)
    backbone = cfg.model.backbone.type
    code = Path(inspect.getsourcefile(MODELS.get(backbone)))
    code = code.relative_to(PACKAGE.parent).as_posix()
    data_set = cfg.get('data_name', cfg.test_dataloader.dataset.type)
    if data_set not in PROTOCOLS:
        raise ConfigError(
            f'{path} is tested on a {data_set}, whose figures are unknown: add it to '
            f'{__name__}.PROTOCOLS.'
        )
    protocol = PROTOCOLS[data_set]
    (results,) = present.get('Results', [{}])
    metrics = results.get('Metrics', {})
    short_side = min(shape) if protocol.metric == MEAN_AP else None
    evaluation = evaluations.latest(path.stem, protocol.metric, short_side, protocol.data)
    if evaluation:
        metrics = protocol.metrics(evaluation)
    length = 'Iterations' if 'max_iters' in cfg.train_cfg else 'Epochs'
    return {
        **present,
        'Name': path.stem,
        'In Collection': next(
            (c for c in collections if c['Code']['URL'] == code), collections[0]
        )['Name'],
        'Config': Path('configs', path.parent.name, path.name).as_posix(),
        'Metadata': {
            **present.get('Metadata', {}),
            'Architecture': backbone,
            'FLOPs': counted.macs,
            'Parameters': counted.params,
            'Input Shape': '{}x{}'.format(*shape),
            length: cfg.train_cfg.get('max_iters') or cfg.train_cfg.max_epochs,
            **paper_figures(path.stem),
        },
        'Results': [
            {'Task': protocol.task, 'Dataset': protocol.dataset, 'Metrics': metrics}
        ],
    }


def readme_table(models: list[dict]) -> str:
    """The entries of a metafile as the table of its README, in Markdown."""
    rows, tasks = [], []
    for model in models:
        metadata, (results,) = model['Metadata'], model['Results']
        metrics = results['Metrics']
        tasks += [results['Task']] if results['Task'] not in tasks else []
        accuracy = metrics.get('Top 1 Accuracy')
        tables = [
            str(number)
            for number, rows_of_table in CLASSIFIERS.items()
            if any(row.config == model['Name'] for row in rows_of_table)
        ]
        rows.append(
            dict(
                config=f'[{model["Name"]}]({Path(model["Config"]).name})',
                tables=', '.join(tables) or None,
                shape=metadata['Input Shape'],
                macs=metadata['FLOPs'],
                macs_paper=metadata.get('Paper FLOPs'),
                params=metadata['Parameters'],
                error_paper=metadata.get('Paper Top 1 Error'),
                error=None if accuracy is None else 100 - accuracy,
                mean_ap_paper=metadata.get('Paper box AP'),
                mean_ap=metrics.get('box AP'),
            )
        )
    measured = [column for task in tasks for column in MEASURED[task]]
    return markdown_table(Table('', (*COLUMNS, *measured), rows))


def with_table(readme: str, table: str) -> str:
    """The text of a README with its table of configs replaced.

    Raises:
        ConfigError: there is no such table, or there are several.
    """
    text, found = re.subn(r'^\| config .*\n(\|.*\n)+', lambda _: table + '\n', readme, flags=re.M)
    if found != 1:
        raise ConfigError(f'{found} tables have `config` as their first heading: one must have it.')
    return text


class _Dumper(yaml.SafeDumper):
    """Indents lists in mappings, as the metafiles of OpenMMLab do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow)


def with_models(metafile: str, models: list[dict]) -> str:
    """The text of a metafile with other models; what is before the note on them stays."""
    head = re.split(r'\n(?:#.*\n)*Models:', metafile)[0].rstrip() + '\n'
    entries = yaml.dump(models, Dumper=_Dumper, sort_keys=False, width=100)
    return head + NOTE + indent(entries, '  ')


def update_folder(folder: Path, evaluations: Evaluations) -> dict[Path, str]:
    """New texts of the metafile and the README of one folder of configs, not yet written.

    Raises:
        ConfigError: one of them is missing or has no place for the models.
    """
    metafile, readme = folder / 'metafile.yml', folder / 'README.md'
    for path in (metafile, readme):
        if not path.is_file():
            raise ConfigError(
                f'{path} is missing: write one, with the Collections or the text and a table whose '
                f'first heading is `config`, as configs/sample has them.'
            )
    content = yaml.safe_load(metafile.read_text())
    present = {model['Name']: model for model in content.get('Models') or []}
    paths = {path.stem: path for path in sorted(folder.glob('*.py'))}
    names = [name for name in present if name in paths]
    names += [name for name in paths if name not in present]
    models = [
        make_entry(paths[name], content['Collections'], evaluations, present.get(name, {}))
        for name in names
    ]
    try:
        text = with_table(readme.read_text(), readme_table(models))
    except ConfigError as error:
        raise ConfigError(f'{readme}: {error}') from None
    return {metafile: with_models(metafile.read_text(), models), readme: text}


def zoo_folders(configs: Path) -> list[Path]:
    """The folders of ``configs`` whose files are models, not bases of models.

    Raises:
        ConfigError: there is none.
    """
    folders = sorted(f for f in configs.glob('[!_]*') if any(f.glob('*.py')))
    if not folders:
        raise ConfigError(f'--configs {configs}: no folders with configs in it.')
    return folders


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the metafile and the table of the README of each folder of configs'
    )
    parser.add_argument(
        '--work-dirs', nargs='+', default=(),
        help='folders in which to look for metrics.json of tools/test.py',
    )  # fmt: skip
    parser.add_argument('--configs', type=Path, default='configs', help='folder of the folders')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    evaluations = find_evaluations(args.work_dirs)
    texts: dict[Path, str] = {}
    for folder in zoo_folders(args.configs):
        texts |= update_folder(folder, evaluations)
    for path, reason in evaluations.left_out.items():
        print(f'left out: {path} {reason}', file=sys.stderr)
    for path, text in texts.items():
        changed = text != path.read_text()
        if changed:
            cli.write_atomically(path, text)
        print(f'{path}: {"written" if changed else "as it was"}')


if __name__ == '__main__':
    cli.run(main)
