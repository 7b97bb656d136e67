"""The three repositories of the platform, one for each persona that owns code, seeded at creation."""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import GetAtt, Sub
from troposphere.cloudformation import CustomResource
from troposphere.codecommit import S3, Code, Repository

from generators.infra.encryption import Keys
from generators.kit import contracts, publishing
from generators.kit.builder import Builder
from generators.kit.contracts import Contract
from generators.kit.functions import Surroundings, helper_function
from generators.kit.iam import KEY_USE, allow, deny, via
from generators.kit.naming import unique

SEEDS = (
    (
        "MlopsCfnRepository",
        "mlops-cfn",
        "Templates of the platform; owner: full stack developer",
        contracts.MLOPS_CFN_REPOSITORY,
    ),
    ("MlopsCicdRepository", "mlops-cicd", "CI/CD jobs; owner: ML engineer", contracts.MLOPS_CICD_REPOSITORY),
    ("SeedcodeRepository", "seedcode-repo", "Seed code; owner: data scientists", contracts.SEEDCODE_REPOSITORY),
)


@dataclass(frozen=True)
class Repositories:
    """The repositories by seed name."""

    by_seed: dict[str, Repository]


def build(b: Builder, keys: Keys) -> Repositories:
    """Add the repositories. A seed is used at creation only; a new version never overwrites what people changed."""
    return Repositories(
        {seed: _repository(b, keys, title, seed, what, contract) for title, seed, what, contract in SEEDS}
    )


def versions(b: Builder, keys: Keys, around: Surroundings, repositories: Repositories) -> None:
    """Bring each new version of the platform to the owners of the repositories, as a branch and a pull request. What is on main
    is theirs."""
    arns = [GetAtt(made, "Arn") for made in repositories.by_seed.values()]
    function = helper_function(
        b,
        "platform_code",
        "Brings a new version of the platform to its repositories, as a branch and a pull request",
        [
            allow("ReadSeeds", "s3:GetObject", Sub(f"arn:${{AWS::Partition}}:s3:::{publishing.ASSETS_BUCKET}/v*/seeds/*")),
            allow("Propose", ["codecommit:CreateBranch", "codecommit:CreateCommit", "codecommit:CreatePullRequest",
                              "codecommit:GetBranch", "codecommit:GetFolder", "codecommit:GetPullRequest",
                              "codecommit:ListPullRequests"], arns),
            deny("MainIsItsOwners", ["codecommit:CreateBranch", "codecommit:CreateCommit"], arns,
                 {"StringEquals": {"codecommit:References": "refs/heads/main"}}),
            allow("KeyOfTheRepositories", KEY_USE, keys.arn, via("codecommit")),
        ],
        around,
        timeout=300,
    )  # fmt: skip
    told = b.add(
        CustomResource(
            "PlatformCode",
            ServiceToken=GetAtt(function, "Arn"),
            ServiceTimeout=330,
            Version=publishing.version(),
            Bucket=publishing.assets_bucket(),
            Repositories=[
                {"Name": GetAtt(made, "Name"), "Seed": publishing.release_prefix() + publishing.seed_key(seed)}
                for seed, made in repositories.by_seed.items()
            ],
        )
    )
    b.output("RepositoryUpdates", "What the last upgrade brought to each repository.", GetAtt(told, "Told"))


def _repository(b: Builder, keys: Keys, title: str, seed: str, what: str, contract: Contract) -> Repository:
    repository = b.add(
        Repository(
            title,
            RepositoryName=unique(seed),
            RepositoryDescription=what,
            KmsKeyId=keys.arn,
            Code=Code(
                BranchName="main",
                S3=S3(Bucket=publishing.assets_bucket(), Key=publishing.release_prefix() + publishing.seed_key(seed)),
            ),
        ),
        holds_data=True,
        accept={
            "MLOPS015": "CodeCommit asks for a name; it ends in the stack's own id: another stack's retained one never collides."
        },
    )
    b.publish(contract, GetAtt(repository, "Name"))
    return repository
