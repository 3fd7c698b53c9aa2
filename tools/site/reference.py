"""The pages that the code itself writes: verbs from their help, settings from their class, errors, the public names."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import click
from pydantic import BaseModel

import holdfast
from holdfast import cli, errors
from holdfast.engine.profiles import Profile, defaults_of
from holdfast.engine.settings import DocumentationSettings, ScratchSettings, Settings
from holdfast.errors.statement import RefusedStatement

WIDTH = 100


def verbs() -> str:
    """`--help` of the command and of each of its verbs."""
    lines = ["# Every verb\n", "From the help of each: `holdfast VERB --help`.\n"]
    lines += ["## holdfast\n", help_of(cli.holdfast, "holdfast")]
    group = click.Context(cli.holdfast, info_name="holdfast")
    for verb in cli.VERBS:
        command = cli.holdfast.get_command(group, verb)
        assert command is not None
        lines += [f"## {verb}\n", help_of(command, f"holdfast {verb}")]
    return "\n".join(lines)


def help_of(command: click.Command, name: str) -> str:
    context = click.Context(
        command,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **cli.holdfast.context_settings,  # -h, as each verb has it below the group
    )
    return f"```text\n{command.get_help(context)}\n```\n"


def settings() -> str:
    """Every variable, its default in each profile, and what its line in the class says."""
    lines = [
        "# Every setting\n",
        "Variables of the environment, or of a file `.env`. An unset profile is production.",
        "`holdfast settings` shows what is in force, without secrets; a misspelt name that begins with",
        "`HOLDFAST_` is an error.\n",
        "| variable | development | test | production | |",
        "|--|--|--|--|--|",
        *of_class(Settings),
        *(
            f"| `{name}` | | | | the scratch server of your own |"
            for name in ScratchSettings.variables()
        ),
        *(
            f"| `{name}` | | | | where this site is served: an error names its page there |"
            for name in DocumentationSettings.variables()
        ),
        "",
    ]
    return "\n".join(lines)


def of_class(settings: type[Settings]) -> Iterator[str]:
    by_profile = [
        flat(defaults_of(profile))
        for profile in (Profile.DEVELOPMENT, Profile.TEST, Profile.PRODUCTION)
    ]
    for field, info in settings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for name, inner in group.model_fields.items():
                defaults = [each.get(f"{field}.{name}", inner.default) for each in by_profile]
                yield line(f"HOLDFAST_{field}_{name}".upper(), defaults, comment(group, name))
            continue
        names = getattr(info.validation_alias, "choices", [f"HOLDFAST_{field}".upper()])
        defaults = [each.get(field, info.default) for each in by_profile]
        yield line("`, `".join(map(str, names)), defaults, comment(settings, field))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = value.model_dump() if isinstance(value, BaseModel) else value
        found |= (
            flat(inner, f"{prefix}{name}.")
            if isinstance(inner, dict)
            else {f"{prefix}{name}": inner}
        )
    return found


def line(names: str, defaults: list[Any], words: str) -> str:
    return f"| `{names}` | {' | '.join(map(shown, defaults))} | {words} |"


def shown(value: Any) -> str:
    if value is None or value == () or repr(value) == "PydanticUndefined":
        return ""
    if hasattr(value, "total_seconds"):
        return f"{value.total_seconds():g} s"
    return f"`{getattr(value, 'value', value)}`".replace("True", "true").replace("False", "false")


def comment(owner: type, field: str) -> str:
    """What stands behind the field in the source of its class."""
    found = re.search(rf"^    {field}\b[^\n#]*#\s*(.*)$", inspect.getsource(owner), re.MULTILINE)
    return found[1] if found else ""


def error_pages() -> dict[str, str]:
    """A page for each error by its name, which is its address: `errors/LongStatement`."""
    return {error.__name__: "\n".join(of_error(error)) for error in all_errors()}


def all_errors() -> Iterator[type[errors.HoldfastError]]:
    """Those that are raised, area by area; what several have in common is left out."""
    for area in pkgutil.iter_modules(errors.__path__, "holdfast.errors."):
        for error in vars(importlib.import_module(area.name)).values():
            is_error = isinstance(error, type) and issubclass(error, errors.HoldfastError)
            if is_error and hasattr(error, "what") and error.__module__ == area.name:
                yield error


def errors_index() -> str:
    """All of them in one table."""
    lines = [
        "# Every error\n",
        "Each says what happened, why, and what to do now. [Exit statuses](exit-statuses.md) are those of the",
        "command line. With `HOLDFAST_DOCS_URL`, where you serve this site, an error ends with the address of its",
        "page.\n",
        "| error | when | exit status |",
        "|--|--|--|",
    ]
    for error in all_errors():
        name = error.__name__
        lines.append(f"| [{name}](errors/{name}.md) | {first_line(error)} | {error.exit_status} |")
    return "\n".join(lines) + "\n"


def first_line(error: type[errors.HoldfastError]) -> str:
    return (inspect.getdoc(error) or "").splitlines()[0].replace("|", "\\|")


def of_error(error: type[errors.HoldfastError]) -> Iterator[str]:
    yield f"# {error.__name__}\n"
    yield f"{inspect.getdoc(error)}\n"
    yield f"Exit status {error.exit_status}. A name in braces is filled in where it happens.\n"
    parts = (("What happened", error.what), ("Why", error.why), ("What to do", error.remedy))
    for title, text in parts:
        yield f"## {title}\n\n```text\n{text}\n```\n"
    if issubclass(error, RefusedStatement):
        yield "[Every operation](../operations.md) says what is refused, and what is written instead.\n"


def public_names() -> str:
    """What mkdocstrings fills in: each public name, where it is defined."""
    lines = [
        "# The public names\n",
        "`from holdfast import ...`; each is loaded when it is first used.\n",
    ]
    for name in holdfast.__all__:
        if name.startswith("__"):
            continue
        value = getattr(holdfast, name)
        lines.append(f"::: {value.__module__}.{value.__qualname__}\n")
    lines.append("## The pytest plugin\n\n::: holdfast.testing\n")
    return "\n".join(lines)
