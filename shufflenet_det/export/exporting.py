"""From a config and a checkpoint to a folder with exported networks."""
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shufflenet_runtime.description import write_description
from shufflenet_runtime.engines import ENGINES, FORMATS
from shufflenet_runtime.precision import FLOAT

import numpy as np
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from ..common.cli import check_writable
from ..common.errors import ConfigError
from ..compat.checkpoint import CheckpointError
from ..engine.hooks import keys_of, require_complete
from ..evaluation.report import sha256_of, versions
from ..weights import check_preprocessing
from .accuracy import Loss, Precision, measure, require_small
from .calibration import calibration_images
from .dataset_pictures import validation_pictures
from .evaluated import ExportedModel
from .networks import IMAGE, Exportable, exportable, labels_of
from .onnx_writer import OPSET
from .pictures import from_files
from .resizing import read_resize
from .validation import Checked, choose_pictures, largest, open_and_check
from .writers import PACKAGES, WRITERS, require_writer, rewrites_of

# pictures of the validation set in the comparison
_OWN = 4
RECORDED = (*ENGINES, *PACKAGES, 'opencv-python-headless', 'opencv-python', 'pillow')
"""Packages whose versions an exported folder records."""


def check_request(out: str | Path, formats: Sequence[str], precision: str = FLOAT) -> Path:
    """Refuse what cannot work before anything is loaded.

    Args:
        out: folder to make.
        formats: names of :data:`shufflenet_runtime.engines.FORMATS`.
        precision: of :data:`shufflenet_runtime.precision.PRECISIONS`.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder exists or cannot be made, or a format is unknown.
        EngineError: an engine is not installed, or lacks the precision.
    """
    out = Path(out)
    for name in formats:
        if name not in FORMATS:
            raise ConfigError(f'unknown format {name!r}: there are {", ".join(FORMATS)}.')
    if out.exists():
        raise ConfigError(f'{out} exists: choose another folder with --out, or remove it.')
    for name in formats:
        require_writer(name, precision)
    check_writable(out.absolute().parent, '--out')
    return out


def load_model(cfg: Config, checkpoint: str) -> tuple[BaseModel, Mapping[str, Any]]:
    """Build a config's model with the weights of a checkpoint.

    Returns:
        The model in evaluation mode, and the checkpoint.

    Raises:
        CheckpointError: the checkpoint is missing, or of another network.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise CheckpointError(f'checkpoint not found: {checkpoint}.')
    model = MODELS.build(cfg.model)
    loaded = load_checkpoint(
        model, checkpoint, map_location='cpu', revise_keys=[(r'^module\.', '')]
    )
    require_complete(keys_of(model, loaded))
    check_preprocessing(model)
    return model.eval(), loaded


def export(
    cfg: Config,
    config_path: str,
    checkpoint: str,
    out: str | Path,
    formats: Sequence[str] = ('onnx',),
    images: Sequence[str | Path] = (),
    backbone_only: bool = False,
    precision: Precision | None = None,
) -> dict[str, list[Checked] | Loss]:
    """Export a trained network, compare it with PyTorch in each engine, and keep it if it agrees.

    In float32 its results on pictures must be PyTorch's, in other precisions its figure on the
    validation set of the config must be nearly as good.

    Args:
        cfg: its config, read from ``config_path``.
        config_path: for the record.
        checkpoint: path or URL of its weights.
        out: folder to make; it appears when everything in it has been compared.
        formats: names of :data:`shufflenet_runtime.engines.FORMATS`.
        images: pictures and folders of pictures to compare with; by default some of a
            detector's validation set, where that is there, and rendered scenes.
        backbone_only: whether to export the backbone alone.
        precision: float32 by default.

    Returns:
        What was compared, by engine.

    Raises:
        ConfigError: the config, or the folder, does not allow it.
        CheckpointError: the checkpoint does not belong to the config.
        EngineError: an engine is missing, or cannot load the network.
        ExportError: the network cannot be exported, does not agree with PyTorch, or loses too much.
        DataError: the images to calibrate with are none, too few, or of another kind.
    """
    precision = precision or Precision()
    out = check_request(out, formats, precision.name)
    if backbone_only and precision.name != FLOAT:
        raise ConfigError(
            f'a backbone alone has no mAP or top-1 by which the loss of {precision.name} could be '
            f'measured: export it in fp32, or the whole network.'
        )
    resize = read_resize(cfg)
    model, loaded = load_model(cfg, checkpoint)
    source = exportable(model, labels_of(cfg, loaded), resize, backbone_only)
    channels = source.description['channels']
    chosen: Sequence[np.ndarray] = ()
    if precision.name == 'int8':
        chosen = calibration_images(cfg, source, resize, precision.calibrate)
    if precision.name == FLOAT:
        given = list(from_files(images, resize, channels))
        own = []
        if not given and source.kind == 'detector':
            own = validation_pictures(cfg, source, _OWN)
        pictures = choose_pictures(source, resize, given, own)
    else:
        expected = measure(model, cfg)
    engines = [FORMATS[name] for name in formats]
    # beside the folder to be, so that it can be renamed
    partial = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.absolute().parent))
    try:
        files = {
            FORMATS[name].name: _written(name, source, partial, precision.name, chosen)
            for name in formats
        }
        content = _description(source, cfg, config_path, checkpoint, resize)
        content['engines'] = {
            e.name: dict(
                format=e.format,
                model=e.model,
                files=files[e.name],
                precision=precision.name,
            )
            for e in engines
        }
        checked: dict[str, list[Checked] | Loss] = {}
        for engine in engines:
            about = content['engines'][engine.name]
            if precision.name == FLOAT:
                checked[engine.name] = open_and_check(source, engine, partial, pictures)
                about['validation'] = largest(checked[engine.name])
                continue
            write_description(partial, content)
            found = measure(ExportedModel(str(partial), engine.name), cfg)
            loss = checked[engine.name] = Loss(engine.name, precision.name, expected, found)
            if not precision.keep_anyway:
                require_small(loss, engine, precision.max_loss)
            about['loss'] = loss.record()
        write_description(partial, content)
        # the folder of mkdtemp is for its owner only
        partial.chmod(0o777 & ~_umask())
        os.rename(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return checked


def _written(
    name: str, source: Exportable, folder: Path, precision: str, images: Sequence[np.ndarray]
) -> list[str]:
    """Write a format; the names of its files, those first that every network has."""
    before = {path.name for path in folder.iterdir()}
    WRITERS[name](source, folder, rewrites_of(name, precision), precision, images)
    made = sorted({path.name for path in folder.iterdir()} - before)
    return list(dict.fromkeys([*FORMATS[name].files_of(source.kind), *made]))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _description(
    source: Exportable,
    cfg: Config,
    config_path: str,
    checkpoint: str,
    resize: Mapping[str, Any] | None,
) -> dict[str, Any]:
    height, width = source.size or (None, None)
    about = dict(source.description)
    return dict(
        name=Path(config_path).stem,
        kind=source.kind,
        date=datetime.now(UTC).isoformat(timespec='seconds'),
        labels=about.get('labels'),
        input=dict(
            name=IMAGE,
            dtype='uint8',
            layout='NCHW',
            channels=about['channels'],
            batch=None if 0 in source.axes else 1,
            height=height,
            width=width,
        ),
        outputs=list(source.outputs),
        resize=resize,
        preprocessing=about['preprocessing'],
        thresholds=about.get('thresholds'),
        source=dict(
            config=Path(config_path).name,
            checkpoint=checkpoint if '://' in checkpoint else Path(checkpoint).name,
            checkpoint_sha256=sha256_of(checkpoint),
        ),
        versions=versions(*RECORDED),
        opset=OPSET,
    )
