"""MMDetection's COCO data set and metric, made to speak up.

MMDetection looks classes up by name and drops those it does not find: training then runs without
them and the average precision is silently zero. It also numbers the labels in the order of the
annotation file, so that two files with their categories in another order disagree. Here a class
that the annotations lack is an error, and labels follow the order of the config's classes.
"""
import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path

from shufflenet_runtime.images import reason_of

import cv2
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.dataset import Compose

from ..common.errors import DataError, shorten
from ..common.faults import Faults
from .coco_tables import NO_BOX, read_tables
from .decode import note_folder
from .learned import Learned
from .pipeline import replaced

HOW_TO_GET_DATA = (
    'The data root must hold annotations/instances_{train,val}2017.json, train2017/ and val2017/. '
    'Set the environment variable COCO_DATA_ROOT to it (SAMPLE_DATA_ROOT for configs/sample/). '
    'Sample data: `python tools/make_sample_data.py --out data/sample`. Your own: docs/own-data.md.'
)


class CheckedCOCO(COCO):
    """COCO annotations from a file that is checked: present, whole, and with the classes asked for.

    What :func:`.coco_tables.read_tables` completes is complete.

    Raises:
        DataError: the file is missing, is no JSON, lacks the tables of a COCO annotation file, or
            has an annotation without a box.
    """

    def __init__(self, annotation_file: str | os.PathLike) -> None:
        self.path = Path(annotation_file)
        if not self.path.is_file():
            raise DataError(
                f'annotation file not found: {self.path.absolute()}. {HOW_TO_GET_DATA}'
            )
        super().__init__()
        self.dataset = read_tables(self.path)
        faults = Faults()
        for annotation in self.dataset['annotations']:
            if annotation['bbox'] is None:
                faults.add(NO_BOX, f'annotation {annotation["id"]}')
        faults.check(self.path)
        with redirect_stdout(io.StringIO()):
            self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

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


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """``CocoDataset`` that checks annotations, classes and images before the first of them is used.

    Arguments are those of MMDetection's ``CocoDataset``.

    Raises:
        DataError: an annotation file or image is missing or damaged (the message names the file),
            a class is not in the annotations, or no image is left to train on.
    """

    COCOAPI = CheckedCOCO

    @property
    def pipeline(self) -> Compose:
        """The transforms; those that are set later, by a hook, are checked and fast, too."""
        return self._pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        pipeline.transforms = replaced(pipeline.transforms)
        self._pipeline = pipeline

    def load_data_list(self) -> list[dict]:
        self._learned = Learned(self.ann_file)
        data_list = super().load_data_list()
        self._learned.report(self.test_mode)
        self._check_images(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        image, annotations = raw_data_info['raw_img_info'], raw_data_info['raw_ann_info']
        if not (image.get('width') and image.get('height')):
            raise DataError(
                f'{self.ann_file} does not say the width and height of {image["file_name"]}. '
                'Export it again with the sizes of images; tools/prepare_data.py measures them.'
            )
        info = super().parse_data_info(raw_data_info)
        mine = [a for a in annotations if a['category_id'] in self.cat2label]
        self._learned.add(image['file_name'], mine, info['instances'])
        return info

    def prepare_data(self, idx: int) -> dict | None:
        try:
            return super().prepare_data(idx)
        except cv2.error as error:
            path = self.get_data_info(idx)['img_path']
            raise DataError(
                f'{path} cannot be made ready ({reason_of(error)}). Take it out of the annotations.'
            ) from None

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
