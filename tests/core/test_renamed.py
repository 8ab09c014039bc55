"""A name of before the renames: the message proposes the name of today."""

from __future__ import annotations

import pytest

from kit.core.renamed import OPTIONS
from kit.errors import ConfigError
from kit.kinds import KINDS, registry
from kit.kinds.plugin import Plugin


@pytest.mark.parametrize("place", OPTIONS, ids=":".join)
def test_an_option_of_before_is_refused_and_the_option_of_today_proposed(place: tuple[str, str]) -> None:
    kind, name = place
    options = registry.load_plugin_class(registry.find(kind, name), Plugin).options()
    for old, new in OPTIONS[place].items():
        assert old not in options
        assert new in options
        with pytest.raises(ConfigError, match=f"has no option '{old}'; did you mean '{new}'"):
            KINDS[kind].open({"name": name, old: 1})
