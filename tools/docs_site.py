"""The hook of `make docs`: adds the generated pages to mkdocs and rewrites links that leave docs/.

GitHub shows the same files, so links are written for GitHub. A link to a file outside docs/ leads to a copy of the file
in the site: `../kit/errors.py` becomes `project/kit/errors.py.md`. Nothing generated is written into the repository.
"""

from __future__ import annotations

import ast
import inspect
import json
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PROJECT = "project"
PROJECT_PAGES = ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
API = ("kit", "kit.kinds", "kit.errors")
NOTEBOOKS = ("quickstart", "finetune", "code_competition")  # in the order of the navigation
LANGUAGES = {
    ".py": "python",
    ".json": "json",
    ".cfg": "ini",
    ".toml": "toml",
    ".yml": "yaml",
    ".html": "html",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=(?:\s+\"[^\"]*\")?\))")
SOURCES = tempfile.TemporaryDirectory(prefix="kit-docs-")
SHELL = "%%bash\n"  # the first line of a notebook's cell of commands
BLOCK = "\b\n"  # click's mark of a paragraph whose lines stay as they are
OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def split_code(markdown: str) -> list[str]:
    """The text of a page in pieces: text at even places, fenced blocks and inline code at odd places."""
    return re.split(r"(^ *```.*?^ *```|`[^`\n]+`)", markdown, flags=re.DOTALL | re.MULTILINE)


def linked_files(markdown: str, page: str) -> Iterator[str]:
    """The files that a page links to, as paths below the repository's root; `page` is the page's own path."""
    for text in split_code(markdown)[::2]:
        for link in LINK.finditer(text):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(page), link[1]))


def page_of(path: str) -> str:
    """The site's page for a file of the repository: docs/x.md is x.md, others stand below project/."""
    if path == "docs":
        return "index.md"
    if path.startswith("docs/"):
        inner = path.removeprefix("docs/")
        return inner.removesuffix(".ipynb") + ".md" if inner.endswith(".ipynb") else inner
    return f"{PROJECT}/{path}" if path.endswith(".md") else f"{PROJECT}/{path}.md"


def rewrite_links(markdown: str, page: str) -> str:
    """A page's Markdown with links between pages of the site; `page` is the page's path in the repository."""
    here = posixpath.dirname(page_of(page))

    def rewrite(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link[1]))
        if not (ROOT / path).exists() or path.startswith(".."):
            return link[0]  # mkdocs names the link, and the build fails
        return posixpath.relpath(page_of(path), here or ".") + (link[2] or "")

    pieces = split_code(markdown)
    pieces[::2] = [LINK.sub(rewrite, text) for text in pieces[::2]]
    return "".join(pieces)


def outside_pages() -> dict[str, str]:
    """Page of the site -> file of the repository, for all files outside docs/ that the pages lead to."""
    pages = {page_of(name): name for name in PROJECT_PAGES if (ROOT / name).is_file()}
    waiting = [*pages.values(), *(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md"))]
    while waiting:
        page = waiting.pop()
        for path in linked_files((ROOT / page).read_text(encoding="utf-8"), page):
            is_outside = not (path == "docs" or path.startswith(("docs/", "..")))
            if is_outside and (ROOT / path).exists() and page_of(path) not in pages:
                pages[page_of(path)] = path
                if path.endswith(".md"):
                    waiting.append(path)
    return pages


def show_file(path: str) -> str:
    """A page for a file outside docs/: Markdown as it is, a folder as a list, another file as code."""
    file = ROOT / path
    if path.endswith(".md"):
        return file.read_text(encoding="utf-8")
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    if file.is_dir():
        names = sorted(
            str(each.relative_to(file))
            for each in file.rglob("*")
            if each.suffix in LANGUAGES and each.is_file()
        )
        return head + "".join(f"- `{name}`\n" for name in names)
    return f"{head}``````{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text(encoding='utf-8')}\n``````\n"


def escape(text: str) -> str:
    """Plain text as Markdown; what stands in backquotes stays code."""
    pieces = re.split(r"(`[^`]+`)", text)
    pieces[::2] = [re.sub(r"([\\*_<>\[\]|~])", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def describe_command(command: click.Command, name: str, level: int = 1) -> str:
    """The Markdown of a command's --help, and of its subcommands below it."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    prose, examples = [], []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc((command.help or "").split("\f")[0])):
        if paragraph.startswith("\b"):
            examples.append(f"```text\n{paragraph.removeprefix(BLOCK)}\n```")
        else:
            prose.append(escape(" ".join(paragraph.split())))
    parts = [f"{'#' * level} {name}", *prose[:1], f"```text\n{usage}\n```", *prose[1:], *examples]
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    parts += [
        f"`{names}`\n:   {escape(' '.join(text.split()))}"
        for names, text in records
        if text and not names.endswith("--help")
    ]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            child = command.get_command(context, sub)
            if child is not None and not child.hidden:
                parts.append(describe_command(child, f"{name} {sub}", level + 1))
    return "\n\n".join(parts) + "\n"


def command_pages() -> dict[str, str]:
    """Page -> Markdown for each command of kit, in the order of `kit --help`."""
    from kit.commands._menu import menu

    context = click.Context(menu, info_name="kit")
    pages = {}
    for name in menu.list_commands(context):
        command = menu.get_command(context, name)
        if command is not None and not command.hidden:
            pages[f"commands/{name}.md"] = describe_command(command, f"kit {name}")
    return pages


def show_notebook(path: str) -> str:
    """The Markdown of a notebook's cells without outputs, and a link to the file; links lead to pages of the site."""
    cells = json.loads((ROOT / path).read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(rewrite_links(source, path))
        else:
            language = "sh" if source.startswith(SHELL) else "python"
            parts.append(f"```{language}\n{source.removeprefix(SHELL)}\n```")
    parts.insert(1, f"[Download this notebook]({posixpath.basename(path)})")
    return "\n\n".join(parts) + "\n"


def notebook_pages() -> dict[str, str]:
    """Page -> Markdown for each notebook of docs/."""
    paths = [f"docs/notebooks/{name}.ipynb" for name in NOTEBOOKS]
    return {page_of(path): show_notebook(path) for path in paths}


def public_names(module: str) -> Mapping[str, str]:
    """Public name of a module -> where it is defined, read from the source without an import."""
    folder = ROOT.joinpath(*module.split("."))
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(x, ast.Name) and x.id == "__all__" for x in node.targets)
    ]
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    names = [name for name in (listed[0] if listed else defined) if not name.startswith("_")]
    return {name: imported.get(name, f"{module}.{name}") for name in names}


def find_helpers() -> list[str]:
    """The names of docs/public.md that are in none of the modules with an own page."""
    listed = re.findall(
        r"^\| `(kit(?:\.\w+)+)`", (ROOT / "docs" / "public.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    return [name for name in listed if name.rpartition(".")[0] not in API]


def api_pages() -> dict[str, str]:
    """Page -> Markdown for each public module: a section per name, or a link if another page has the name."""
    pages = {}
    for module in API:
        parts = [f"# {module}", f"The public names of `{module}`, from their docstrings."]
        for name, qualified in public_names(module).items():
            home = qualified.rpartition(".")[0]
            if home != module and home in API:
                # the section of the other page is named for the module that defines the name
                anchor = public_names(home)[qualified.rpartition(".")[2]]
                parts.append(f"[`{name}`]({home}.md#{anchor}) is in `{home}`.")
            else:
                parts.append(f"::: {qualified}")
        pages[f"api/{module}.md"] = "\n\n".join(parts) + "\n"
    helpers = ["# Helpers for plugins", "The other public names, from their docstrings."]
    pages["api/helpers.md"] = (
        "\n\n".join([*helpers, *(f"::: {qualified}" for qualified in find_helpers())]) + "\n"
    )
    return pages


def expand(nav: list[Any], folders: Mapping[str, list[str]]) -> list[Any]:
    """The navigation with each `folder/` replaced by its pages; an empty folder is left out."""
    expanded: list[Any] = []
    for entry in nav:
        (title, value), *_ = entry.items()
        if isinstance(value, list):
            expanded.append({title: expand(value, folders)})
        elif not value.endswith("/"):
            expanded.append(entry)
        elif folders.get(value):
            expanded.append({title: [*folders[value]]})
    return expanded


def copy_sources(folder: Path) -> None:
    """Copies kit's source and adds missing __init__.py files, since mkdocstrings skips folders without one."""
    shutil.copytree(ROOT / "kit", folder / "kit", ignore=shutil.ignore_patterns("__pycache__"))
    for inner in (folder / "kit").rglob("*/"):
        (inner / "__init__.py").touch()


def on_config(config: MkDocsConfig) -> None:
    """Fills the folders of the navigation, and gives mkdocstrings the source to read."""
    copy_sources(Path(SOURCES.name))
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [SOURCES.name]
    folders = {
        f"{folder.name}/": [
            f"{folder.name}/{file.name}"
            # a README is the page of its folder, so it comes first
            for file in sorted(folder.glob("*.md"), key=lambda file: (file.name != "README.md", file.name))
        ]
        for folder in Path(config.docs_dir).iterdir()
        if folder.is_dir()
    }
    folders |= {
        "commands/": [*command_pages()],
        "api/": [*api_pages()],
        "notebooks/": [*notebook_pages()],
    }
    config.nav = expand(config.nav or [], folders)


# before mkdocstrings reads its own options
on_config.mkdocs_priority = 100  # type: ignore[attr-defined]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the generated pages."""
    from mkdocs.structure.files import File, InclusionLevel

    for page, markdown in (command_pages() | api_pages() | notebook_pages()).items():
        files.append(File.generated(config, page, content=markdown))
    style = (ROOT / "tools" / "docs_site.css").read_text(encoding="utf-8")
    files.append(File.generated(config, "assets/kit.css", content=style))
    for page, path in outside_pages().items():
        level = InclusionLevel.INCLUDED if path in PROJECT_PAGES else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page, content=show_file(path), inclusion=level))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links of pages that are written for GitHub."""
    uri = page.file.src_uri
    if uri.startswith(("commands/", "api/", "notebooks/")):
        return markdown
    return rewrite_links(markdown, outside_pages().get(uri, f"docs/{uri}"))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Refuses a page that would load anything from another host."""
    from mkdocs.exceptions import PluginError

    if match := OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {match[0]}")
