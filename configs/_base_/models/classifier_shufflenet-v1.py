model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClassifierPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]
    ),
    backbone=dict(type='ShuffleNetV1', groups=3, widen_factor=1.0, out_indices=(3,)),
    head=dict(type='LinearHead', num_classes=1000),
)
