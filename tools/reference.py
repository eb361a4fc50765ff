"""The schemas and the command line -> docs/reference/*.md, so that they always agree.

python tools/reference.py            writes the pages (`make fix` does the same)
python tools/reference.py --check    lists the pages that are not current, exit code 1 (`make check`)
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
SCHEMAS = ROOT / "schema"
NOTE = "<!-- Made by tools/reference.py: change the schema or the command line, then run `make fix`. -->"
WIDTH = 100
Schema = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "commands.md": commands(),
        "spec.md": spec(),
        "plan.md": document("plan", "What `plan --format json` and `plan --out` write."),
        "report.md": document("report", "What `apply --format json` and `apply --out` write."),
        "status.md": document("status", "") + states() + columns(),
        "doctor.md": document("diagnosis", "The output of `doctor --format json`.", schema="doctor"),
        "doctor-probe.md": document(
            "probe", "The output of `doctor --probe PATH --format json`.", schema="doctor-probe"
        ),
    }


def commands() -> str:
    """Return the page with the help of the program and of each command."""
    import click

    from ssm_reconcile.cli import PROGRAM, root

    def helped(context: click.Context) -> str:
        lines = context.get_help().splitlines()
        return "```text\n" + "\n".join(line.rstrip() for line in lines) + "\n```"

    def help_of(group: click.Group, context: click.Context, level: str) -> Iterator[str]:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, f"{name} is listed but does not exist"
            below = opened(command, name, context)
            yield f"{level} {' '.join(below.command_path.split()[1:])}"
            yield helped(below)
            if isinstance(command, click.Group):
                yield from help_of(command, below, level + "#")

    top = opened(root, PROGRAM)
    parts = ["# The command line", NOTE, helped(top), *help_of(root, top, "##")]
    return "\n\n".join(parts) + "\n"


def opened(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """Return the context of a command with its settings, as the program opens it.

    Without the settings a page would depend on the commands that ran before in this process: click keeps
    the first help option, and the settings add `-h` to it.
    """
    settings = command.context_settings
    return command.context_class(command, info_name=name, parent=parent, terminal_width=WIDTH, **settings)


def spec() -> str:
    """Return the page with all keys of a spec."""
    schema = read("replication")
    parts = [
        "# The spec",
        NOTE,
        schema["description"],
        "Required at the top: " + listed(schema["required"]) + ".",
    ]
    for name, key in schema["properties"].items():
        parts += [f"## `{name}`", key["description"], *facts(key)]
        rows = list(below(key, name))
        if rows:
            parts.append("\n".join(["| key | what | default | example |", "|---|---|---|---|", *rows]))
    free = next(iter(schema["patternProperties"].values()))
    parts += ["## `x-*`", free["description"]]
    return "\n\n".join(parts) + "\n"


def facts(key: Schema) -> list[str]:
    """Return type, default and example of a key in one line."""
    text = [f"Type: {kind(key)}."]
    if "default" in key:
        text.append(f"Default: {code(key['default'])}.")
    if key.get("examples"):
        text.append(f"Example: {code(key['examples'][0])}.")
    return [" ".join(text)]


def below(key: Schema, path: str) -> Iterator[str]:
    """Yield a row for each key inside another key, at any depth."""
    if isinstance(key.get("items"), Mapping) and key["items"].get("type") == "object":
        yield from below(key["items"], path + "[]")
    required = set(key.get("required", ()))
    for name, one in (key.get("properties") or {}).items():
        text = one["description"] + (" **Required.**" if name in required else "")
        default = code(one["default"]) if "default" in one else ""
        example = code(one["examples"][0]) if one.get("examples") else ""
        yield f"| `{path}.{name}` | {cell(text)} | {cell(default)} | {cell(example)} |"
        yield from below(one, f"{path}.{name}")


def kind(key: Schema) -> str:
    """Return the type of a value in words."""
    if "const" in key:
        return f"the number {key['const']}"
    if "enum" in key:
        return "one of " + listed(key["enum"])
    inner = key.get("items", {})
    words = {"array": f"list of {inner.get('type', 'value')}s", "object": "mapping", None: "see its parts"}
    word = key.get("type")
    return words.get(word, str(word))


def document(name: str, lead: str, *, schema: str = "") -> str:
    """Return the page with the keys of a document. `schema`: the name of its schema if it differs."""
    rules = read(schema or name)
    parts = [f"# The {name}", NOTE, lead, rules.get("description", "")]
    parts.append("Readers ignore keys that they do not know, and refuse another major `format_version`.")
    parts.append("\n".join(["| key | what |", "|---|---|", *members(rules, rules, "")]))
    return "\n\n".join(filter(None, parts)) + "\n"


def states() -> str:
    """Return the table of the states of a replica."""
    from ssm_reconcile.documents.status import REPLICA_STATES

    rows = [f"| `{state}` | {cell(meaning)} |" for state, meaning in REPLICA_STATES.items()]
    return "\n".join(["", "## States", "", "| state | meaning |", "|---|---|", *rows]) + "\n"


def columns() -> str:
    """Return the columns of the CSV of `status`."""
    from ssm_reconcile.cli.status import COLUMNS

    names = ", ".join(map(code, COLUMNS))
    return f"""
## CSV

`status --format csv` writes a header and these columns (RFC 4180), in this order: {names}. Later versions
add columns at the end only. Each has the value of the key with the same name in `replicas[]`, and null is an
empty cell. These differ:

* `place` is `targets[].place`.
* `writer` is the short name, such as `role deploy`. In the JSON it is the ARN.
* `reasons` are one cell, separated by `; `.

A cell that begins with `=`, `+` or `@` has an apostrophe before it, so that a spreadsheet takes it as text.
"""


def members(schema: Schema, key: Schema, path: str) -> Iterator[str]:
    """Yield a row for each key of a document, at any depth."""
    for name, one in key.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        text, inner = resolved(schema, one)
        yield f"| `{here}` | {cell(text)} |"
        item = inner
        if isinstance(inner.get("items"), Mapping):
            more, item = resolved(schema, inner["items"])
            here += "[]"
            if more and not text:
                yield f"| `{here}` | {cell(more)} |"
        yield from members(schema, item, here)


def resolved(schema: Schema, key: Schema) -> tuple[str, Schema]:
    """Return the description of a key, and the schema that it refers to."""
    text = key.get("description", "")
    while "$ref" in (key := key.get("oneOf", [key])[0]):
        key = schema["definitions"][key["$ref"].rsplit("/", 1)[-1]]
        text = text or key.get("description", "")
    return text, key


def read(name: str) -> Schema:
    """Return a schema of this repository."""
    found: Schema = json.loads((ROOT / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


def listed(words: list[Any]) -> str:
    """Return the words as `a`, `b`, `c`."""
    return ", ".join(code(word) for word in words)


def code(value: object) -> str:
    """Return a value as it is written in YAML."""
    plain = isinstance(value, str) and not value.isdecimal()
    return f"`{value if plain else json.dumps(value, ensure_ascii=False)}`"


def cell(text: str) -> str:
    """Return text with the characters escaped that would end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def main(words: list[str]) -> int:
    """Write or check the pages, and return the exit code."""
    files = {SCHEMAS / name: text for name, text in schemas().items()}
    if "--check" not in words:
        write(files)  # first: the pages are made of the schemas
    files |= {FOLDER / name: text for name, text in pages().items()}
    stale = [file for file, text in files.items() if not is_current(file, text)]
    if "--check" not in words:
        write(files)
    for file in stale:
        done = "is not current: run `make fix`" if "--check" in words else "written"
        sys.stderr.write(f"{file.relative_to(ROOT)} {done}\n")
    return 1 if stale and "--check" in words else 0


def is_current(file: Path, text: str) -> bool:
    """Return whether a file has this text."""
    return file.exists() and file.read_text(encoding="utf-8") == text


def write(files: Mapping[Path, str]) -> None:
    """Write each file that is not current."""
    for file, text in files.items():
        if not is_current(file, text):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def schemas() -> dict[str, str]:
    """Return the schemas by file name: some are generated from types, the others get their `$id` only."""
    sys.path.insert(0, str(ROOT))
    from tools.document_schema import texts

    found = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")} | texts()
    return {name: identified(name, text) for name, text in found.items()}


def identified(name: str, text: str) -> str:
    """Return a schema with its `$id`: the address at which the release of this version has the file."""
    from ssm_reconcile import __version__

    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    line = f'  "$id": "{urls["Repository"]}/releases/download/v{__version__}/{name}",\n'
    first, rest = re.sub(r'^  "\$id": .*\n', "", text, flags=re.MULTILINE).split('  "title"', 1)
    return f'{first}{line}  "title"{rest}'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
