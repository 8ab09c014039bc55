"""Views: distinct ones, the right number of them, merged as ttach and numpy would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import ttach
from torch.nn import functional

from kit.errors import ConfigError
from kit.kinds import Views
from kit.model.predict import open_views, unique_views


@pytest.mark.parametrize(
    ("name", "count"), [("plain", 1), ("hflip", 2), ("flip", 4), ("d4", 8), ("shift", 5), ("scale", 2)]
)
def test_each_set_has_its_number_of_distinct_views(name: str, count: int) -> None:
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    shown = [view(image) for view in open_views(Views.open(name), 12)]
    assert len(shown) == count
    assert not any(torch.equal(a, b) for i, a in enumerate(shown) for b in shown[:i])


@pytest.mark.parametrize(
    ("name", "alias"), [("hflip", "hflip_transform"), ("flip", "flip_transform"), ("d4", "d4_transform")]
)
def test_they_are_ttachs_own(name: str, alias: str) -> None:
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    ours = [view(image) for view in open_views(Views.open(name), 12)]
    theirs = [each.augment_image(image) for each in getattr(ttach.aliases, alias)()]
    assert len(ours) == len(theirs)
    assert all(any(torch.equal(a, b) for b in theirs) for a in ours)


def test_duplicates_are_left_out() -> None:
    class Twice(Views):
        def views(self) -> list[object]:
            return [ttach.HorizontalFlip(), ttach.VerticalFlip(), ttach.Rotate90(angles=[0, 180])]

    assert len(open_views(Twice(), 12)) == 4


def test_a_shift_repeats_the_border() -> None:
    image = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 3, 5, 5)
    shown = [
        view(image)[0, 0, 0].tolist() for view in open_views(Views.open({"name": "shift", "pixels": 2}), 5)
    ]
    assert [0.0, 0.0, 0.0, 1.0, 2.0] in shown
    assert [2.0, 3.0, 4.0, 4.0, 4.0] in shown


def test_a_network_of_fixed_input_refuses_views_of_another_size() -> None:
    class Larger(Views):
        def views(self) -> list[object]:
            return [ttach.Scale([1, 2])]

        @classmethod
        def plugin_name(cls) -> str:
            return "larger"

    with pytest.raises(
        ConfigError, match="C12 views 'larger' return 24x24 px, but the network accepts only 12 px"
    ):
        open_views(Larger(), 12, fixed=12)
    assert np.unique(
        [view(torch.zeros(1, 3, 12, 12)).shape[2] for view in open_views(Larger(), 12)]
    ).tolist() == [12, 24]


def test_a_scaled_view_is_torchs_antialiased_resize_and_keeps_the_type() -> None:
    images = torch.randint(
        0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    plain, half, large = (
        view(images) for view in open_views(Views.open({"name": "scale", "factors": [1, 0.5, 1.25]}), 12)
    )
    assert torch.equal(plain, images)
    assert (half.shape[2:], large.shape[2:]) == ((6, 6), (15, 15))
    expected = functional.interpolate(images.float(), (6, 6), mode="bilinear", antialias=True)
    assert half.dtype == torch.uint8
    assert (half.float() - expected).abs().max() <= 0.5
    with pytest.raises(ConfigError, match="factors begin with 1"):
        Views.open({"name": "scale", "factors": [0.5, 1]})
    with pytest.raises(ConfigError, match="C12 views 'scale' return 15x15 px"):
        open_views(Views.open("scale"), 12, fixed=12)


def test_picked_views_are_those_of_the_set_with_these_numbers() -> None:
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    whole = open_views(Views.open("d4"), 12)
    picked = open_views(Views.open({"name": "subset", "base": "d4", "view_indices": [5, 2]}), 12)
    assert [torch.equal(one(image), whole[n](image)) for one, n in zip(picked, (5, 2), strict=True)] == [
        True,
        True,
    ]
    with pytest.raises(ConfigError, match="C12 views 'hflip' have no number 2: they are 0 to 1"):
        open_views(Views.open({"name": "subset", "base": "hflip", "view_indices": [2]}), 12)


def test_views_say_in_words_what_they_do_and_their_folder_is_their_own() -> None:
    assert unique_views(Views.open("hflip")) == {0: "plain", 1: "horizontalflip"}
    assert unique_views(Views.open("d4"))[7] == "horizontalflip, rotate90 270"
    assert Views.open({"name": "subset", "base": "d4", "view_indices": [3, 4]}).slug() == "d4-3-4"
    assert Views.open("scale").slug() == "scale"
    names = {Views.open({"name": "shift", "pixels": pixels}).slug() for pixels in (1, 2, 3)}
    assert len(names) == 3
    assert "shift" in names
