"""Principal components are held against scikit-learn's; the colours against what they must mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import explorer
from explorer.inspection.inside.components import pca_rgb, pca_rgb_many
from explorer.inspection.look.looking import look
from tests.html import parse
from tests.models.oracle import randomise


def random_maps(channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Maps whose channels have unlike spreads, so that the components are distinct; their mean is far from
    zero.
    """
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(3, 0.1, channels)[:, None, None] ** 2
    return torch.randn(channels, height, width, generator=generator) * spread + 5


@pytest.fixture(scope="module")
def seen(photo):
    model = explorer.create_model("vit_tiny_patch16_224", depth=2, num_classes=5)
    randomise(model)
    return look(model.eval(), photo)


@pytest.mark.parametrize(
    "shape", [(6, 9, 7), (40, 4, 5)], ids=["more places than channels", "more channels than places"]
)
def test_components_scores_and_shares_equal_scikit_learns(shape):
    maps = random_maps(*shape)
    ours = pca_rgb(maps)
    rows = maps.flatten(1).T.double().numpy()
    theirs = PCA(3, svd_solver="full").fit(rows)
    signs = np.sign((ours.components * theirs.components_).sum(1))
    assert np.abs(ours.components - signs[:, None] * theirs.components_).max() < 1e-5
    assert ours.explained == pytest.approx(theirs.explained_variance_ratio_, rel=1e-6)
    scores = (theirs.transform(rows) * signs).T.reshape(3, *shape[1:])
    assert np.abs(ours.scores - scores).max() < 1e-4 * np.abs(scores).max()
    assert ours.mean == pytest.approx(theirs.mean_, rel=1e-5)


def test_the_largest_entry_of_each_component_is_positive_whatever_the_maps_sign():
    maps = random_maps(6, 8, 8)
    for ours in (pca_rgb(maps), pca_rgb(-maps)):
        assert (ours.components[range(3), np.abs(ours.components).argmax(1)] > 0).all()
    assert np.abs(pca_rgb(maps).components - pca_rgb(-maps).components).max() < 1e-6


def test_each_colour_runs_from_its_1st_to_its_99th_percentile():
    ours = pca_rgb(random_maps(8, 20, 20))
    colours = np.asarray(ours.picture, float) / 255
    for i, scores in enumerate(ours.scores):
        low, high = np.percentile(scores, (1, 99))
        assert np.abs(colours[..., i] - ((scores - low) / (high - low)).clip(0, 1)).max() < 0.003


def test_parts_that_are_alike_get_one_colour_each():
    maps = torch.zeros(5, 6, 8)
    maps[0, :3], maps[1, 3:, :4], maps[2, 3:, 4:] = 2, 3, 5
    colours = np.asarray(pca_rgb(maps).picture)
    parts = [colours[:3], colours[3:, :4], colours[3:, 4:]]
    assert all(len(np.unique(part.reshape(-1, 3), axis=0)) == 1 for part in parts)
    assert len({tuple(part[0, 0]) for part in parts}) == 3


def test_several_photos_share_components_and_scale():
    first, second = random_maps(6, 5, 7), random_maps(6, 4, 4, seed=1) + 1
    both = pca_rgb_many([first, second])
    rows = torch.cat([one.flatten(1).T for one in (first, second)]).double().numpy()
    theirs = PCA(3, svd_solver="full").fit(rows)
    assert both[0].explained == both[1].explained == pytest.approx(theirs.explained_variance_ratio_)
    assert (both[0].components == both[1].components).all() and both[0].photos == 2
    assert [one.picture.size for one in both] == [(7, 5), (4, 4)]
    # the same vector has the same colour, in whichever photo it is
    second[:, 0, 0] = first[:, 0, 0]
    one, other = pca_rgb_many([first, second])
    assert one.picture.getpixel((0, 0)) == other.picture.getpixel((0, 0))


def test_a_look_gives_its_stage_and_by_default_its_last(seen):
    first, *_, last = seen.stages
    assert pca_rgb(seen).stage == last and pca_rgb(seen).model_name == seen.model_name
    named = pca_rgb(seen, first)
    assert named.stage == first and np.array_equal(named.scores, pca_rgb(seen.stages[first]).scores)
    assert named.enlarged(224).size == (224, 224) and named.picture.size == (14, 14)


def test_a_stage_of_one_place_is_passed_over_by_default(photo):
    model = explorer.wrap(
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, 2, 1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Conv2d(4, 3, 1),
            torch.nn.Flatten(),
        ),
        input_size=(3, 16, 16),
    ).eval()
    looked = look(model, photo)
    assert looked.stages[pca_rgb(looked).stage][0].numel() > 1


def test_places_that_are_not_finite_are_magenta_and_left_out():
    maps = random_maps(5, 6, 6)
    broken = maps.clone()
    broken[2, 1, 3] = torch.nan
    ours = pca_rgb(broken)
    rows = np.delete(maps.flatten(1).T.numpy(), 1 * 6 + 3, axis=0)
    assert ours.explained == pytest.approx(
        PCA(3, svd_solver="full").fit(rows).explained_variance_ratio_, rel=1e-4
    )
    assert ours.picture.getpixel((3, 1)) == (255, 0, 255)
    with pytest.raises(ValueError, match="No place"):
        pca_rgb(maps * torch.nan)


def test_components_that_do_not_exist_are_grey():
    flat = pca_rgb(torch.ones(4, 3, 3))
    assert flat.explained == (0, 0, 0) and np.unique(np.asarray(flat.picture)).tolist() == [128]
    two_channels = pca_rgb(random_maps(2, 5, 5))
    assert two_channels.explained[2] == 0 and sum(two_channels.explained) == pytest.approx(1)
    assert np.unique(np.asarray(two_channels.picture)[..., 2]).tolist() == [128]


def test_huge_and_tiny_values_make_the_same_picture():
    maps = random_maps(6, 8, 8) - 5
    pictures = [np.asarray(pca_rgb(maps * factor).picture, int) for factor in (1, 1e30, 1e-30)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1 and np.abs(pictures[0] - pictures[2]).max() <= 1


@pytest.mark.parametrize("given, words", [
    (torch.zeros(2, 3, 4, 4), "shape \\[2, 3, 4, 4\\]"), ("vit", "got str"),
    (torch.zeros(8, 1, 1), "single place"),
    (np.array([[["a"]]]), "real numbers"),
])
def test_what_is_no_map_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        pca_rgb(given)


def test_what_does_not_belong_together_is_refused(seen):
    with pytest.raises(ValueError, match="no stage 'stage9'. Its stages"):
        pca_rgb(seen, "stage9")
    with pytest.raises(ValueError, match="the same number"):
        pca_rgb_many([random_maps(3, 4, 4), random_maps(4, 4, 4)])
    with pytest.raises(ValueError, match="different models or stages"):
        pca_rgb_many([seen, random_maps(192, 4, 4)])
    with pytest.raises(ValueError, match="nothing to draw"):
        pca_rgb_many([])


def test_pictures_show_themselves(seen):
    together = pca_rgb_many([seen, seen])
    assert "of 2 photos together" in repr(together)
    assert len(parse(together._repr_html_()).find_all("img")) == 2
    assert "% of the variance" in parse(pca_rgb(seen)._repr_html_()).find("figcaption").text
