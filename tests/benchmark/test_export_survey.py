"""The survey of exports: what is exported once, what is refused, and what is counted."""
from shufflenet_det.benchmark.export_outcomes import AGREES, Outcome, summary
from shufflenet_det.benchmark.export_survey import form_of
from shufflenet_det.benchmark.export_trial import survey_config
from shufflenet_det.export import FORMATS

import pytest

BACKBONE = 'shufflenet-v1-0.25x-g3'


def test_configs_that_differ_in_their_schedule_have_one_form():
    short, long, caffe, other = (
        form_of(f'{name}_coco.py')
        for name in (
            'retinanet/retinanet_r50_fpn_1x', 'retinanet/retinanet_r50_fpn_2x',
            'retinanet/retinanet_r101-caffe_fpn_1x', 'atss/atss_r50_fpn_1x',
        )
    )  # fmt: skip
    assert short == long == caffe
    assert short[1] == 'RetinaNet, RetinaHead' and not short[2]
    assert other[0] != short[0]


def test_what_has_no_boxes_is_refused_before_it_is_built():
    outcome = survey_config('solo/solo_r50_fpn_1x_coco.py', BACKBONE, ['onnx'])
    assert outcome.step == 'refused' and 'SOLO' in outcome.reason
    assert not outcome.engines


def test_a_head_that_the_export_does_not_know_is_refused_by_name():
    outcome = survey_config('faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py', BACKBONE, [])
    assert outcome.step == 'refused' and 'FCOSHead' in outcome.reason


def test_a_fragment_has_no_model():
    outcome = survey_config('rtmdet/rtmdet_tta.py', BACKBONE, ['onnx'])
    assert outcome.step == 'no model'
    # the file of outcomes may go to another machine
    assert outcome.reason.startswith('configs/rtmdet/rtmdet_tta.py is not')


def test_summary_counts_configs_and_forms_by_engine():
    agrees = {'onnxruntime': AGREES, 'ncnn': AGREES}
    outcomes = [
        Outcome('a', 'A', 'b', 'compared', engines=agrees),
        Outcome('a2', 'A', 'b', 'compared', engines=agrees, like='a'),
        Outcome('c', 'C', 'b', 'compared', engines=agrees | {'ncnn': '1 of 9 differ'}),
        Outcome('d', 'D', 'b', 'refused', reason='masks'),
    ]
    counts, refused, failed = summary(outcomes, ['onnx', 'ncnn'])
    assert counts.rows[-1] == dict(family='all', configs=3, forms=2, onnxruntime=3, ncnn=2)
    assert refused.rows == [dict(family='D', configs=1, reason='masks')]
    assert failed.rows == [dict(family='C ncnn', configs=1, reason='1 of 9 differ')]


@pytest.mark.slow
@pytest.mark.parametrize(
    'config', ['cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 'yolox/yolox_tiny_8xb8-300e_coco.py']
)
def test_a_config_is_exported_and_agrees_in_every_engine(config):
    outcome = survey_config(config, BACKBONE, list(FORMATS))
    assert outcome.step == 'compared', outcome.reason
    assert outcome.engines == {FORMATS[name].name: AGREES for name in FORMATS}
