"""The end of the pipeline: the quality gate, the registration behind it, and the failure that says why there is none."""

from __future__ import annotations

from mlops_cicd.definition.frame import Frame
from mlops_cicd.definition.processing import REPORT, REPORT_FILE
from mlops_cicd.definition.training import container
from mlops_cicd.definition.values import EXECUTION_ID, Json, join, json_get, output_of, parameter


def quality_gate(frame: Frame) -> Json:
    """Register only what reaches the gate, and only after every report on it was written."""
    gate = frame.config.gate_for(frame.project.problem_type)
    metric = f"{frame.project.problem_type}_metrics.{gate.metric}.value"
    return {
        "Name": "QualityGate",
        "Type": "Condition",
        "DependsOn": ["Evaluate", "Baseline"],
        "Arguments": {
            "Conditions": [
                {
                    "Type": str(gate.comparison),
                    "LeftValue": json_get("Evaluate", REPORT, metric),
                    "RightValue": gate.threshold,
                }
            ],
            "IfSteps": [register(frame)],
            "ElseSteps": [gate_not_met(frame)],
        },
    }


def register(frame: Frame) -> Json:
    """Register the model as pending: who makes a model does not approve it.

    Without tags: a version takes those of its group, and the API refuses others beside a group's name
    (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html)."""
    config, project = frame.config.inference_config, frame.project
    evaluation = _report("Evaluate", "evaluation", REPORT_FILE)
    statistics = _report("Baseline", "baseline", "statistics.json")
    constraints = _report("Baseline", "baseline", "constraints.json")
    bias = _report("Baseline", "bias", "analysis.json")
    explainability = _report("Baseline", "explainability", "analysis.json")
    data_quality = {"Statistics": statistics, "Constraints": constraints}
    return {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": project.model_package_group,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [container(frame)],
                "SupportedContentTypes": list(config.supported_input_types),
                "SupportedResponseMIMETypes": list(config.supported_output_types),
                "SupportedRealtimeInferenceInstanceTypes": list(config.inference_instances),
                "SupportedTransformInstanceTypes": list(config.transform_instances),
            },
            "ModelMetrics": {
                "ModelQuality": {"Statistics": evaluation},
                "ModelDataQuality": data_quality,
                "Bias": {"Report": bias},
                "Explainability": {"Report": explainability},
            },
            "DriftCheckBaselines": {
                "ModelQuality": {"Statistics": evaluation},
                "ModelDataQuality": data_quality,
                "Bias": {"PostTrainingConstraints": bias},
                "Explainability": {"Constraints": explainability},
            },
            "CustomerMetadataProperties": {
                "commit": parameter("Commit"),
                "execution": EXECUTION_ID,
                "problem_type": project.problem_type,
                "inference_type": project.inference_type,
                "target": frame.config.data_config.target,
                "framework": frame.config.train_config.framework,
            },
        },
    }


def gate_not_met(frame: Frame) -> Json:
    """End the execution as failed, with what a data scientist needs to go on."""
    gate = frame.config.gate_for(frame.project.problem_type)
    return {
        "Name": "GateNotMet",
        "Type": "Fail",
        "Arguments": {
            "ErrorMessage": join(
                f"The model's {gate.metric} is not {gate.comparison} {gate.threshold}, so it was not registered. All metrics: ",
                output_of("Evaluate", "evaluation"),
                f"/{REPORT_FILE}. Improve the model, or change quality_gate in model_config.yaml.",
            )
        },
    }


def _report(step: str, output: str, file: str) -> Json:
    return {"ContentType": "application/json", "S3Uri": join(output_of(step, output), file, on="/")}
