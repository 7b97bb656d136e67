"""Execute a SageMaker pipeline definition (schema 2020-12-01) on this machine, without Docker and without an AWS account.

run(definition: Mapping[str, Any], where: Place, project: ProjectFacts, *,
    parameters: Mapping[str, str | int | float | bool] | None = None,   # unknown names and wrong types: DefinitionError
    execution_id: str | None = None,                                    # 12 lower case letters and digits; made when None
    on_step: Callable[[str, str, str, float, str], None] = ...,         # (name, type, status, seconds, detail)
    say: Callable[[str], None] = print,                                 # one line a call: `not played: ...`, what a fall-back loses
    authorize: Callable[[str, Mapping[str, Any]], None] = ...,          # ("CreateTrainingJob", request) before each is made;
                                                                        # raises JobFailed(reason) to refuse
    stop: threading.Event | None = None) -> Execution                   # set it from another thread to stop; Ctrl-C does the same
Raises DefinitionError (ALL problems, before anything runs). A step that fails is no exception: see Execution.status.

Place(folder: Path,            # runs go to folder/<execution id>/: definition.json, execution.json, steps/<step>/job.log, .../ml/
      store: Store, registry: Registry,
      python: Path,            # interpreter that jobs run with
      image_of: Callable[[str], Image] = unknown_image,    # image URI -> what is known of it
      cache: Path | None = None,                           # `dependencies` installed, packages compiled; None: folder/cache
      mode: "auto" | "namespaces" | "mapped" = "auto")
Image(purpose: str = "", packages: Mapping[distribution, version] | None = None, dependencies: Path | None = None)
      # packages None: nothing is known of the image, its imports are not checked, and that is told once
ProjectFacts: anything with `pipeline_name`, `region`, `account_id`, `partition` (mlops_cicd.project.Project has them)
Execution(id, arn, pipeline_name, status: "Succeeded" | "Failed" | "Stopped", failure: str | None, folder: Path,
          steps: tuple[StepRecord, ...], parameters)
StepRecord(name, type, status: "Starting" | "Executing" | "Succeeded" | "Failed" | "Stopped" | "NotRun",
           started: str | None, ended: str | None, seconds: float, failure: str | None, detail: str, log: Path | None,
           output: Mapping[str, Any])
      # Execution.step(name) gives one; `failure` ends with the tail of the log, on_step's detail does not

Jobs alone (same code; `request` is the body of the Create...Job call with every value resolved):
Job(name: str, folder: Path,   # folder: new, holds sandbox and log
    store: Store, python: Path, region: str, image_of=unknown_image, cache: Path | None = None, mode="auto",
    account_id: str = "000000000000", partition: str = "aws",
    timeout: float | None = None,        # seconds, on top of the request's StoppingCondition
    log: Path | None = None,             # None: folder/job.log
    say=print, stop: threading.Event | None = None)
run_processing(request, job) -> dict     # ProcessingJobName, ProcessingJobStatus "Completed", ExitMessage, ProcessingStartTime ...
run_training(request, job) -> dict       # TrainingJobName, ModelArtifacts, FinalMetricDataList, TrainingTimeInSeconds ...
run_transform(request, model, job) -> dict    # model: the CreateModel request (PrimaryContainer or Containers)
Each raises DefinitionError for what it cannot play, then JobFailed(reason, log_tail, status "Failed" | "Stopped", exit_message).
serve(model, job, port: int = 0) -> Server    # context manager: .url .port .process .close() .invoke(body, content_type, accept);
                                              # GET /ping, POST /invocations on 127.0.0.1

Store protocol: list(uri) -> URIs under the raw prefix, download(uri, folder) -> paths, upload(file or folder, uri) -> URIs
FolderStore(root), S3Store(client)
Registry protocol: create_model_package(request) -> arn, create_model(name, request) -> arn, describe_model(name) -> dict
FolderRegistry(root, region, account_id, partition): also list_model_packages(group), describe_model_package(arn)
"""

from .errors import DefinitionError, JobFailed, PlaceError, RegistryError, StoreError
from .execution import Execution, StepRecord, run
from .jobs import run_processing, run_training
from .place import Image, Job, Place, ProjectFacts, unknown_image
from .registry import FolderRegistry, Registry
from .serving import Server, run_transform, serve
from .store import FolderStore, S3Store, Store

__all__ = [
    "DefinitionError",
    "Execution",
    "FolderRegistry",
    "FolderStore",
    "Image",
    "Job",
    "JobFailed",
    "Place",
    "PlaceError",
    "ProjectFacts",
    "Registry",
    "RegistryError",
    "S3Store",
    "Server",
    "StepRecord",
    "Store",
    "StoreError",
    "run",
    "run_processing",
    "run_training",
    "run_transform",
    "serve",
    "unknown_image",
]
