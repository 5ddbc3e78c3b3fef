"""The demo model with one weight tensor changed, for `python:tests.model.nudged:FACTORY`."""

from __future__ import annotations

from pytest_llminvariance import Model, load_model
from pytest_llminvariance.models.local.transformers import TransformersModel


def with_noise(share: float) -> Model:
    """Return the demo model with noise of `share` standard deviations on one projection of 210."""
    import torch

    model = load_model("demo")
    assert isinstance(model, TransformersModel)
    weight = model._network.model.layers[15].mlp.down_proj.weight
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight.add_(torch.randn(weight.shape, generator=generator) * weight.std() * share)
    return model


def slightly() -> Model:
    return with_noise(0.05)
