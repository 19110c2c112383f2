"""The public files of ShuffleNet v1 that can be exact: where they are, and what they need."""
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors

from ..compat.checkpoint import CheckpointError
from ..models.widths import STAGE2_CHANNELS
from .preprocessing import IMAGENET, RAW_BGR
from .record import WeightsRecord, read_record

PACKAGED = Path(__file__).parent / 'files'
"""Weights that come with the package, each a ``.safetensors`` with a ``.json`` of the same name."""
_AUTHORS = (
    'https://raw.githubusercontent.com/DavidBlavid/ShufflenetDemo/'
    '08971610b2160944c6cbe7108962566fbad5a985/weights/ShuffleNetV1/Group{}/models/{:.1f}x.pth.tar'
)
_PYTORCHCV = 'https://github.com/osmr/imgclsmob/releases/download/'
_ZCLS = 'https://github.com/ZJCV/ZCls/releases/download/v0.14.0/'
_MMPRETRAIN = 'https://download.openmmlab.com/mmclassification/v0/shufflenet_v1/'


@dataclass(frozen=True)
class Digest:
    """What tells that a file is the one that was published.

    Attributes:
        kind: ``'sha256'``, ``'sha1'``, ``'md5'``, or ``'git'`` for the id of a git blob.
        digits: hexadecimal: all, the first (sha256) or the last (md5), as they were published.
    """

    kind: str
    digits: str


@dataclass(frozen=True)
class PublicFile:
    """One public file of weights.

    Attributes:
        name: in this package, behind ``shufflenet://``.
        collection: who published it.
        published_as: what it is called there; stands for the name, too.
        needs: what the weights need.
        top1_error: on ImageNet's validation set, percent, as its publisher reports; of the data
            in ``note``, where there is one.
        top5_error: the same for the five best classes, None if not reported.
        licence: of the code with which it was published.
        url: address of the file itself; None for one in the package.
        filename: under which it is kept.
        digest: of its content, of a zip archive that of the file inside; None for one in the
            package, which is installed with it.
        note: what else there is to know, if anything.
    """

    name: str
    collection: str
    published_as: str
    needs: WeightsRecord
    top1_error: float
    top5_error: float | None
    licence: str
    url: str | None
    filename: str
    digest: Digest | None
    note: str = ''


def _variant(groups: int, factor: float, stem: int) -> dict:
    stages = tuple(int(STAGE2_CHANNELS[groups] * factor) * 2**i for i in range(3))
    return dict(groups=groups, stem_channels=stem, stage_channels=stages)


def _of_mmpretrain() -> PublicFile:
    filename = 'shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth'
    needs = WeightsRecord('ShuffleNetV1', _variant(3, 1.0, 24), 'standard', IMAGENET)
    # tools/model_converters/publish_model.py there: the first eight digits of the SHA-256
    digest = Digest('sha256', '5d6cec73')
    return PublicFile(
        'mmpretrain-1x-g3', 'mmpretrain', 'shufflenet-v1-1x_16xb64_in1k', needs, 31.87, 12.19,
        'Apache-2.0', _MMPRETRAIN + filename, filename, digest,
    )  # fmt: skip


# (groups, width factor): stem, top-1 and top-5 error in percent, from the README of
# https://github.com/megvii-model/ShuffleNet-Series/tree/master/ShuffleNetV1; id of the git blob;
# ZCls's file, from zcls/model/recognizers/shufflenet/shufflenetv1.py of 0.15.2
_OF_AUTHORS = {
    (3, 2.0): (48, 25.9, 8.6, '5e7e6e0ce810f43b616b15f055f8be1d89768c6f', '3g2x', '9835481a'),
    (3, 1.5): (24, 28.4, 9.8, 'e1a2e1550758515655d01c6cf6fb9af704bce479', '3g1_5x', '9ac247e1'),
    (3, 1.0): (24, 32.2, 12.3, '509a3152da938e2f79c0c412560b9f7d618f6a6b', '3g1x', '4b9454f2'),
    (3, 0.5): (12, 42.7, 20.0, '3d5d0a724fb2a8e2b1e6bb874fc1aa8d911e9f14', '3g0_5x', 'de2ce242'),
    (8, 2.0): (48, 27.1, 9.2, 'edffd1b7145b8dcd698192fe52352e82a3cbfec5', '8g2x', '9fb71642'),
    (8, 1.5): (24, 29.0, 10.4, '905fd71fde7d8eb4c8f949319bc2ce35f9fe6af0', '8g1_5x', '76b3f38d'),
    (8, 1.0): (24, 32.0, 13.6, '6116aea208d214410b00910ce439a330b1e447e1', '8g1x', '941bfdc6'),
    (8, 0.5): (16, 41.2, 19.0, '71b47981f9844ef86657daa600c456102d7176da', '8g0_5x', '5940e6d3'),
}


def _of_authors() -> tuple[list[PublicFile], list[PublicFile]]:
    """The authors' files in the mirror, and the same weights as ZCls has renamed them."""
    authors, zcls = [], []
    for (groups, factor), (stem, top1, top5, blob, arch, md5) in _OF_AUTHORS.items():
        variant, kind = _variant(groups, factor, stem), f'{factor:g}x-g{groups}'
        needs = WeightsRecord('ShuffleNetV1', variant, 'transposed', RAW_BGR)
        authors.append(
            PublicFile(
                f'authors-{kind}', 'authors', f'Group{groups}/models/{factor:.1f}x.pth.tar', needs,
                top1, top5, 'MIT', _AUTHORS.format(groups, factor), f'authors-{kind}.pth.tar',
                Digest('git', blob),
            )
        )  # fmt: skip
        arch = f'shufflenetv1_{arch}'
        filename = f'{arch}_imagenet_{md5}.pth'
        # tools/utils/add_md5_for_pths.py there: the last eight digits of the MD5
        zcls.append(
            PublicFile(
                f'zcls-{kind}', 'zcls', arch, needs, top1, top5, 'Apache-2.0', _ZCLS + filename,
                filename, Digest('md5', md5),
            )
        )  # fmt: skip
    return authors, zcls


# (groups, width factor): name there, stem, top-1 and top-5 error in percent, release, SHA-1 of
# the file inside of the archive, from pytorchcv/models/common/model_metainfos.csv of 0.0.74
_OF_PYTORCHCV = {
    (1, 1.0): ('w1', 24, 34.93, 13.89, 223, '4cfb65a30761fe548e0b5afbb5d89793ec41e4e9'),
    (2, 1.0): ('w1', 24, 34.25, 13.63, 241, '07256203e217a7b31f1c69a5bd38a6674bce75bc'),
    (3, 1.0): ('w1', 24, 34.39, 13.48, 244, 'ce54f64ecff87556a4303380f46abaaf649eb308'),
    (4, 1.0): ('w1', 24, 34.19, 13.35, 245, 'e2415f8270a4b6cbfe7dc97044d497edbc898577'),
    (8, 1.0): ('w1', 24, 34.06, 13.42, 250, '9a979b365424addba75c559a61a77ac7154b26eb'),
    (1, 0.75): ('w3d4', 18, 39.58, 17.11, 218, '161cd24aa0b2e2afadafa69b44a28af222f2ec7a'),
    (3, 0.75): ('w3d4', 18, 38.20, 16.50, 219, '3f3b0aef0ce3174c78ff42cf6910c6e34540fc41'),
    (1, 0.5): ('wd2', 12, 46.59, 22.61, 174, 'dae4bdadd7d48bee791dff2a08cd697cff0e9320'),
    (3, 0.5): ('wd2', 12, 44.16, 20.80, 167, 'ccaacfc8d9ac112c6143269df6e258fd55b662a7'),
    (1, 0.25): ('wd4', 6, 62.44, 37.29, 134, '47dbd0f279da6d3056079bb79ad39cabbb3b9415'),
    (3, 0.25): ('wd4', 6, 61.74, 36.53, 135, '6abdd65e087e71f80345415cdf7ada6ed2762d60'),
}


def _of_pytorchcv() -> list[PublicFile]:
    files = []
    for (groups, factor), (width, stem, top1, top5, tag, sha1) in _OF_PYTORCHCV.items():
        name = f'shufflenet_g{groups}_{width}'
        filename = f'{name}-{round(top5 * 100):04d}-{sha1[:8]}.pth.zip'
        needs = WeightsRecord('ShuffleNetV1', _variant(groups, factor, stem), 'standard', IMAGENET)
        files.append(
            PublicFile(
                f'pytorchcv-{factor:g}x-g{groups}', 'pytorchcv', name, needs, top1, top5, 'MIT',
                f'{_PYTORCHCV}v0.0.{tag}/{filename}', filename, Digest('sha1', sha1),
            )
        )  # fmt: skip
    return files


_DOWNLOADS = (_of_mmpretrain(), *_of_authors()[0], *_of_pytorchcv(), *_of_authors()[1])


def public_files() -> tuple[PublicFile, ...]:
    """All public files; those in the package last, because their data were fewest."""
    return (*_DOWNLOADS, *map(_packaged, sorted(PACKAGED.glob('*.safetensors'))))


def _packaged(path: Path) -> PublicFile:
    """A file in the package, from its own record and from the JSON file beside it.

    Raises:
        CheckpointError: one of the two does not say what it should.
    """
    try:
        with safetensors.safe_open(path, 'pt') as content:
            needs = read_record(content.metadata(), str(path))
        about = json.loads(path.with_suffix('.json').read_text())
        top1, licence, data = about['top1_error'], about['licence'], about['data']
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f'{path}, which comes with the package, or the JSON file beside it is damaged '
            f'({type(error).__name__}: {error}). Install the package again.'
        ) from error
    if needs is None:
        raise CheckpointError(f'{path} has no record: write it with tools/convert_weights.py.')
    return PublicFile(
        path.stem, 'package', path.name, needs, top1, about.get('top5_error'), licence, None,
        path.name, None, f'errors on {data}',
    )  # fmt: skip
