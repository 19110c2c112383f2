"""Files of records: what is added stays whole, what is damaged is named."""
import json
from dataclasses import asdict, replace
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.paper.claims_report import TABLES, claims_table, write_report
from shufflenet_det.paper.records import append_record, read_records, require_recipe

import pytest

from ..conftest import ROOT
from .test_claims import record


def test_appended_records_are_read_back(tmp_path: Path):
    path = tmp_path / 'new' / 'records.jsonl'
    records = [record(seed=seed) for seed in range(3)]
    for one in records:
        append_record(path, one)
    assert read_records([path]) == records
    assert read_records([path])[2].source == f'{path}, line 3'
    assert len(path.read_text().splitlines()) == 3
    # a copy of the file says nothing new
    copy = tmp_path / 'copy.jsonl'
    copy.write_text(path.read_text())
    assert read_records([path, copy]) == records


def test_one_run_has_one_record(tmp_path: Path):
    first, second = tmp_path / 'a.jsonl', tmp_path / 'b.jsonl'
    append_record(first, record(error=50.0))
    with pytest.raises(DataError, match=r'a\.jsonl, line 1 has .*seed 0 already'):
        append_record(first, record(error=51.0))
    append_record(second, record(error=51.0))
    with pytest.raises(DataError, match=r'b\.jsonl, line 1 and .*a\.jsonl, line 1 are two records'):
        read_records([first, second])


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('}\n', '', 'no record'),
        ('"seed": 0', '"seed": "0"', "seed is '0'"),
        ('"seed"', '"sed"', r"missing: \['seed'\], unknown: \['sed'\]"),
        ('"lr"', '"rate"', 'recipe must have epochs, batch, lr'),
        ('"train_loss": [1.0, ', '"train_loss": [', 'not equally long'),
        ('"top1_error": 50.0', '"top1_error": 150.0', 'top1_error is 150.0, no percentage'),
        ('"top5_error": 20.0', '"top5_error": null', 'no record'),
        ('"top5_error": 20.0', '"top5_error": NaN', 'top5_error is nan'),
    ],
)
def test_damaged_line_is_named(old: str, new: str, message: str, tmp_path: Path):
    path = tmp_path / 'records.jsonl'
    append_record(path, record(seed=1))
    append_record(path, record(seed=0))
    text = path.read_text()
    assert old in text
    first, second = text.splitlines(keepends=True)
    path.write_text(first + second.replace(old, new))
    with pytest.raises(DataError, match=message) as caught:
        read_records([path])
    assert str(caught.value).startswith(f'{path}, line 2 is no record')
    before = path.read_text()
    with pytest.raises(DataError, match='line 2'):
        append_record(path, record(seed=5))
    assert path.read_text() == before


def test_curves_may_have_the_epochs_of_validation_beside_them(tmp_path: Path):
    path = tmp_path / 'records.jsonl'
    content = asdict(record())
    content.pop('source')
    for name in ('padding', 'enlarge'):
        content['recipe'].pop(name)
    content['curves'] |= dict(val_epoch=[2, 3], val_error=[60.0, 50.0])
    content['curves']['epoch'] = [1, 2, 3]
    path.write_text(json.dumps(content) + '\n')
    (found,) = read_records([path])
    assert found.curves['val_error'] == [None, 60.0, 50.0] and 'val_epoch' not in found.curves
    assert found.recipe == record().recipe


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r'nowhere\.jsonl'):
        read_records([tmp_path / 'nowhere.jsonl'])


def test_other_recipe_or_data_is_refused():
    one = record()
    require_recipe([one], one.recipe, one.data)
    with pytest.raises(DataError, match='epochs 3 and 4'):
        require_recipe([one], one.recipe | dict(epochs=4), one.data)
    with pytest.raises(DataError, match='data tiny-imagenet-200 and x'):
        require_recipe([replace(one)], one.recipe, 'x')


def test_one_run_by_two_recipes_is_said_to_be_that(tmp_path: Path):
    files = [tmp_path / name for name in ('one.jsonl', 'other.jsonl')]
    append_record(files[0], record())
    append_record(files[1], replace(record(), recipe=record().recipe | dict(epochs=90)))
    with pytest.raises(DataError, match='trained differently: epochs 3 and 90'):
        read_records(files)


@pytest.mark.parametrize('name', ['fit', '64-pixels'])
def test_tables_of_the_documents_are_those_of_their_records(name: str, tmp_path: Path):
    """If not: ``python tools/claims.py --report --work-dir docs/claims/NAME``."""
    folder = ROOT / 'docs' / 'claims' / name
    write_report(read_records([folder / 'records.jsonl']), tmp_path)
    assert (folder / TABLES).read_text() == (tmp_path / TABLES).read_text()


@pytest.mark.parametrize('name', ['fit', '64-pixels'])
def test_page_of_the_claims_has_the_table_of_its_records(name: str):
    records = read_records([ROOT / 'docs' / 'claims' / name / 'records.jsonl'])
    assert claims_table(records).rstrip() in (ROOT / 'docs' / 'claims.md').read_text()
