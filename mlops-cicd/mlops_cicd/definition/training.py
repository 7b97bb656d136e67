"""The steps that make and run a model: Train, and for batch inference Model and Transform."""

from __future__ import annotations

from mlops_cicd.definition.frame import Frame, as_text, file_of
from mlops_cicd.definition.values import EXECUTION_ID, Json, join, of_step, output_of

STEPS_CHANNEL = "/opt/ml/input/data/steps"
CSV = "text/csv"


def train(frame: Frame) -> Json:
    """Train. The driver of `steps/` runs the project's script and puts the serving code beside the model."""
    config, project = frame.config.train_config, frame.project
    algorithm: Json = {
        "TrainingImage": frame.images.training,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", f"{STEPS_CHANNEL}/train.py"],
        "ContainerArguments": [*_driver(frame), "--", *frame.problem],
    }
    if config.metric_definitions:
        algorithm["MetricDefinitions"] = [
            {"Name": metric.Name, "Regex": metric.Regex} for metric in config.metric_definitions
        ]
    arguments: Json = {
        "TrainingJobName": frame.name("train"),
        "AlgorithmSpecification": algorithm,
        "RoleArn": project.role_arn,
        "HyperParameters": {name: as_text(value) for name, value in config.hyperparameters.items()},
        "InputDataConfig": [
            _channel("train", output_of("Preprocess", "train"), CSV),
            _channel("validation", output_of("Preprocess", "validation"), CSV),
            _channel("code", frame.code.train),
            _channel("inference", frame.code.inference),
            _channel("steps", frame.code.steps),
        ],
        "OutputDataConfig": {
            "S3OutputPath": join(f"s3://{project.bucket}/models", EXECUTION_ID, on="/"),
            "KmsKeyId": project.kms_key_arn,
        },
        "ResourceConfig": {
            "InstanceType": config.instance_type,
            "InstanceCount": config.instance_count,
            "VolumeSizeInGB": config.volume_size_gb,
            **frame.volume_key(config.instance_type),
        },
        "VpcConfig": frame.vpc,
        "StoppingCondition": {"MaxRuntimeInSeconds": project.max_runtime_seconds},
        "Tags": frame.tags,
    }
    if project.tracking_arn is not None:
        arguments["Environment"] = {
            "MLFLOW_TRACKING_URI": project.tracking_arn,
            "MLFLOW_EXPERIMENT_NAME": project.name,
        }
    return {"Name": "Train", "Type": "Training", "Arguments": arguments}


def model(frame: Frame) -> Json:
    """Make the model that the transform runs, without any way out of its container."""
    return {
        "Name": "Model",
        "Type": "Model",
        "Arguments": {
            "ModelName": frame.name("model"),
            "ExecutionRoleArn": frame.project.role_arn,
            "PrimaryContainer": container(frame),
            "VpcConfig": frame.vpc,
            "EnableNetworkIsolation": True,
            "Tags": frame.tags,
        },
    }


def transform(frame: Frame) -> Json:
    """Predict the batch rows as production will: a file without header and target in, one line a row out."""
    instance_type = frame.config.inference_config.transform_instances[0]
    return {
        "Name": "Transform",
        "Type": "Transform",
        "Arguments": {
            "TransformJobName": frame.name("batch"),
            "ModelName": of_step("Model", "ModelName"),
            "BatchStrategy": "MultiRecord",
            "TransformInput": {
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": output_of("Preprocess", "batch")},
                },
                "ContentType": CSV,
                "CompressionType": "None",
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": frame.place("transform"),
                "Accept": CSV,
                "AssembleWith": "Line",
                "KmsKeyId": frame.project.kms_key_arn,
            },
            "TransformResources": {
                "InstanceType": instance_type,
                "InstanceCount": 1,
                **frame.volume_key(instance_type),
            },
            "Tags": frame.tags,
        },
    }


def container(frame: Frame) -> Json:
    """The serving container, the same for the transform and for the registered version."""
    return {
        "Image": frame.images.inference,
        "ModelDataUrl": of_step("Train", "ModelArtifacts.S3ModelArtifacts"),
        "Environment": {
            "SAGEMAKER_PROGRAM": file_of(frame.config.inference_config.entrypoint),
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        },
    }


def _driver(frame: Frame) -> list[str]:
    config = frame.config.train_config
    torchrun = getattr(config.distribution, "torchrun", None)
    launcher = [] if torchrun is None else ["--torchrun", str(torchrun.processes_per_host)]
    return ["--entrypoint", file_of(config.entrypoint), *launcher]


def _channel(name: str, uri: str | Json, content_type: str | None = None) -> Json:
    channel: Json = {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        },
        "CompressionType": "None",
        "InputMode": "File",
    }
    return channel if content_type is None else {**channel, "ContentType": content_type}
