"""The blocks of code in an introduction to timm that courses hand out, with `import explorer as timm`.

Downloads are answered from memory: tensors of the right names and shapes, so that `pretrained=True` takes its
real way except for the network. The four names for boxes and masks never were timm's: there the blocks fail.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import explorer as timm
from explorer.data.datasets import cifar10
from explorer.data.samples import notebooks_dir
from explorer.models import trained, weights
from explorer.training.loop.augmentation import create_augmentation
from explorer.training.loop.order import batches_of, order_of
from tests import tiny_cifar10


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
        return weights.Checkpoint("a test", {"": state}), "a test"

    monkeypatch.setattr(trained, "fetch", fetch)


def test_pretrained_models_by_name(published):
    m = timm.create_model("vgg16", pretrained=True)
    m.eval()
    assert timm.create_model("efficientnet_b0", pretrained=True).load_report.loaded > 0


def test_models_for_boxes_and_masks_by_name(published):
    photo = timm.sample_photos()[0]
    model = timm.create_model('efficientdet_d0', pretrained=True)
    model.config = model.config.with_(input_size=(3, 128, 128))  # for the test's time
    assert model.load_report.loaded > 700 and timm.detect(model, photo).names[0] == "person"
    for name in ('deeplabv3_resnet50', 'pspnet_resnet50'):
        model = timm.create_model(name, pretrained=True)
        model.config = model.config.with_(input_size=(3, 64, 64))
        assert model.load_report.loaded > 300 and timm.segment(model, photo).mask.shape == (300, 451)
    assert "untrained" in str(model.load_report)  # nobody has published a PSPNet: its backbone's alone


def test_yolov5_by_name(published):
    # The published file is AGPL-3.0 and needs its own code to be opened, so the block, which asks for it, is
    # answered with a sentence that says what to do; the network itself is here.
    with pytest.raises(timm.WeightsError, match=r"AGPL-3\.0.*checkpoint_path"):
        timm.create_model('yolov5s', pretrained=True)
    assert sum(p.numel() for p in timm.create_model('yolov5s').parameters()) == 7_235_389


def test_lists_of_names():
    pretrained = timm.list_models(pretrained=True)
    for name in ("cspdarknet53", "densenet121", "densenet161", "densenet169", "densenet201",
                 "densenetblur121d", "dla34", "dla46_c"):
        assert any(full.startswith(f"{name}.") for full in pretrained), name
    assert timm.is_model("adv_inception_v3")
    found = timm.list_models("*resne*t*")
    assert {"cspresnet50", "cspresnet50d", "cspresnet50w", "cspresnext50"} <= set(found)


def test_a_block_of_convolution_norm_and_activation_prints_as_shown():
    from explorer.models.layers import ConvBnAct

    block = ConvBnAct(in_channels=3, out_channels=64, kernel_size=3, stride=1, act_layer=nn.ReLU)
    text = repr(block)
    for line in ("ConvNormAct(",
                 "(conv): Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)",
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
    pooling = "SelectAdaptivePool2d (pool_type=avg, flatten=Flatten(start_dim=1, end_dim=-1))"
    for line in ("(act1): ReLU(inplace=True)", f"(global_pool): {pooling}",
                 "(fc): Linear(in_features=512, out_features=100, bias=True)",
                 "(pre_logits): ConvMlp(", "(fc1): Conv2d(512, 4096, kernel_size=(7, 7), stride=(1, 1))",
                 "(fc): Linear(in_features=4096, out_features=100, bias=True)", "(flatten): Identity()"):
        assert line in text, line
    with torch.no_grad():
        x = torch.randn(1, 3, 224, 224)
        assert ensemble(x).shape == (1, 100)
        models = [timm.create_model(name, pretrained=True)
                  for name in ("resnet50", "efficientnet_b0", "densenet121")]
        fused = torch.cat([model.eval()(x) for model in models], dim=1)
        # the article's own `Linear(3, 1)` can't read 3 x 1000 logits: here it has the size that it needs
        assert nn.Linear(3 * 1000, 1)(fused).shape == (1, 1)


def test_the_articles_ensemble_in_one_line(published):
    """What its class does by hand, the mean of the logits; a mean of probabilities is the usual one."""
    model1 = timm.create_model("resnet18", pretrained=True, num_classes=100)
    model2 = timm.create_model("resnet34", pretrained=True, num_classes=100)
    ensemble = timm.Ensemble([model1, model2], combine="logits").eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(ensemble(x), (model1(x) + model2(x)) / 2, atol=1e-5)
        shares = timm.Ensemble([model1, model2]).eval()(x).softmax(1)
        assert torch.allclose(shares, (model1(x).softmax(1) + model2(x).softmax(1)) / 2, atol=1e-6)


def test_the_articles_stack_is_wrong_and_the_line_that_works(published):
    """Its `Linear(3, 1)` reads three numbers, and three rows of 1000 logits are 3000: torch refuses the size.

    Besides, a head that reads the logits of heads trained on other classes learns from what they threw away:
    `fuse_features` puts one new head on what the bodies saw. Nothing of it is trained until `finetune` is.
    """
    names = ("resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224")
    models = [timm.create_model(name, pretrained=True).eval() for name in names]
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        outputs = torch.cat([model(x) for model in models], dim=1)
        with pytest.raises(RuntimeError, match="1x3000 and 3x1"):
            nn.Linear(3, 1)(outputs)
        class FusionModel(nn.Module):
            def __init__(self, model1, model2, model3):
                super().__init__()
                self.model1, self.model2, self.model3 = model1, model2, model3
                self.fc = nn.Linear(3, 1)

            def forward(self, x):
                return self.fc(torch.cat([self.model1(x), self.model2(x), self.model3(x)], dim=1))

        line = r"explorer.fuse_features\(models, num_classes=n\) puts one new head, of the size that it needs"
        same = [timm.create_model("resnet10t").eval() for _ in range(3)]
        for three, why in ((models, "in different ways"), (same, "1x3000 and 3x1")):
            with pytest.raises(ValueError, match=f"(?s){why}.*{line}"):
                timm.wrap(FusionModel(*three), input_size=(3, 64, 64))
        fusion_model = timm.fuse_features(models, num_classes=1).eval()  # the line that works
        assert fusion_model(x).shape == (1, 1)
        with pytest.raises(ValueError, match="not one a member. explorer.fuse_features"):
            timm.Ensemble(models, combine="stacking")
        with pytest.raises(ValueError, match="has 10 classes, and resnet18.* has 1000"):
            timm.Ensemble([models[0], timm.create_model("mobilenetv3_small_050", num_classes=10)])


# --- training and testing: CIFAR-10, ResNet-50, Adam --------------------------------------------------------


def train_and_test(timm, root, *, num_epochs=10, batch_size=100, num_workers=2):
    """The article's script; what it prints is returned: the loss of each epoch, the accuracy in percent."""
    import torch.optim as optim
    import torchvision
    import torchvision.transforms as transforms

    transform = transforms.Compose([
        transforms.RandomHorizontalFlip(),
        transforms.RandomCrop(32, padding=4),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ])
    trainset = torchvision.datasets.CIFAR10(root=root, train=True, download=True, transform=transform)
    trainloader = torch.utils.data.DataLoader(trainset, batch_size=batch_size, shuffle=True,
                                              num_workers=num_workers)
    testset = torchvision.datasets.CIFAR10(root=root, train=False, download=True, transform=transform)
    testloader = torch.utils.data.DataLoader(testset, batch_size=batch_size, shuffle=False,
                                             num_workers=num_workers)

    model = timm.create_model('resnet50', pretrained=True, num_classes=10)

    criterion = torch.nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=0.001)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    model.to(device)
    losses = []
    for epoch in range(num_epochs):
        running_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            inputs, labels = data
            inputs, labels = inputs.to(device), labels.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        losses.append(running_loss / (i + 1))

    correct = 0
    total = 0
    model.eval()
    with torch.no_grad():
        for data in testloader:
            images, labels = data
            images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    return losses, 100 * correct / total


def test_the_lesson_shows_the_script_and_the_one_cell_and_both_run(published, tmp_path, monkeypatch, capsys):
    """As they are printed there, but for one epoch."""
    notebook = json.loads((notebooks_dir() / "lesson_06_cifar10.ipynb").read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    script, cell = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    tiny_cifar10.write(tmp_path / "data", monkeypatch)
    monkeypatch.chdir(tmp_path)

    exec(script.replace("range(10)", "range(1)").replace("num_workers=2", "num_workers=0"), {})
    assert re.search(r"Epoch 1, Loss: \d+\.\d+\nAccuracy on test set: \d+\.0%", capsys.readouterr().out)

    names = {"explorer": timm}
    exec(cell.replace("epochs=10", "epochs=1"), names)
    assert len(names["run"].history) == 1


def beginning(name):
    """Numbers for a network to begin with, none of them 0 or 1: those hide what they are multiplied with."""
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 1.0)
            nn.init.normal_(module.bias, std=0.1)
    return model.state_dict()


def test_the_script_gives_the_numbers_that_it_gives_with_timm(tmp_path, monkeypatch):
    other = pytest.importorskip("timm")
    tiny_cifar10.write(tmp_path, monkeypatch)
    begins = beginning("resnet50")

    def script(library):
        def create_model(name, pretrained, num_classes):
            model = library.create_model(name, num_classes=num_classes)
            model.load_state_dict(begins)
            torch.manual_seed(0)  # the photos' order and variants
            return model

        losses, accuracy = train_and_test(SimpleNamespace(create_model=create_model), tmp_path,
                                          num_epochs=2, batch_size=25, num_workers=0)
        return [*losses, accuracy]

    ours = script(timm)
    assert ours == pytest.approx(script(other), rel=1e-3)
    assert ours[0] != pytest.approx(ours[1], rel=0.01)  # it did learn in between


# The same in one cell, as the lesson shows it. `mean` and `std` of the article stand in the model's config,
# where explorer looks for them; with crop_pct=1 a photo of 32 x 32 is judged as it is.
ARTICLE = dict(train="all", optimizer="adam", lr=0.001, body_lr=0.001, schedule="constant", warmup=0.0)
HALVES = dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=1.0)


def test_finetune_takes_the_scripts_steps_on_the_same_photos_and_evaluate_counts_alike(tmp_path, monkeypatch):
    """In double precision: Adam divides by gradients, so in single precision two right programs drift apart.

    With a smaller ResNet: what is compared is the way of training.
    """
    from torchvision import transforms

    tiny_cifar10.write(tmp_path, monkeypatch)
    data, begins = cifar10(tmp_path), beginning("resnet18")
    batch_size = 25  # two steps: the second one shows whether the first was the same

    model = timm.create_model("resnet18", num_classes=10).double()
    model.load_state_dict(begins)
    model.config = model.config.with_(**HALVES, labels=data.classes)  # it keeps its classifier
    run = timm.finetune(model, data, epochs=1, batch_size=batch_size, augment="none", input_size=(3, 32, 32),
                        **ARTICLE)
    run.wait()
    ours = [batch.loss for batch in run.batches]

    normalize = transforms.Normalize(HALVES["mean"], HALVES["std"])
    prepare = transforms.Compose([transforms.ToTensor(), normalize])
    photos = torch.stack([prepare(photo) for photo, _ in data.train]).double()
    labels = torch.tensor(data.train.labels)
    model = timm.create_model("resnet18", num_classes=10).double()
    model.load_state_dict(begins)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    order = order_of(len(photos), 0, 0)
    for part in batches_of(len(photos), batch_size):
        chosen = order[part.start:part.stop]
        optimizer.zero_grad()
        loss = criterion(model(photos[chosen]).float(), labels[chosen])  # as explorer's loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert ours == pytest.approx(losses, rel=1e-5)

    judged = torch.stack([prepare(photo) for photo, _ in data.val]).double()
    with torch.no_grad():
        right = (run.model(judged).argmax(1) == torch.tensor(data.val.labels)).double().mean().item()
    assert timm.evaluate(run).top1 == right


def test_the_augmentation_called_cifar_is_the_scripts(tmp_path, monkeypatch):
    """Each variant is one of the 9 x 9 crops of the padded photo, mirrored or not, and they differ."""
    from torch.nn.functional import pad
    from torchvision.transforms.functional import pil_to_tensor

    tiny_cifar10.write(tmp_path, monkeypatch)
    photo, _ = cifar10(tmp_path).train[0]
    padded = pad(pil_to_tensor(photo), (4, 4, 4, 4))
    possible = {side[:, y:y + 32, x:x + 32].numpy().tobytes()
                for side in (padded, padded.flip(-1)) for y in range(9) for x in range(9)}
    config = HALVES | dict(input_size=(3, 32, 32), interpolation="bicubic", crop_mode="center")
    vary = create_augmentation("cifar", config)
    torch.manual_seed(0)
    found = {((vary(photo) + 1) * 127.5).round().byte().numpy().tobytes() for _ in range(300)}
    assert len(possible) == 162 and found <= possible
    assert len(found) > 100  # each of the 162 is as likely: of 300 draws about 137 differ
