"""Look an image up in ECR."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from mlops_cicd.clients import PlatformError, code_of


def digest(ecr: Any, repository: str, tag: str) -> str | None:
    """Return the digest of a tag in a repository (HOST/NAME), or None when there is no such tag."""
    host, _, name = repository.partition("/")
    try:
        answer = ecr.describe_images(
            registryId=host.partition(".")[0], repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if code_of(error) == "ImageNotFoundException":
            return None
        if code_of(error) == "RepositoryNotFoundException":
            raise PlatformError(
                f"The repository {repository} is not there. Have the data science admin update the project's stack."
            ) from error
        raise
    return next((str(image["imageDigest"]) for image in answer["imageDetails"]), None)
