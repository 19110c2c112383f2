"""Networks trained as one stack compute what they compute alone."""

import shufflenet_det.models  # noqa: F401  registers the networks
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.paper.claims_gpu import builder, pictures_of, stacks_of, train_on_gpu
from shufflenet_det.paper.claims_training import Training
from shufflenet_det.paper.gpu_recipe import LabelledImages, Member, Recipe
from shufflenet_det.paper.gpu_trainings import StackTraining, train_stack
from shufflenet_det.paper.records import append_record, read_records, recipe_of, require_recipe
from shufflenet_det.paper.stacked import Stack

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config

from ..conftest import ROOT
from ..data.image_files import write_tiny_imagenet

SHUFFLED, PLAIN = 'shufflenet-v1-0.25x-g8', 'shufflenet-v1-0.25x-g8-noshuffle'
STACKS = (
    (SHUFFLED, PLAIN),
    ('shufflenet-v1-0.25x-g3',),
    ('resnet-like-13',),
    ('resnext-like-13',),
    ('resnext-like-38',),
    ('mobilenet-v1-0.25',),
    ('xception-like-13',),
)


def build(network, classes=7):
    model = Config.fromfile(f'configs/imagenet/{network}_in1k.py').model
    model.head.num_classes = classes
    return MODELS.build(model)


def classifiers(names, dtype=torch.float64):
    """Networks with batch norms that do something."""
    models = []
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        model = build(name).to(dtype).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, std=0.1)
        models.append(model)
    return models


@pytest.fixture(params=STACKS, ids='+'.join)
def models(request):
    return classifiers(request.param)


def test_weights_go_in_and_out_unchanged(models):
    stack = Stack(models)
    for number, model in enumerate(models):
        state = stack.state_dict(number)
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_a_stack_is_its_networks_side_by_side(models):
    """Logits, statistics and gradients of a training step, and the logits in evaluation."""
    stack = Stack(models)
    images = torch.randn(len(models), 4, 3, 64, 64, dtype=torch.float64)
    labels = torch.randint(7, (len(models), 4))
    params = {name: value.clone().requires_grad_() for name, value in stack.params.items()}
    pixels = images.permute(0, 1, 3, 4, 2)
    logits, stats = stack.forward(params, stack.stats, pixels, True, torch.float64)
    sum(F.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)).backward()
    evaluated, none = stack.forward(stack.params, stack.stats, pixels, False, torch.float64)
    assert none == {}
    stack.params = {name: value.grad for name, value in params.items()}
    for number, model in enumerate(models):
        found = model.eval().head(model.backbone(images[number])[-1])
        torch.testing.assert_close(evaluated[number], found, rtol=1e-9, atol=1e-9)
        found = model.train().head(model.backbone(images[number])[-1])
        torch.testing.assert_close(logits[number], found, rtol=1e-9, atol=1e-9)
        F.cross_entropy(found, labels[number]).backward()
        gradients = stack.state_dict(number)
        for name, parameter in model.named_parameters():
            wanted = parameter.grad
            torch.testing.assert_close(
                gradients[name], wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max() + 1e-3)
            )
        for name, value in stats.items():
            torch.testing.assert_close(value[number], model.state_dict()[name])


def test_what_a_stack_cannot_do_is_refused():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            data_preprocessor=dict(type='ClassifierPreprocessor'),
            backbone=dict(type='ShuffleNetV1', with_se=True, widen_factor=0.25, out_indices=(3,)),
            head=dict(type='LinearHead', num_classes=7),
        )
    )
    with pytest.raises(ConfigError, match='squeeze-and-excitation'):
        Stack([model])


def test_the_learning_rate_warms_up_and_falls_to_zero():
    recipe = Recipe(epochs=10, lr=0.2, warmup_epochs=2)
    rates = [recipe.rate(step, steps_per_epoch=5) for step in range(50)]
    assert rates[0] == pytest.approx(0.02) and rates[9] == pytest.approx(0.2)
    assert rates[30] == pytest.approx(0.1, abs=1e-9) and rates[49] < 0.001
    assert all(a >= b for a, b in zip(rates[9:], rates[10:], strict=False))


def pictures():
    """Pictures whose class is their brightness."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 4
    noise = torch.rand(96, 32, 32, 3, generator=generator) * 40
    bright = (noise + 50 * labels[:, None, None, None]).to(torch.uint8)
    return LabelledImages(bright[:64], labels[:64], bright[64:], labels[64:])


def training(epochs=4):
    recipe = Recipe(epochs=epochs, batch=16, lr=0.05, warmup_epochs=1, padding=2)
    members = [Member(SHUFFLED, 0, recipe), Member(PLAIN, 0, recipe)]
    return StackTraining(members, build, pictures(), compiled=False, dtype=torch.float32)


def test_a_stopped_training_ends_as_an_uninterrupted_one(tmp_path):
    records = train_stack(training(), tmp_path / 'whole', every=2)
    begun = training()
    begun.run_epoch()
    begun.run_epoch()
    begun.validate()
    (tmp_path / 'parts').mkdir()
    begun.save(tmp_path / 'parts' / 'state.pth')
    resumed = training()
    again = train_stack(resumed, tmp_path / 'parts', every=2)
    for one, other in zip(records, again, strict=True):
        assert one['curves'] == other['curves'] and one['top1_error'] == other['top1_error']
    assert [v is None for v in records[0]['curves']['val_error']] == [True, False] * 2
    # what does not belong to a group stays zero
    for name, mask in resumed.stack.masks.items():
        assert not (resumed.params[name].detach() * (1 - mask)).any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='torch sees no CUDA device')
def test_the_compiled_step_is_the_plain_one():
    steps = []
    for compiled in (True, False):
        recipe = Recipe(epochs=1, batch=16, lr=0.05, warmup_epochs=1, padding=2)
        run = StackTraining(
            [Member(SHUFFLED, 0, recipe)], build, pictures().to('cuda'), compiled, torch.float32
        )
        run.run_epoch()
        steps.append(run.flat.cpu())
    torch.testing.assert_close(*steps, rtol=1e-2, atol=1e-3)


def test_stacks_are_networks_of_equal_shapes_and_leave_records(tmp_path, monkeypatch):
    monkeypatch.setenv('TINY_IMAGENET_ROOT', str(write_tiny_imagenet(tmp_path / 'tiny')))
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f"_base_ = r'{ROOT}/configs/tiny_imagenet/claims.py'\n"
        'train_cfg = dict(max_epochs=2, val_interval=2)\n'
        f"cache = r'{tmp_path}/cache'\n"
        'train_dataloader = dict(batch_size=8, dataset=dict(cache=cache))\n'
        'val_dataloader = dict(dataset=dict(cache=cache))\n'
        'model = dict(head=dict(num_classes=5))\n'
    )
    networks = ROOT / 'configs' / 'imagenet'
    names = SHUFFLED, 'mobilenet-v1-0.25', PLAIN
    trainings = [Training(name, 0, tmp_path / 'work') for name in names]
    first, second = stacks_of(trainings, builder(recipe, networks), most=4)
    assert [training.network for training in first] == [SHUFFLED, PLAIN]
    assert second == [trainings[1]]
    records = train_on_gpu(first, recipe, networks, device='cpu')
    for record in records:
        append_record(tmp_path / 'records.jsonl', record)
    assert read_records([tmp_path / 'records.jsonl']) == records
    assert [record.network for record in records] == [SHUFFLED, PLAIN]
    require_recipe(records, recipe_of(Config.fromfile(recipe)), 'tiny-imagenet-200')


def test_a_gpu_gets_pictures_that_are_not_enlarged_yet(tmp_path, monkeypatch):
    monkeypatch.setenv('TINY_IMAGENET_ROOT', str(write_tiny_imagenet(tmp_path / 'tiny')))
    found = []
    for recipe in ('claims', 'claims-128'):
        cfg = Config.fromfile(ROOT / 'configs' / 'tiny_imagenet' / f'{recipe}.py')
        for split in ('train', 'val'):
            cfg[f'{split}_dataloader'].dataset.cache = str(tmp_path / 'cache')
        found.append(pictures_of(cfg))
    plain, enlarged = found
    assert plain.train.shape == (12, 64, 64, 3)
    assert torch.equal(plain.train, enlarged.train) and torch.equal(plain.val, enlarged.val)
