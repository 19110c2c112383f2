"""Draw detections: python tools/image_demo.py IMAGE... CONFIG CHECKPOINT [--out-dir DIR]"""
import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from shufflenet_det.common import cli
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError, DataError, shorten
from shufflenet_det.common.faults import repeated
from shufflenet_det.common.options import positive
from shufflenet_det.data import CheckedLoadImageFromFile
from shufflenet_det.engine.hooks import keys_of, require_complete
from shufflenet_runtime.files import without_clashes
from shufflenet_runtime.sources import drawing_name, open_sources

import mmcv
import torch
from mmdet.apis import DetInferencer
from mmengine.runner import CheckpointLoader


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw the detections of images')
    parser.add_argument(
        'images', nargs='+', help='image files, URLs, or folders of images; folders in them count'
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('--out-dir', default='outputs', help='folder for pictures and JSON files')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='least score to draw')
    parser.add_argument('--batch-size', type=positive, default=1)
    parser.add_argument(
        '--device', default='cuda:0' if torch.cuda.is_available() else 'cpu', help='cpu or cuda:N'
    )
    return parser.parse_args()


def find_images(names: list[str]) -> dict[str, str]:
    """Images by their path or URL, and the names of their drawings.

    Args:
        names: image files, folders of images, URLs of images.

    Raises:
        DataError: one does not exist, or is a folder without images.
        ConfigError: two drawings would have the same name.
    """
    for name in names:
        if '://' not in name and not Path(name).exists():
            raise DataError(f'image not found: {name}')
    found = {}
    sources = open_sources(list(dict.fromkeys(name for name in names if '://' not in name)))
    for source in sources:
        for reason in source.left_out:
            print(f'note: {source.name}: left out: {reason}', file=sys.stderr)
        found |= dict(zip(map(str, source.files), source.pictures, strict=True))
    found |= _names_of_urls(names, found.values())
    if twice := repeated(found.values()):
        raise ConfigError(
            f'{shorten(twice)}: several images would have results of this name. Give the others '
            'in a run of their own, with another --out-dir.'
        )
    return found


def _names_of_urls(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Names of drawings of images behind URLs: the last part, or host and path where it repeats."""
    paths = {url: PurePosixPath(url) for url in names if '://' in url}
    last = {url: drawing_name(path.name) for url, path in paths.items()}
    if not repeated([*last.values(), *others]):
        return last
    # '..' would lead out of the folder
    return {
        url: drawing_name('/'.join(part for part in path.parts[1:] if part != '..'))
        for url, path in paths.items()
    }


def readable(images: dict[str, str], bad: list[str]) -> Iterator[str]:
    """The images that can be read; of the others that they cannot."""
    for image in images:
        try:
            if '://' not in image:
                CheckedLoadImageFromFile()(dict(img_path=image))
            yield image
        except DataError as error:
            print(f'error: {error}', file=sys.stderr)
            bad.append(image)


def main() -> None:
    args = parse_args()
    images = find_images(args.images)
    drawings = {Path(args.out_dir, 'vis', name).resolve() for name in images.values()}
    for image in images:
        if '://' not in image and Path(image).resolve() in drawings:
            raise ConfigError(f'the drawing would replace {image}: name another --out-dir.')
    out = cli.check_writable(args.out_dir, '--out-dir')
    cfg = load_config(args.config)
    inferencer = DetInferencer(
        cfg, args.checkpoint, device=args.device, show_progress=False
    )
    checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu')
    require_complete(keys_of(inferencer.model, checkpoint))
    stems = [str(PurePosixPath(name).with_suffix('')) for name in images.values()]
    json_names = dict(zip(images, without_clashes(stems, list(images.values())), strict=True))
    bad: list[str] = []
    good = readable(images, bad)
    while batch := list(islice(good, args.batch_size)):
        found = inferencer(
            batch, batch_size=args.batch_size, return_vis=True, pred_score_thr=args.pred_score_thr
        )
        for image, picture, record in zip(
            batch, found['visualization'], found['predictions'], strict=True
        ):
            # the inferencer would name both by the last part of the path alone
            mmcv.imwrite(picture[..., ::-1], str(out / 'vis' / images[image]))
            cli.write_atomically(out / 'preds' / f'{json_names[image]}.json', json.dumps(record))
    print(f'wrote the results of {len(images) - len(bad)} images to {out}')
    if bad:
        raise DataError(f'{len(bad)} of {len(images)} images failed, see above.')
