"""From a file to a ModelConfig, or to all that is wrong with the file."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mlops_cicd.config.migration import migrate_data, version_of
from mlops_cicd.config.model import ModelConfig
from mlops_cicd.config.problems import FILE, ConfigError, Problem, line_of
from mlops_cicd.config.reading import LARGEST, read
from mlops_cicd.config.rules import broken_rules
from mlops_cicd.config.translation import translated


def load(path: Path) -> ModelConfig:
    """Read a configuration file; an older version is migrated in memory. Raises ConfigError with all problems."""
    return parse(read_text(path))


def read_text(path: Path) -> str:
    """Return a configuration file's text. Raises ConfigError when there is none or it is no text."""
    try:
        with path.open("rb") as file:
            # A few bytes a character at most; what is longer is refused for its length anyway.
            return file.read(4 * LARGEST + 4).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise _unread("there is no such file", f"Put {FILE} at the top of the repository.") from error
    except UnicodeDecodeError as error:
        raise _unread("this is no text in UTF-8", "Save the file as UTF-8.") from error
    except OSError as error:
        raise _unread(f"the file can't be read ({error.strerror})", f"Make {FILE} a readable file.") from error


def parse(text: str) -> ModelConfig:
    """Read a configuration's text. Raises ConfigError with all problems."""
    document = read(text)
    data = migrate_data(document.data, version_of(document))
    problems = list(document.problems)
    config: ModelConfig | None = None
    try:
        config = ModelConfig.model_validate(data)
    except ValidationError as error:
        problems += translated(error, data, document.lines)
    places = {each.place for each in problems}
    for place, what, mend in broken_rules(data):
        if place not in places:
            problems.append(Problem(line_of(place, document.lines), place, what, mend))
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _unread(what: str, mend: str) -> ConfigError:
    return ConfigError([Problem(1, (), what, mend)])
