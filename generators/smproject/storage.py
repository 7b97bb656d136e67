"""The project's bucket, which is also its pipelines' artifact store, and its image repositories."""

from __future__ import annotations

import json
from collections.abc import Mapping

from troposphere import GetAtt, If, NoValue, Sub
from troposphere.ecr import EncryptionConfiguration, ImageScanningConfiguration, LifecyclePolicy, Repository
from troposphere.kms import Key
from troposphere.s3 import Bucket, LifecycleConfiguration

from generators.kit import contracts, rails
from generators.kit.builder import Builder, Resolved
from generators.kit.iam import document
from generators.kit.storage import bucket, bucket_policy, objects, tidy
from generators.smproject.access import Partners
from generators.smproject.questions import UNIQUE, Project

KEPT = (
    "It holds what outlives the project, and ends in the project's id: a new project of the same name never collides."
)
CACHE = "build/cache"
IMAGES = {"Preprocessing": "preprocessing", "Training": "training", "Inference": "inference"}


def bucket_of(b: Builder, project: Project, key: Key, partners: Partners) -> Bucket:
    """Add the bucket. The accounts that models go to read `models/` and nothing else."""
    made = b.add(
        bucket(
            "ProjectBucket",
            key=GetAtt(key, "Arn"),
            logs=Resolved(b.consume(contracts.ACCESS_LOG_BUCKET_NAME)),
            log_prefix=Sub("projects/${SageMakerProjectName}/"),
            # The cache of builds is hundreds of megabytes, and each change of it would be kept as an old version.
            LifecycleConfiguration=LifecycleConfiguration(
                Rules=[tidy(), tidy(1, name="cache", Prefix=CACHE, ExpirationInDays=30)]
            ),
            BucketName=project.unique,
        ),
        holds_data=True,
        accept={"MLOPS015": KEPT},
    )
    b.add(
        bucket_policy(made, *partners.statements("ModelsFor", "s3:GetObject", objects(made, "models/"))),
        holds_data=True,  # what is kept keeps its guards
    )
    return made


def images(b: Builder, key: Key, partners: Partners) -> Mapping[str, Repository]:
    """Add a repository for the images of preprocessing, training and inference."""
    pull = document(*partners.statements("PullFor", rails.PULL, None))
    return {
        purpose: b.add(
            Repository(
                f"{name}Images",
                RepositoryName=Sub(f"{UNIQUE}-{purpose}"),
                ImageTagMutability="IMMUTABLE",
                ImageScanningConfiguration=ImageScanningConfiguration(ScanOnPush=True),
                EncryptionConfiguration=EncryptionConfiguration(EncryptionType="KMS", KmsKey=GetAtt(key, "Arn")),
                LifecyclePolicy=LifecyclePolicy(LifecyclePolicyText=_LIFECYCLE),
                RepositoryPolicyText=If(partners.condition, pull, NoValue),
            ),
            holds_data=True,
            accept={"MLOPS015": KEPT},
        )
        for name, purpose in IMAGES.items()
    }


# Only what no tag names any more goes: a version in production may be as old as it likes.
_LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "Images that no tag names",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": 30,
                },
                "action": {"type": "expire"},
            }
        ]
    },
    separators=(",", ":"),
)
