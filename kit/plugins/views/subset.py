"""Some views of another set, by their numbers; a policy of kit tta chooses among them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from kit.errors import ConfigError
from kit.kinds import Views
from kit.plugins.views.plain import Plain


class Subset(Views):
    """The views of another set with these numbers, counted from 0 in ttach's order.

    Raises ConfigError C12 for a number that the set does not have.

    Source: the product of transforms that ttach.Compose makes of a set.
    """

    base: Views = Field(Plain(), description="views to choose from")
    view_indices: tuple[int, ...] = Field((0,), min_length=1, description="indices of the chosen views")

    def views(self) -> list[Any]:
        import ttach

        from kit.plugins.views._subset import SubsetView

        known = [transformer.augment_image for transformer in ttach.Compose(self.base.views())]
        wrong = [number for number in self.view_indices if not 0 <= number < len(known)]
        if wrong:
            name = self.base.plugin_name()
            raise ConfigError(
                f"views {name!r} have no number {wrong[0]}: they are 0 to {len(known) - 1}", code="C12"
            )
        return [SubsetView([known[number] for number in self.view_indices])]

    def sizes(self, size: int) -> list[int]:
        return self.base.sizes(size)

    def slug(self) -> str:
        return "-".join([self.base.slug(), *map(str, self.view_indices)])
