"""What every job of a build begins with and ends by: its environment, the project's checkout, and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from mlops_cicd import config as configs
from mlops_cicd.clients import PlatformError, explain
from mlops_cicd.errors import CicdError
from mlops_cicd.project import NONE, Project, ProjectError

CONFIG_FILE = "model_config.yaml"
ROOT = Path(__file__).resolve().parents[1]
SOURCE = "CODEBUILD_SRC_DIR_PipeSource"
DONE, PROJECT_IS_WRONG, PLATFORM_IS_WRONG = 0, 1, 2


@dataclass(frozen=True)
class Build:
    """One run of a job in a build."""

    project: Project
    folder: Path
    commit: str
    execution_id: str
    pypi_domain: str | None
    pypi_repository: str | None

    def config(self) -> configs.ModelConfig:
        """Read the project's configuration and hold it against the project. Raises ConfigError with all problems."""
        config = configs.load(self.folder / CONFIG_FILE)
        configs.check_project(config, self.folder, self.project.problem_type, self.project.inference_type)
        return config


def read(environment: Mapping[str, str]) -> Build:
    """Read a build's environment. Raises PlatformError that names all that is missing, and ProjectError."""
    missing = [name for name in ("PROJECT_SETTINGS", SOURCE, "COMMIT", "EXECUTION_ID") if not environment.get(name)]
    if missing:
        raise PlatformError(
            f"The build has no {', '.join(missing)}. Its CodeBuild project and CodePipeline action set them; have the data science"
            " admin update the project's stack."
        )
    folder = Path(environment[SOURCE])
    if not folder.is_dir():
        raise PlatformError(
            f"{SOURCE} names {folder}, which is no folder. Have the data science admin update the project's stack."
        )
    index = [environment.get(name, NONE) for name in ("PYPI_DOMAIN", "PYPI_REPOSITORY")]
    domain, repository = (None if value in ("", NONE) else value for value in index)
    return Build(
        project=Project.from_text(environment["PROJECT_SETTINGS"]),
        folder=folder,
        commit=environment["COMMIT"],
        execution_id=environment["EXECUTION_ID"],
        pypi_domain=domain,
        pypi_repository=repository,
    )


def exit_code(work: Callable[[], int]) -> int:
    """Run a job and return its exit code; what went wrong is printed for whoever can mend it."""
    try:
        return work()
    except (PlatformError, ProjectError) as error:
        print(f"The platform is wrong: {error}", flush=True)
        return PLATFORM_IS_WRONG
    except CicdError as error:
        print(str(error), flush=True)
        return PROJECT_IS_WRONG
    except (ClientError, BotoCoreError) as error:
        print(f"The platform is wrong: {explain(error)}", flush=True)
        return PLATFORM_IS_WRONG


def say(text: str) -> None:
    """Print one line of a job's log, at once: CodeBuild shows it while the job runs."""
    print(text, flush=True)
