"""A name of before the renames: the message proposes the name of today."""

from __future__ import annotations

import pytest

from kit.core.renamed import OPTIONS, PLUGINS
from kit.errors import ConfigError, PluginError
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


@pytest.mark.parametrize(("kind", "old"), [(kind, old) for kind in PLUGINS for old in PLUGINS[kind]])
def test_a_plugin_of_before_is_refused_and_the_plugin_of_today_proposed(kind: str, old: str) -> None:
    with pytest.raises(PluginError, match=f"no {kind} named '{old}'; did you mean '{PLUGINS[kind][old]}'"):
        KINDS[kind].open(old)
