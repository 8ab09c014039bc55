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
        _console.print_json(
            [asdict(code_entry) for code_entry in entries] if code is None else asdict(entries[0])
        )
    elif code is None:
        for code_entry in entries:
            click.echo(f"{code_entry.code}  {code_entry.title}")
    else:
        (code_entry,) = entries
        click.echo(
            "\n".join(
                [
                    f"{code_entry.code} {code_entry.title}",
                    *([code_entry.meaning] if code_entry.meaning else []),
                    f"do: {code_entry.remedy}",
                ]
            )
        )
