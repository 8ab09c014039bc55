"""Contract tests of views."""

from __future__ import annotations

from kit.kinds import Views

SIDE = 24


def law_views_keep_a_batch_and_its_size(views: Views) -> None:
    """Every view of (N, 3, H, W) has N images, of a side that `sizes` lists."""
    import torch

    from kit.model.predict import open_views

    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for number, view in enumerate(open_views(views, SIDE)):
        shape = tuple(view(images).shape)
        assert shape[:2] == (2, 3), f"view {number} gives {shape}"
        assert shape[2] in views.sizes(SIDE), (
            f"view {number} gives {shape[2]} px, sizes says {views.sizes(SIDE)}"
        )


def law_the_first_view_is_the_image(views: Views) -> None:
    """The first view is the unchanged image."""
    import torch

    from kit.model.predict import open_views

    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(open_views(views, SIDE)[0](images), images), "the first view differs from the image"


def law_uint8_images_are_taken(views: Views) -> None:
    """Views work on uint8 batches."""
    import torch

    from kit.model.predict import open_views

    images = torch.randint(
        0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for number, view in enumerate(open_views(views, SIDE)):
        assert view(images).dtype == torch.uint8, f"view {number} gives {view(images).dtype}"
