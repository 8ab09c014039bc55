"""Contract tests of every plugin of any kind."""

from __future__ import annotations

import json
import pickle
import re
import sys

from kit.kinds import KINDS
from kit.kinds.plugin import Plugin
from kit.kinds.registry import location_of


def law_written_down_and_read_back_it_is_equal(plugin: Plugin) -> None:
    """Its JSON gives back an equal plugin with an equal hash, nested options included."""
    text = json.dumps(plugin.spec(), allow_nan=False)
    again = KINDS[plugin.kind].open(json.loads(text), location_of(type(plugin)).root)
    assert again == plugin, f"{text} is read back as {json.dumps(again.spec())}"
    assert hash(again) == hash(plugin), f"{text} has another hash when read back"


def law_it_pickles(plugin: Plugin) -> None:
    """Its pickle, which worker processes receive, gives back an equal plugin."""
    again = pickle.loads(pickle.dumps(plugin))
    assert again == plugin, f"{plugin!r} is read back as {again!r}"


def law_its_docstring_names_its_source(plugin: Plugin) -> None:
    """The docstring of its class or module contains `Source: ...` with the paper, equation or library."""
    texts = (type(plugin).__doc__ or "", sys.modules[type(plugin).__module__].__doc__ or "")
    has_source = any(re.search(r"\bSource: \S", text) for text in texts)
    assert has_source, "neither the docstring of its class nor its module's says `Source: ...`"


def law_its_options_are_described(plugin: Plugin) -> None:
    """Every option has a description."""
    bare = [name for name, field in plugin.option_fields().items() if not field.description]
    assert not bare, f"no description in Field: {', '.join(bare)}"
