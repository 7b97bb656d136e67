"""Build the SageMaker pipeline of a project as plain JSON (schema 2020-12-01), the same bytes for the same input.

    build(config, project, code, images, commit) -> dict
    render(definition) -> str

There is no SageMaker SDK here, for three reasons: it asks IAM, which has no endpoint in a VPC outside us-east-1; it installs 755 MB
into every build; and what it writes differs from release to release. The tests hold every request against botocore's service model.
"""

from mlops_cicd.definition.frame import Code, Images, LimitError
from mlops_cicd.definition.pipeline import BATCH_STEPS, STEPS, build, render

__all__ = ["BATCH_STEPS", "STEPS", "Code", "Images", "LimitError", "build", "render"]
