import json

from shufflenet_det.evaluation import TopKError

import pytest
import torch


def evaluate(logits, labels, classes=None, out=None, **kwargs):
    metric = TopKError(**kwargs)
    classes = classes or tuple(f'c{i}' for i in range(logits.shape[1]))
    metric.dataset_meta = dict(classes=classes)
    if out:
        metric.keep_results(out)
    samples = [
        dict(logits=row, label=torch.tensor(label), path=f'{i}.jpg')
        for i, (row, label) in enumerate(zip(logits, labels, strict=True))
    ]
    metric.process(None, samples[:3])
    metric.process(None, samples[3:])
    return metric.evaluate(len(samples)), metric


def test_errors_equal_a_plain_count():
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    labels = [i % 10 for i in range(200)]
    metrics, metric = evaluate(logits, labels)
    order = logits.argsort(dim=1, descending=True).tolist()
    for k in (1, 5):
        wrong = sum(label not in row[:k] for row, label in zip(order, labels, strict=True))
        assert metrics[f'error/top{k}'] == pytest.approx(wrong / 2)
    mean = sum(metric.per_class.values()) / 10
    assert mean == pytest.approx(metrics['error/top1'])
    assert 'error/top1' in metric.table(metrics)


def test_a_dead_network_is_wrong_everywhere():
    for value in (0.0, float('nan')):
        metrics, _ = evaluate(torch.full((8, 10), value), [0] * 8)
        assert metrics == {'error/top1': 100.0, 'error/top5': 100.0}


def test_top5_is_left_out_where_it_says_nothing():
    metrics, _ = evaluate(torch.eye(4), [0, 1, 2, 3])
    assert metrics == {'error/top1': 0.0}


def test_results_are_kept_by_name(tmp_path):
    evaluate(torch.eye(6) * 5, [0, 1, 2, 3, 4, 0], out=tmp_path / 'out.json')
    records = json.loads((tmp_path / 'out.json').read_text())
    assert [r['label'] for r in records] == ['c0', 'c1', 'c2', 'c3', 'c4', 'c0']
    assert list(records[5]['predictions'])[0] == 'c5'
    assert records[2]['path'] == '2.jpg'
    assert len(records[0]['predictions']) == 5


def test_classes_have_names_for_people_in_the_table():
    metric = TopKError()
    metric.dataset_meta = dict(classes=('n01', 'n02'), class_names=('goldfish', 'bullfrog'))
    metric.process(None, [dict(logits=torch.eye(2)[0], label=torch.tensor(1), path='a')])
    table = metric.table(metric.evaluate(1))
    assert 'n02 bullfrog' in table
    assert metric.per_class == {'n02': 100.0}
