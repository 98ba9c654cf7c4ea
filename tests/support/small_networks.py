"""Small networks of an image's features and a head, what trains them, and two tasks on one."""

from collections import OrderedDict

import torch
from torch import nn

from colora import CoLoRAConfig, adapt, add_adapter

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def with_transposed() -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 16, 2, bias=False), nn.ReLU()
    )
    return nn.Sequential(OrderedDict(features=features, head=nn.Sequential(nn.Flatten(), nn.Linear(16 * 81, 3))))


def train_steps(model, steps=3):
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    x = torch.randn(4, 3, 8, 8)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()


def with_batch_norm(classes: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, classes))
    return nn.Sequential(OrderedDict(features=features, head=head))


def outputs(model):
    with torch.no_grad():
        return model.eval()(X)


def two_tasks():
    model = adapt(with_batch_norm())
    add_adapter(model, "b", CoLoRAConfig("separable", 2, targets="features.0"), seed=1)
    return model
