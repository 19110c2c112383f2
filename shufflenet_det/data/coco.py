"""MMDetection's COCO data set and metric, made to speak up.

MMDetection looks classes up by name and drops those it does not find: training then runs without
them and the average precision is silently zero. It also numbers the labels in the order of the
annotation file, so that two files with their categories in another order disagree. Here a class
that the annotations lack is an error, and labels follow the order of the config's classes.
"""
import json
import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from ..common.errors import DataError, shorten
from .decode import note_folder
from .transforms import CheckedLoadImageFromFile

HOW_TO_GET_DATA = (
    'The data root must hold annotations/instances_{train,val}2017.json, train2017/ and val2017/. '
    'Set the environment variable COCO_DATA_ROOT to it (SAMPLE_DATA_ROOT for configs/sample/). '
    'Sample data: `python tools/make_sample_data.py --out data/sample`. Your own: docs/own-data.md.'
)


class CheckedCOCO(COCO):
    """COCO annotations from a file that is checked: present, whole, and with the classes asked for.

    Raises:
        DataError: the file is missing, is no JSON, or lacks the tables of a COCO annotation file.
    """

    def __init__(self, annotation_file: str | os.PathLike) -> None:
        self.path = Path(annotation_file)
        if not self.path.is_file():
            raise DataError(
                f'annotation file not found: {self.path.absolute()}. {HOW_TO_GET_DATA}'
            )
        try:
            super().__init__(str(annotation_file))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(
                f'annotation file {self.path} is damaged or truncated ({error}). Download or '
                f'export it again.'
            ) from None
        except (KeyError, TypeError, AssertionError) as error:
            raise DataError(
                f'{self.path} is not a COCO annotation file ({type(error).__name__}: {error}).'
            ) from None
        missing = [t for t in ('images', 'annotations', 'categories') if t not in self.dataset]
        if missing:
            raise DataError(
                f'{self.path} is not a COCO detection file: it has no {", ".join(missing)}.'
            )

    def get_cat_ids(
        self,
        cat_names: Sequence[str] = (),
        sup_names: Sequence[str] = (),
        cat_ids: Sequence[int] = (),
    ) -> list[int]:
        """Category ids; for ``cat_names``, one for each name in their order.

        Raises:
            DataError: a name is not, or more than once, among the categories.
        """
        if not cat_names:
            return super().get_cat_ids(cat_names, sup_names, cat_ids)
        ids_of = {}
        for category in self.dataset['categories']:
            ids_of.setdefault(category['name'], []).append(category['id'])
        absent = [name for name in cat_names if name not in ids_of]
        if absent:
            near = {n: m[0] for n in absent if (m := get_close_matches(n, ids_of, 1))}
            hints = [f'{name} (near: {match})' for name, match in near.items()]
            raise DataError(
                f'{len(absent)} of the {len(cat_names)} classes of the config are not in '
                f'{self.path}: {shorten(absent)}. Its categories are: {shorten(ids_of)}. '
                + (f'Alike: {shorten(hints)}. ' if hints else '')
                + 'Set metainfo=dict(classes=(...)) of the data sets to names of the file, and '
                'num_classes of the heads to their number.'
            )
        twice = [name for name in cat_names if len(ids_of[name]) > 1]
        if twice:
            raise DataError(f'{self.path} has several categories named {shorten(twice)}.')
        return [ids_of[name][0] for name in cat_names]


def _checked(transform: dict | Callable) -> dict | Callable:
    """``LoadImageFromFile`` replaced by the one that names what it cannot read.

    Not in the configs, because MMDetection's inferencer looks there for the stock transform.
    """
    stock = ('LoadImageFromFile', LoadImageFromFile)
    if isinstance(transform, dict) and transform['type'] in stock:
        return {**transform, 'type': CheckedLoadImageFromFile}
    return transform


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """``CocoDataset`` that checks annotations, classes and images before the first of them is used.

    Arguments are those of MMDetection's ``CocoDataset``.

    Raises:
        DataError: an annotation file or image is missing or damaged (the message names the file),
            a class is not in the annotations, or no image is left to train on.
    """

    COCOAPI = CheckedCOCO

    def __init__(self, *args, pipeline: Sequence[dict | Callable] = (), **kwargs) -> None:
        super().__init__(*args, pipeline=[_checked(step) for step in pipeline], **kwargs)

    def load_data_list(self) -> list[dict]:
        data_list = super().load_data_list()
        self._check_images(data_list)
        return data_list

    def filter_data(self) -> list[dict]:
        kept = super().filter_data()
        if not kept:
            raise DataError(
                f'{self.ann_file} leaves no image to use: it lists {len(self.data_list)} images, '
                f'none with an object of the classes {shorten(self.metainfo["classes"])}.'
            )
        return kept

    def _check_images(self, data_list: list[dict]) -> None:
        """Compare the folder's listing, one system call, with the files that are named."""
        folder = self.data_prefix.get('img') or ''
        if self.backend_args is not None or '://' in folder:
            return
        if not os.path.isdir(folder):
            raise DataError(f'image folder not found: {os.path.abspath(folder)}. {HOW_TO_GET_DATA}')
        note_folder(folder)
        present = {entry.name for entry in os.scandir(folder)}
        paths = [info['img_path'] for info in data_list]
        missing = [
            path
            for path in paths
            if os.path.relpath(path, folder) not in present and not os.path.isfile(path)
        ]
        if missing:
            raise DataError(
                f'{len(missing)} of the {len(paths)} images of {self.ann_file} are missing, the '
                f'first is {missing[0]}. Complete {os.path.abspath(folder)} or correct the file '
                f'names in the annotations.'
            )
