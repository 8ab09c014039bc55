"""kit explain."""

from __future__ import annotations

from dataclasses import asdict

import click

from kit.commands import _console


@click.command()
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(code: str | None, as_json: bool) -> None:
    """Explain a message code and its fix, or list all codes.

    \b
    kit explain
    kit explain D03
    """
    from kit.core.error_codes import codes, explain

    entries = list(codes().values()) if code is None else [explain(code)]
    if as_json:
        _console.print_json([asdict(one) for one in entries] if code is None else asdict(entries[0]))
    elif code is None:
        for one in entries:
            click.echo(f"{one.code}  {one.title}")
    else:
        (one,) = entries
        click.echo(
            "\n".join(
                [f"{one.code} {one.title}", *([one.meaning] if one.meaning else []), f"do: {one.remedy}"]
            )
        )
