"""What model_config.yaml may say, version 1: one class a section, one field a key, and the sentence that explains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from mlops_cicd.config.fields import (
    ContentType,
    Count,
    DataPlace,
    InferenceFile,
    InstanceType,
    MetricRegex,
    Number,
    PreprocessFile,
    ProjectFile,
    Schedule,
    Text,
    TrainFile,
)
from mlops_cicd.errors import CicdError

VERSION = 1
METRICS: Mapping[str, tuple[str, ...]] = {
    "binary_classification": ("auc", "accuracy", "precision", "recall", "f1"),
    "multiclass_classification": ("accuracy", "weighted_precision", "weighted_recall", "weighted_f1"),
    "regression": ("mae", "mse", "rmse", "r2"),
}
ERRORS = ("mae", "mse", "rmse")
Comparison = Literal["GreaterThanOrEqualTo", "LessThanOrEqualTo", "GreaterThan", "LessThan"]
# pydantic puts the tag of a union's branch into an error's place; the brackets tell it from a key of the file.
ONE_GATE, GATES, TORCHRUN, OWN = "<gate>", "<gates>", "<torchrun>", "<framework>"
_DEPENDENCIES = (
    "A requirements file of what AWS's image lacks. An image is then built: jobs can't install from the internet."
)


class Section(BaseModel):
    """One section of the file: its keys and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessConfig(Section):
    """The processing job that splits the data."""

    framework: Literal["sklearn", "xgboost", "pyspark"] = Field(
        description="Whose image runs it. `pyspark` is for data that outgrow one machine."
    )
    framework_version: Text = Field(description="The version of AWS's image.")
    instance_type: InstanceType = Field(description="The machine. It must be among the project's allowed types.")
    instance_count: Count = Field(description="How many machines; more than one with `pyspark` only.")
    entrypoint: PreprocessFile = Field(description="The Python file in `preprocess/` that is run.")
    dependencies: ProjectFile | None = Field(default=None, description=_DEPENDENCIES)
    volume_size_gb: Annotated[int, Field(strict=True, ge=5, le=16384)] = Field(
        default=10, description="The size of each machine's disk."
    )


class MetricDefinition(Section):
    """A number that SageMaker reads from the training job's log."""

    Name: Text = Field(description="The metric's name.")
    Regex: MetricRegex = Field(description="A regular expression with one group around the number.")


class Torchrun(Section):
    """How torchrun starts the entrypoint."""

    processes_per_host: Count = Field(description="Processes on each machine; one per GPU.")


class TorchrunDistribution(Section):
    """Distributed training by torchrun."""

    torchrun: Torchrun = Field(description="Start the entrypoint by torchrun; torch must be among the dependencies.")


def _distribution_tag(value: Any) -> str:
    return OWN if isinstance(value, str) else TORCHRUN


class TrainConfig(Section):
    """The training job."""

    framework: Literal["sklearn", "xgboost"] = Field(description="Whose image trains and serves.")
    framework_version: Text = Field(description="The version of AWS's image.")
    instance_type: InstanceType = Field(description="The machine. It must be among the project's allowed types.")
    instance_count: Count = Field(description="How many machines; more than one with a `distribution` only.")
    volume_size_gb: Annotated[int, Field(strict=True, ge=5, le=16384)] = Field(
        description="The size of each machine's disk."
    )
    entrypoint: TrainFile = Field(description="The Python file in `train/` that is run.")
    metric_definitions: tuple[MetricDefinition, ...] = Field(
        default=(), max_length=40, description="The numbers that SageMaker reads from the log and shows."
    )
    hyperparameters: Mapping[
        Annotated[str, Field(strict=True, min_length=1, max_length=256)], bool | int | float | str
    ] = Field(
        default_factory=dict, max_length=100, description="Handed to the entrypoint as texts; no lists and no maps."
    )
    dependencies: ProjectFile | None = Field(default=None, description=_DEPENDENCIES)
    distribution: (
        Annotated[
            Annotated[TorchrunDistribution, Tag(TORCHRUN)] | Annotated[Literal["framework"], Tag(OWN)],
            Discriminator(_distribution_tag),
        ]
        | None
    ) = Field(
        default=None,
        description="How several machines train one model: `framework` for xgboost's own way, or `torchrun`. Without it, one does.",
    )


class Sample(Section):
    """A request that the staging test sends to the endpoint."""

    content_type: ContentType = Field(description="One of `supported_input_types`.")
    body: Annotated[str, Field(strict=True, min_length=1, max_length=20_000)] = Field(description="The request's body.")
    accept: ContentType = Field(description="One of `supported_output_types`.")


class InferenceConfig(Section):
    """How the model is served, from train_config's image."""

    entrypoint: InferenceFile = Field(
        description="The Python file in `inference/` with `model_fn`, `input_fn`, `predict_fn` and `output_fn`."
    )
    dependencies: ProjectFile | None = Field(default=None, description=_DEPENDENCIES)
    supported_input_types: tuple[ContentType, ...] = Field(
        min_length=1, max_length=20, description="What requests may be; `text/csv` must be among them."
    )
    supported_output_types: tuple[ContentType, ...] = Field(
        min_length=1, max_length=20, description="What answers may be; `text/csv` must be among them."
    )
    inference_instances: tuple[InstanceType, ...] = Field(
        min_length=1, max_length=50, description="Instance types that an endpoint of the model may have."
    )
    transform_instances: tuple[InstanceType, ...] = Field(
        min_length=1, max_length=50, description="Instance types that a batch may run on; the first one is taken."
    )
    samples: tuple[Sample, ...] = Field(
        default=(), max_length=20, description="Requests that the staging test sends to the endpoint."
    )


class Inputs(Section):
    """Where the data lie."""

    data: DataPlace = Field(
        description="`sample` for the entrypoint's own sample, a prefix of the project's bucket as `data/`,"
        " or the address of company data as `s3://company-data/churn/`."
    )


class DataConfig(Section):
    """What the model learns from."""

    target: Text = Field(description="The column to predict.")
    datatype: Literal["csv"] = Field(description="Files with a header and without an index.")
    inputs: Inputs = Field(description="Where the data lie.")


class Gate(Section):
    """What a model must reach on the test set to be registered."""

    metric: Text = Field(description="A metric of SageMaker's model quality report; see the table below.")
    comparison: Comparison = Field(description="How the model's metric must compare with the threshold.")
    threshold: Number = Field(description="The number to reach.")


class Gates(Section):
    """One gate for each problem type; the project's counts."""

    binary_classification: Gate | None = Field(default=None, description="The gate of two classes.")
    multiclass_classification: Gate | None = Field(default=None, description="The gate of more classes.")
    regression: Gate | None = Field(default=None, description="The gate of a number.")


def _gate_tag(value: Any) -> str:
    if isinstance(value, Mapping):
        return GATES if any(key in METRICS for key in value) and "metric" not in value else ONE_GATE
    return GATES if isinstance(value, Gates) else ONE_GATE


class Facet(Section):
    """A column that tells groups of people apart."""

    name: Text = Field(description="The column.")
    values_or_threshold: tuple[bool | int | float | Text, ...] = Field(
        default=(),
        max_length=100,
        description="The values of the group looked at; one number is its lower bound where the column has more than 10"
        " different numbers. Empty: each value in turn.",
    )


class BiasConfig(Section):
    """The groups that a model should treat alike."""

    facets: tuple[Facet, ...] = Field(default=(), max_length=20, description="The columns; `[]` for none.")


class Canary(Section):
    """How an update reaches production: a part first, and the rest when no alarm went off."""

    percent: Annotated[int, Field(strict=True, ge=1, le=50)] = Field(
        description="The part of the capacity that goes first."
    )
    wait_minutes: Annotated[int, Field(strict=True, ge=1, le=60)] = Field(description="How long the part is watched.")


class Autoscaling(Section):
    """How many instances production has."""

    min_instances: Count = Field(description="Never fewer.")
    max_instances: Count = Field(description="Never more.")
    invocations_per_instance: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        description="Requests a minute that one instance is to have."
    )


class Staging(Section):
    """The endpoint that an approved version is tested on."""

    instance_type: InstanceType = Field(description="The machine.")
    instance_count: Count = Field(description="How many machines.")


class Production(Staging):
    """The endpoint that is used."""

    canary: Canary | None = Field(default=None, description="An update in two parts; it needs two instances or more.")
    autoscaling: Autoscaling | None = Field(default=None, description="Instances that follow the requests.")


class Stages(Section):
    """Where the model runs."""

    staging: Staging = Field(description="The endpoint that an approved version is tested on.")
    production: Production = Field(description="The endpoint that is used.")


class Thresholds(Section):
    """What sets off an alarm."""

    drift: Annotated[float, Field(strict=True, gt=0, le=10, allow_inf_nan=False)] = Field(
        description="Population stability index of a feature; above it the alarm goes off."
    )


class MonitorConfig(Section):
    """How production is watched."""

    schedule: Schedule = Field(description="When the captured data are looked at: `cron(...)` in UTC, or `rate(...)`.")
    thresholds: Thresholds = Field(description="What sets off an alarm.")
    retrain: Literal["never", "on_violation"] = Field(description="Whether a violation starts the build pipeline.")


class ModelConfig(Section):
    """The contract between a project and its pipelines."""

    version: Literal[1] = Field(description="The version of this file's form.")
    preprocess_config: PreprocessConfig = Field(description="The processing job that splits the data.")
    train_config: TrainConfig = Field(description="The training job.")
    inference_config: InferenceConfig = Field(description="How the model is served, from `train_config`'s image.")
    data_config: DataConfig = Field(description="What the model learns from.")
    quality_gate: Annotated[Annotated[Gate, Tag(ONE_GATE)] | Annotated[Gates, Tag(GATES)], Discriminator(_gate_tag)] = (
        Field(description="What a model must reach to be registered: one gate, or one for each problem type.")
    )
    bias_config: BiasConfig = Field(description="The groups that a model should treat alike.")
    stages: Stages = Field(description="Where the model runs.")
    monitor_config: MonitorConfig = Field(description="How production is watched.")

    def gate_for(self, problem_type: str) -> Gate:
        """Return the gate of a problem type. Raises CicdError when the file has none for it."""
        gate = (
            self.quality_gate if isinstance(self.quality_gate, Gate) else getattr(self.quality_gate, problem_type, None)
        )
        if not isinstance(gate, Gate):
            raise CicdError(
                f"quality_gate has no gate for {problem_type}. Add quality_gate.{problem_type} with metric, comparison"
                " and threshold to model_config.yaml."
            )
        return gate
