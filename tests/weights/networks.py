"""The authors' network, stated from its description alone, and random weights worth comparing."""
import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGE2 = {3: 240, 8: 384}
# (groups, width factor): stem
STEMS = {
    (3, 0.5): 12, (3, 1.0): 24, (3, 1.5): 24, (3, 2.0): 48,
    (8, 0.5): 16, (8, 1.0): 24, (8, 1.5): 24, (8, 2.0): 48,
}  # fmt: skip


class AuthorsUnit(nn.Module):

    def __init__(self, inputs: int, outputs: int, groups: int, stride: int, first: bool) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        middle = outputs // 4
        made = outputs if stride == 1 else outputs - inputs
        self.branch_main_1 = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, groups=1 if first else groups, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
        )
        self.branch_main_2 = nn.Sequential(
            nn.Conv2d(middle, made, 1, groups=groups, bias=False), nn.BatchNorm2d(made)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch_main_1(x)
        n, c, h, w = out.shape
        out = out.reshape(n, c // self.groups, self.groups, h, w).permute(0, 2, 1, 3, 4)
        out = self.branch_main_2(out.reshape(n, c, h, w))
        if self.stride == 1:
            return F.relu(x + out)
        return torch.cat([F.avg_pool2d(x, 3, 2, 1), F.relu(out)], dim=1)


class AuthorsNet(nn.Module):
    """Takes BGR (N, 3, H, W) in 0..255, gives logits (N, classes)."""

    def __init__(self, groups: int, factor: float, classes: int = 7) -> None:
        super().__init__()
        width = STEMS[groups, factor]
        self.first_conv = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        units = []
        for stage, count in enumerate((4, 8, 4)):
            out = int(STAGE2[groups] * factor) * 2**stage
            for index in range(count):
                stride = 2 if index == 0 else 1
                units.append(AuthorsUnit(width, out, groups, stride, first=not units))
                width = out
        self.features = nn.Sequential(*units)
        self.classifier = nn.Sequential(nn.Linear(width, classes, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first_conv(x), 3, 2, 1)
        return self.classifier(self.features(x).mean((2, 3)))


def randomise(net: nn.Module, images: Tensor) -> None:
    """Random weights, and batch norms with the statistics of some images: no signal dies out."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = None
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    net.train()
    with torch.no_grad():
        net(images)
    net.eval()


def pictures(count: int = 4, size: int = 64) -> Tensor:
    """RGB bytes (N, 3, H, W): coarse random patches, not noise, which all look the same."""
    coarse = torch.randint(0, 256, (count, 3, 8, 8)).float()
    return F.interpolate(coarse, size=(size, size), mode='bilinear').round().to(torch.uint8)


def as_zcls(authors: dict[str, Tensor]) -> dict:
    """The authors' weights as ZCls publishes them.

    Its ``official_shufflenet_v1_to_zcls_shufflenet_v1.py`` goes through both networks in their
    order, as is done here.
    """
    layers = ['backbone.stem.0', 'backbone.stem.1']
    for stage, count in enumerate((4, 8, 4), start=1):
        for index in range(count):
            unit = f'backbone.stage{stage}.{index}'
            layers += [f'{unit}.{kind}{i}' for i in (1, 2, 3) for kind in ('conv', 'norm')]
    layers.append('head.fc')
    theirs = dict.fromkeys(name.rpartition('.')[0] for name in authors)
    names = dict(zip(theirs, layers, strict=True))
    renamed = {
        f'{names[name.rpartition(".")[0]]}.{name.rpartition(".")[2]}': tensor
        for name, tensor in authors.items()
    }
    return dict(model=renamed, epoch=1)
