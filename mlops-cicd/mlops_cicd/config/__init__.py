"""model_config.yaml: the contract between a data scientist and the pipelines, read, checked, migrated and described."""

from mlops_cicd.config.documents import page, schema
from mlops_cicd.config.files import check_project
from mlops_cicd.config.loading import load, parse
from mlops_cicd.config.migration import migrate
from mlops_cicd.config.model import METRICS, VERSION, Gate, ModelConfig
from mlops_cicd.config.problems import ConfigError, Problem

__all__ = ["METRICS", "VERSION", "ConfigError", "Gate", "ModelConfig", "Problem", "check_project", "load", "migrate", "page",
           "parse", "schema"]  # fmt: skip
