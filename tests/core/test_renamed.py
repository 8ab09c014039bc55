"""A name of before the renames: the message proposes the name of today."""

from __future__ import annotations

import click
import pytest

from kit.commands._menu import menu, run
from kit.config.models import Experiment
from kit.config.overrides import apply_overrides
from kit.config.parsing import read_stored_experiment, validate_config
from kit.core.renamed import COMMAND_OPTIONS, COMMANDS, CONFIG_KEYS, CONFIG_VALUES, OPTIONS, PLUGINS
from kit.errors import CheckpointError, ConfigError, PluginError
from kit.kinds import KINDS, registry
from kit.kinds.plugin import Plugin


@pytest.mark.parametrize("place", OPTIONS, ids=":".join)
def test_an_option_of_before_is_refused_and_the_option_of_today_proposed(place: tuple[str, str]) -> None:
    kind, name = place
    options = registry.load_plugin_class(registry.find(kind, name), Plugin).option_fields()
    for old, new in OPTIONS[place].items():
        assert old not in options
        assert new in options
        with pytest.raises(ConfigError, match=f"has no option '{old}'; did you mean '{new}'"):
            KINDS[kind].open({"name": name, old: 1})


@pytest.mark.parametrize(("kind", "old"), [(kind, old) for kind in PLUGINS for old in PLUGINS[kind]])
def test_a_plugin_of_before_is_refused_and_the_plugin_of_today_proposed(kind: str, old: str) -> None:
    with pytest.raises(PluginError, match=f"no {kind} named '{old}'; did you mean '{PLUGINS[kind][old]}'"):
        KINDS[kind].open(old)


@pytest.mark.parametrize("path", COMMAND_OPTIONS)
def test_an_option_of_a_command_of_before_is_refused_and_the_option_of_today_proposed(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = path.split()[1:]
    command: click.Command | None = menu
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    options = {name for one in command.params for name in one.opts}
    for old, new in COMMAND_OPTIONS[path].items():
        assert f"--{old}" not in options
        assert f"--{new}".split()[0] in options
        assert run([*words, f"--{old}", "1"]) == 2
        assert f"no option '--{old}'; did you mean '--{new}'?" in capsys.readouterr().err


@pytest.mark.parametrize(("group", "old"), [(group, old) for group in COMMANDS for old in COMMANDS[group]])
def test_a_command_of_before_is_refused_and_the_command_of_today_proposed(
    group: str, old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*group.split()[1:], old]) == 2
    assert f"no command named '{old}'; did you mean '{COMMANDS[group][old]}'?" in capsys.readouterr().err
    assert run([*group.split()[1:], COMMANDS[group][old], "--help"]) == 0


KEYS = [(section, old) for section in CONFIG_KEYS for old in CONFIG_KEYS[section]]


@pytest.mark.parametrize(("section", "old"), KEYS)
def test_a_key_of_before_is_refused_and_the_key_of_today_proposed(section: str, old: str) -> None:
    said = f"did you mean '{CONFIG_KEYS[section][old]}'"
    with pytest.raises(ConfigError, match=said):
        validate_config({section: {old: 1}} if section else {old: 1})
    with pytest.raises(ConfigError, match=said):
        validate_config(apply_overrides({}, f"{section}.{old}=1" if section else f"{old}=1"))


@pytest.mark.parametrize(("key", "old"), [(key, old) for key in CONFIG_VALUES for old in CONFIG_VALUES[key]])
def test_a_value_of_before_is_refused_and_the_value_of_today_proposed(key: str, old: str) -> None:
    with pytest.raises(ConfigError, match=f"not '{old}'; did you mean '{CONFIG_VALUES[key][old]}'"):
        validate_config(apply_overrides({}, f"{key}={old}"))
    validate_config(apply_overrides({}, f"{key}={CONFIG_VALUES[key][old]}"))


@pytest.mark.parametrize("old", CONFIG_KEYS[""])
def test_a_key_of_before_in_the_config_of_a_run_is_never_ignored(old: str) -> None:
    stored = Experiment().model_dump(mode="json")
    assert read_stored_experiment(stored, "runs/r") == Experiment()
    with pytest.raises(CheckpointError, match=f"runs/r\n  {old}: .*did you mean '{CONFIG_KEYS[''][old]}'"):
        read_stored_experiment({**stored, old: 1}, "runs/r")
