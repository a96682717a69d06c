"""The blocks of code in an introduction to timm that courses hand out, with `import explorer as timm`.

Downloads are answered from memory: tensors of the right names and shapes, so that `pretrained=True` takes its real way
except for the network. (Detection and segmentation models are not in explorer yet.)
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer as timm
from explorer.models import weights


@pytest.fixture
def published(monkeypatch):
    """Every published set of weights "arrives", with random numbers."""

    def fetch(config, cache_dir=None):
        generator = torch.Generator().manual_seed(0)
        with torch.device("meta"):
            shapes = timm.create_model(config.architecture, num_classes=config.num_classes).state_dict()
        state = {key: torch.randn(value.shape, generator=generator) * 0.02 if value.is_floating_point()
                 else torch.zeros(value.shape, dtype=value.dtype) for key, value in shapes.items()}
        state |= {key: value.abs() + 0.5 for key, value in state.items() if key.endswith("running_var")}
        return state, "a test"

    monkeypatch.setattr(weights, "fetch", fetch)


def test_pretrained_models_by_name(published):
    m = timm.create_model("vgg16", pretrained=True)
    m.eval()
    assert timm.create_model("efficientnet_b0", pretrained=True).load_report.loaded > 0


def test_lists_of_names():
    pretrained = timm.list_models(pretrained=True)
    for name in ("cspdarknet53", "densenet121", "densenet161", "densenet169", "densenet201", "densenetblur121d", "dla34",
                 "dla46_c"):
        assert any(full.startswith(f"{name}.") for full in pretrained), name
    assert timm.is_model("adv_inception_v3")
    assert {"cspresnet50", "cspresnet50d", "cspresnet50w", "cspresnext50"} <= set(timm.list_models("*resne*t*"))


def test_a_block_of_convolution_norm_and_activation_prints_as_shown():
    from explorer.models.layers import ConvBnAct

    block = ConvBnAct(in_channels=3, out_channels=64, kernel_size=3, stride=1, act_layer=nn.ReLU)
    text = repr(block)
    for line in ("ConvNormAct(", "(conv): Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)",
                 "(bn): BatchNormAct2d(", "(drop): Identity()", "(act): ReLU(inplace=True)"):
        assert line in text


def test_a_transformer_with_another_head():
    num_classes = 7

    class CustomModel(timm.models.VisionTransformer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.head = torch.nn.Linear(self.head.in_features, num_classes)

    model = CustomModel(img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, num_classes=100)
    with torch.no_grad():
        assert model.eval()(torch.randn(1, 3, 224, 224)).shape == (1, 7)


def test_a_training_step_on_another_number_of_classes(published):
    model = timm.create_model("resnet50", pretrained=True, num_classes=10)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    inputs, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 3, 9, 1])
    optimizer.zero_grad()
    loss = criterion(model(inputs), labels)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)


def test_features_of_the_last_but_one_layer(published):
    m = timm.create_model("resnet50", pretrained=True, num_classes=1000)
    with torch.no_grad():
        assert m.forward_features(torch.randn(2, 3, 224, 224)).shape == (2, 2048, 7, 7)
    m = timm.create_model("ese_vovnet19b_dw", pretrained=True)
    with torch.no_grad():
        assert m(torch.randn(2, 3, 224, 224)).shape == (2, 1000)
        m.reset_classifier(0)
        assert m(torch.randn(2, 3, 224, 224)).shape == (2, 1024)


def test_maps_of_every_stage(published):
    m = timm.create_model("resnest26d", features_only=True, pretrained=True)
    with torch.no_grad():
        o = m(torch.randn(2, 3, 224, 224))
    assert [tuple(x.shape) for x in o] == [
        (2, 64, 112, 112), (2, 256, 56, 56), (2, 512, 28, 28), (2, 1024, 14, 14), (2, 2048, 7, 7)]


def test_a_backbone_without_its_last_child(published):
    model = timm.create_model("resnet50", pretrained=True)
    model = torch.nn.Sequential(*list(model.children())[:-1])
    model.eval()
    with torch.no_grad():
        assert model(torch.randn(1, 3, 224, 224)).shape == (1, 2048)


def test_an_ensemble_of_two_and_a_stack_of_three(published):
    class ModelEnsemble(nn.Module):
        def __init__(self, models):
            super().__init__()
            self.models = nn.ModuleList(models)

        def forward(self, x):
            return torch.mean(torch.stack([model(x) for model in self.models]), dim=0)

    model1 = timm.create_model("resnet18", pretrained=True, num_classes=100)
    model2 = timm.create_model("vgg16", pretrained=True, num_classes=100)
    ensemble = ModelEnsemble([model1, model2])
    text = repr(ensemble)
    for line in ("(act1): ReLU(inplace=True)", "(global_pool): SelectAdaptivePool2d (pool_type=avg, "
                 "flatten=Flatten(start_dim=1, end_dim=-1))", "(fc): Linear(in_features=512, out_features=100, bias=True)",
                 "(pre_logits): ConvMlp(", "(fc1): Conv2d(512, 4096, kernel_size=(7, 7), stride=(1, 1))",
                 "(fc): Linear(in_features=4096, out_features=100, bias=True)", "(flatten): Identity()"):
        assert line in text, line
    with torch.no_grad():
        x = torch.randn(1, 3, 224, 224)
        assert ensemble(x).shape == (1, 100)
        models = [timm.create_model(name, pretrained=True) for name in ("resnet50", "efficientnet_b0", "densenet121")]
        fused = torch.cat([model.eval()(x) for model in models], dim=1)
        # the article's own `Linear(3, 1)` can't read 3 x 1000 logits: here it has the size that it needs
        assert nn.Linear(3 * 1000, 1)(fused).shape == (1, 1)
