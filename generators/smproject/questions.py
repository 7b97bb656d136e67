"""What 2-smproject asks. Studio gives the project's name and id; the rest has defaults, but for the cost center."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from troposphere import Equals, Not, Or, Ref, Sub

from generators.kit import contracts, parameters, publishing
from generators.kit.builder import Builder
from generators.kit.errors import GeneratorError
from generators.kit.parameters import Question

GROUPS = ("Project", "General", "Model", "Jobs and spaces", "Data", "Deployment", "Cost")
UNIQUE = "${SageMakerProjectName}-${SageMakerProjectId}"
# Names that stand beside projects in IAM paths and parameter paths; with admin, the alias ds would be the admin's profile.
RESERVED = ("admin", "boundary", "infra", "platform", "projects")
TYPES = r"^ml\.[a-z0-9-]+\.[a-z0-9*]+(,ml\.[a-z0-9-]+\.[a-z0-9*]+)*$"

ACCOUNTS: Any = {
    "default": "", "pattern": r"^(\d{12}(,\d{12})*)?$", "max_length": 400,
    "constraint": "Account ids of twelve digits, separated by commas, or empty.",
}  # fmt: skip
UNITS: Any = {
    "default": "", "pattern": r"^(ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}(,ou-[a-z0-9]{4,32}-[a-z0-9]{8,32})*)?$", "max_length": 400,
    "constraint": "Organizational units such as ou-ab12-cdefghij, separated by commas, or empty.",
}  # fmt: skip

NAME = Question(
    "SageMakerProjectName", "Project name", "Project",
    "Name of the project; jobs, roles and repositories carry it. It can't be changed later.",
    # A key's alias may not begin with aws, nor a bucket's name with sthree-.
    pattern=r"^(?!aws|sthree-)[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=32,
    constraint="Up to 32 lower case letters, digits and single hyphens, beginning with a letter, and not with aws or sthree-.",
)  # fmt: skip
ID = Question(
    "SageMakerProjectId", "Project id", "Project",
    "Id that SageMaker gives the project; what is kept after the project carries it.",
    pattern=r"^p-[a-z0-9]{1,18}$", constraint="An id such as p-abcdefghijkl; Studio fills it in.",
)  # fmt: skip
PROBLEM = Question(
    "ProblemType", "Problem type", "Model", "What the model decides.",
    default="binary_classification", allowed=("binary_classification", "multiclass_classification", "regression"),
)  # fmt: skip
INFERENCE = Question(
    "InferenceType", "Inference type", "Model", "With realtime an endpoint answers; with batch a job scores data on a schedule.",
    default="realtime", allowed=("realtime", "batch"),
)  # fmt: skip


# What a form shows first, however many frameworks there are.
FIRST = "sklearn"


def framework() -> Question:
    """Ask for the framework: what seedcode-repo/ holds."""
    offered = publishing.frameworks()
    if not offered:
        raise GeneratorError("seedcode-repo/ holds no framework. Add a folder with a model_config.yaml there.")
    return Question("Framework", "Framework", "Model", "Framework whose code the project's repository begins with.",
                    default=FIRST if FIRST in offered else offered[0], allowed=offered)  # fmt: skip


LONGEST_JOB = Question(
    "SageMakerJobsMaxRuntimeInSeconds", "Longest job in seconds", "Jobs and spaces",
    "Longest time that a training, tuning or processing job may ask for, in seconds.",
    type="Number", default=86400, min_value=60, max_value=432000,
)  # fmt: skip
JOB_TYPES = Question(
    "AllowedInstanceTypes", "Instance types for jobs", "Jobs and spaces",
    "Instance types that jobs may use, separated by commas; ml.m5.* stands for every size.",
    default="ml.t3.medium,ml.t3.large,ml.m5.large,ml.m5.xlarge,ml.m5.2xlarge", pattern=TYPES, max_length=1000,
    constraint="Instance types such as ml.m5.large or ml.g5.*, separated by commas without spaces.",
)  # fmt: skip
SPACE_TYPES = Question(
    "AllowedSpaceInstanceTypes", "Instance types for spaces", "Jobs and spaces",
    "Instance types that people may choose for JupyterLab and Code Editor, separated by commas.",
    default="ml.t3.medium,ml.t3.large,ml.m5.large", pattern=TYPES, max_length=1000,
    constraint="Instance types such as ml.t3.medium, separated by commas without spaces.",
)  # fmt: skip
DATA_BUCKETS = dataclasses.replace(
    parameters.DATA_SOURCE_BUCKETS,
    description="Buckets that may be read, never written, of those that 1-infra names, separated by commas; left empty, none.",
)
DATA_KEYS = parameters.DATA_SOURCE_KEYS
STAGING_ACCOUNTS = Question(
    "StagingAccountIds", "Staging accounts", "Deployment",
    "Accounts that staging runs in, of those that 1-infra trusts, separated by commas; left empty, this account.", **ACCOUNTS,
)  # fmt: skip
STAGING_UNITS = Question(
    "StagingOrganizationalUnitIds", "Staging organizational units", "Deployment",
    "Units of the organization that 1-infra names, where staging runs, separated by commas; left empty, none.", **UNITS,
)  # fmt: skip
PRODUCTION_ACCOUNTS = Question(
    "ProductionAccountIds", "Production accounts", "Deployment",
    "Accounts that production runs in, of those that 1-infra trusts, separated by commas; left empty, this account.", **ACCOUNTS,
)  # fmt: skip
PRODUCTION_UNITS = Question(
    "ProductionOrganizationalUnitIds", "Production organizational units", "Deployment",
    "Units of the organization that 1-infra names, where production runs, separated by commas; left empty, none.", **UNITS,
)  # fmt: skip
TRUSTED = Question(
    "TrustedAccounts", "Accounts that the platform trusts", "Deployment",
    "Where 1-infra keeps the accounts that staging and production may be; leave it as it is.",
    type="AWS::SSM::Parameter::Value<CommaDelimitedList>", default=contracts.TRUSTED_ACCOUNT_IDS.ssm,
    allowed=(contracts.TRUSTED_ACCOUNT_IDS.ssm,),
)  # fmt: skip
SUBNETS = Question(
    "PlatformSubnets", "Subnets of the platform", "Jobs and spaces",
    "Where 1-infra keeps the subnets that builds run in; leave it as it is.",
    type="AWS::SSM::Parameter::Value<CommaDelimitedList>", default=contracts.SUBNET_IDS.ssm,
    allowed=(contracts.SUBNET_IDS.ssm,),
)  # fmt: skip
OWN_TRACKING = Question(
    "OwnTrackingArn", "Own experiment tracking", "Data",
    "MLflow App or tracking server of this project alone; left empty, the platform's, where other projects' runs can be read.",
    default="", max_length=256,
    pattern=r"^(arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:(mlflow-app|mlflow-tracking-server)/[A-Za-z0-9-]+)?$",
    constraint="The ARN of an MLflow App or tracking server, or empty.",
)  # fmt: skip
EMAIL = Question(
    "NotificationEmail", "E-mail of the project", "General",
    "Address that gets the project's messages; left empty, nobody but the platform's operations is told.",
    default="", pattern=r"^([^@\s]+@[^@\s]+\.[^@\s]+)?$", constraint="An e-mail address, or empty.", max_length=254,
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """References to every answer, by parameter name."""

    answers: dict[str, Ref]

    @property
    def trusted(self) -> Ref:
        """Give the accounts that the platform trusts, as a list."""
        return self[TRUSTED]

    def __getitem__(self, question: Question) -> Ref:
        return self.answers[question.name]


def ask(b: Builder) -> Asked:
    """Ask everything, and hold the answers against each other."""
    everything = [value for value in globals().values() if isinstance(value, Question)]
    shared = [parameters.COST_CENTER, framework(), parameters.MONTHLY_BUDGET, parameters.TAGS_ACTIVE]
    answers = {question.name: b.ask(question) for question in (*shared, *everything)}
    # Through parameters: a dynamic reference can't be split into a list.
    b.consumed += [contracts.TRUSTED_ACCOUNT_IDS, contracts.SUBNET_IDS]
    reserved = Or(*(Equals(answers[NAME.name], name) for name in RESERVED))
    b.rule("NameIsFree", [
        (Not(reserved), f"A project can't be called {', '.join(RESERVED[:-1])} or {RESERVED[-1]}: choose another name."),
    ])  # fmt: skip
    for stage, accounts, units in (
        ("Staging", STAGING_ACCOUNTS, STAGING_UNITS),
        ("Production", PRODUCTION_ACCOUNTS, PRODUCTION_UNITS),
    ):
        b.rule(f"{stage}IsOneOfBoth", [
            (Equals(Ref(accounts.name), ""), f"Give {accounts.name} or {units.name}, not both."),
        ], when=given(units))  # fmt: skip
    b.rule("BudgetCanWork", [
        (Equals(answers[parameters.TAGS_ACTIVE.name], "yes"),
         "A budget shows zero until the payer activates the cost allocation tag mlops:project; set CostAllocationTagsActive "
         "to yes once that is done."),
    ], when=Not(Equals(answers[parameters.MONTHLY_BUDGET.name], "0")))  # fmt: skip
    return Asked(answers)


def given(question: Question) -> Not:
    """Ask whether there is an answer."""
    return Not(Equals(Ref(question.name), ""))


@dataclass(frozen=True)
class Project:
    """The project's name and id as references, and what 1-infra published, as text for `Sub`."""

    name: Ref
    prefix: str
    domain: str

    @property
    def unique(self) -> Sub:
        """Give the name of what is kept after the project: a new project of the same name never collides with it."""
        return Sub(UNIQUE)


def project(b: Builder) -> Project:
    """Mark everything as the project's own, and give what the sections share."""
    b.tag_all(
        {
            "mlops:project": Ref(NAME.name),
            "sagemaker:project-name": Ref(NAME.name),
            "sagemaker:project-id": Ref(ID.name),
        }
    )
    return Project(Ref(NAME.name), b.consume(contracts.ASSETS_BUCKET_PREFIX), b.consume(contracts.DOMAIN_ID))
