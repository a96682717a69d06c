"""Class names: complete, in order, and each one different."""

from __future__ import annotations

import subprocess
import sys

import pytest

from explorer.data import imagenet_labels, labels_for

CLEARER = {134: "crane (bird)", 517: "crane (machine)", 264: "Cardigan (dog)", 474: "cardigan (jacket)"}


def test_imagenet_labels_are_those_of_torchvision_except_for_four_made_clearer():
    from torchvision.models import ResNet50_Weights

    expected = list(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])
    for index, name in CLEARER.items():
        expected[index] = name
    assert list(imagenet_labels()) == expected


def test_the_words_that_were_made_clearer_are_the_ones_torchvision_has():
    from torchvision.models import ResNet50_Weights

    published = ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    words = [published[index].split()[0].lower() for index in CLEARER]
    assert words == ["crane", "crane", "cardigan", "cardigan"]


def test_no_two_imagenet_labels_are_equal_even_in_lower_case():
    assert len({name.lower() for name in imagenet_labels()}) == 1000


def test_a_thousand_classes_get_the_imagenet_names():
    assert labels_for(1000)[281] == "tabby"


def test_another_number_of_classes_gets_numbered_names():
    assert labels_for(3) == ("class 0", "class 1", "class 2")


def test_no_classes_have_no_names():
    assert labels_for(0) == ()


def test_a_negative_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="-1"):
        labels_for(-1)


def test_importing_the_data_room_and_its_labels_imports_no_torch():
    code = ("import sys, explorer.data as d; d.imagenet_labels(); d.sample_photos(); d.load_image; "
            "d.crop_box((9, 9), d.resolve_data_config({'img_size': 32})); "
            "print({'torch', 'torchvision', 'numpy'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
