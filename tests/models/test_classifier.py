from shufflenet_det.common.errors import ConfigError
from shufflenet_det.models.classifier import ClassifierPreprocessor, ImageClassifier

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch.nn import functional as F

BACKBONE = dict(type='ShuffleNetV1', groups=1, widen_factor=0.25, out_indices=(3,))


def classifier(num_classes=4, head=None, **preprocessor):
    torch.manual_seed(0)
    model = ImageClassifier(
        backbone=BACKBONE,
        head=dict(type='LinearHead', num_classes=num_classes, **(head or {})),
        data_preprocessor=dict(type='ClassifierPreprocessor', **preprocessor),
    )
    model.init_weights()
    return model


def batch(size=4, classes=4):
    images = torch.randint(0, 256, (size, 3, 64, 64), dtype=torch.uint8)
    labels = torch.arange(size) % classes
    return dict(inputs=images, labels=labels, paths=[f'{i}.jpg' for i in range(size)])


def test_normalisation_is_that_of_torchvision():
    data = batch()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (data['inputs'] / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    assert torch.allclose(ClassifierPreprocessor()(data)['inputs'], expected, atol=1e-5)


def test_loss_of_the_untrained_network_is_that_of_chance_and_training_reduces_it():
    model = classifier()
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9)
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    data = batch()
    # with four images the losses jump; that one is far lower does not depend on rounding
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(30)]
    assert losses[0] == pytest.approx(torch.tensor(4.0).log().item(), abs=0.2)
    assert min(losses) < 0.5 * losses[0]


def test_label_smoothing_is_that_of_cross_entropy():
    model = classifier(head=dict(label_smoothing=0.1)).eval()
    data = model.data_preprocessor(batch())
    logits, loss = model(data['inputs']), model(**data, mode='loss')['loss']
    target = F.one_hot(data['labels'], 4) * 0.9 + 0.1 / 4
    assert loss.item() == pytest.approx(-(target * logits.log_softmax(1)).sum(1).mean().item())


def test_prediction_names_each_image():
    model = classifier().eval()
    found = model.val_step(batch())
    assert [f['path'] for f in found] == ['0.jpg', '1.jpg', '2.jpg', '3.jpg']
    assert [f['label'].item() for f in found] == [0, 1, 2, 3]
    assert found[0]['logits'].shape == (4,)


@pytest.mark.parametrize('mixing', [dict(mixup=0.5), dict(cutmix=0.5), dict(mixup=0.5, cutmix=0.5)])
def test_mixing_makes_probabilities_in_training_only(mixing):
    preprocessor = ClassifierPreprocessor(num_classes=4, **mixing)
    mixed = preprocessor(batch(), training=True)
    assert mixed['labels'].shape == (4, 4)
    assert torch.allclose(mixed['labels'].sum(1), torch.ones(4))
    assert not torch.equal(mixed['inputs'], preprocessor(batch())['inputs'])
    assert preprocessor(batch())['labels'].tolist() == [0, 1, 2, 3]
    loss = classifier()(**mixed, mode='loss')['loss']
    assert loss.isfinite()


def test_errors_name_the_remedy():
    with pytest.raises(ConfigError, match='num_classes'):
        ClassifierPreprocessor(mixup=0.2)
    resnet = dict(type='ResNet', depth=18, out_indices=(3,))
    with pytest.raises(ConfigError, match='in_channels'):
        ImageClassifier(backbone=resnet, head=dict(type='LinearHead', num_classes=2))
    head = dict(type='LinearHead', num_classes=2, in_channels=512)
    logits = ImageClassifier(backbone=resnet, head=head)(torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, 2)
    with pytest.raises(ConfigError, match='LinearHead'):
        ImageClassifier(backbone=BACKBONE, head=dict(type='OriginalHead', num_classes=2))
    with pytest.raises(ConfigError, match='mode'):
        classifier()(torch.rand(1, 3, 32, 32), mode='los')
