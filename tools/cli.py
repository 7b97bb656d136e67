"""The program behind `./inv`: invoke over tasks.py, with errors that end in their mend instead of a traceback."""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from pathlib import Path

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.program import Program

from generators.kit.errors import GeneratorError
from generators.kit.version import version
from tools.errors import MlopsError

ROOT = Path(__file__).resolve().parent.parent


class Inv(Program):
    """invoke's program with this project's tasks, whatever folder it is called from."""

    def parse_tasks(self) -> None:
        """Parse the task names and options; an unknown one names the nearest and how to see them all."""
        try:
            super().parse_tasks()
        except ValueError as error:
            raise ParseError(f"An option has a value that does not fit: {error}. See `./inv --help TASK`.") from None
        except ParseError as error:
            word = str(error).split("'")[1] if "'" in str(error) else ""
            near = difflib.get_close_matches(word, sorted(self.collection.task_names), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise ParseError(
                f"{error}{hint}\nSee `./inv --list` for the tasks and `./inv --help TASK` for the options of one.",
                error.context,
            ) from None

    def execute(self) -> None:
        """Run the tasks; Ctrl-C is said, since invoke itself would end without a word."""
        try:
            super().execute()
        except KeyboardInterrupt:
            print(
                "\ninv: stopped. Nothing that was only half done counts; run the same command again.", file=sys.stderr
            )
            sys.exit(130)


def main() -> None:
    """Run the tasks named on the command line."""
    import tasks

    try:
        program = Inv(version=version(), name="inv", binary="inv", namespace=Collection.from_module(tasks))
        program.run(["inv", *sys.argv[1:]])
    except (MlopsError, GeneratorError) as error:
        sys.exit(f"inv: {error}")
    except tomllib.TOMLDecodeError as error:
        sys.exit(f"inv: pyproject.toml can't be read: {error}. Mend it there.")
    except ModuleNotFoundError as error:
        # The seed of the repository mlops-cfn holds what renders the templates, and leaves out the rest.
        if (error.name or "").split(".")[0] not in ("tools", "rehearsal"):
            raise
        sys.exit(f"inv: this copy of the project has no {error.name}. Run this task in the library's own repository.")
    except BrokenPipeError:
        # The reader, `head` for one, has seen enough. What is still buffered must not complain at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
