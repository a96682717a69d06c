"""What the catalog says of the families, as text that teachers read."""

from __future__ import annotations

from collections import Counter

import pytest

from explorer.models.catalog import FAMILIES

FAMILY_NAMES = sorted(FAMILIES)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_an_idea_is_told_in_two_to_four_whole_sentences(name):
    sentences = FAMILIES[name].sentences
    assert 2 <= len(sentences) <= 4, sentences
    assert " ".join(sentences) == FAMILIES[name].idea
    assert all(len(s) > 20 and s.endswith((".", "!", "?")) for s in sentences)
    assert "  " not in FAMILIES[name].idea and "\n" not in FAMILIES[name].idea


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_the_tagline_is_the_first_sentence_and_fits_a_line_or_two(name):
    family = FAMILIES[name]
    assert family.idea.startswith(family.tagline + " ") and len(family.tagline) <= 140


def test_no_two_families_share_a_sentence():
    counts = Counter(sentence for family in FAMILIES.values() for sentence in family.sentences)
    assert [sentence for sentence, count in counts.items() if count > 1] == []
