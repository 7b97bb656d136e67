"""People: the boundary that every role carries, and one role for each persona with its way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import AccountId, And, Condition, Equals, GetAtt, If, Not, NoValue, Ref, Split, Sub
from troposphere.iam import ManagedPolicy

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.network import Network
from generators.infra.questions import Asked
from generators.infra.repositories import Repositories
from generators.infra.studio import Home
from generators.kit import code, contracts, publishing
from generators.kit.builder import Builder
from generators.kit.catalogue import ACCEPTED, admin_statements
from generators.kit.contracts import Contract
from generators.kit.iam import BOUNDARY_PATH, KEY_USE, Statement, allow, arn, deny, document, iam_arn, role, via
from generators.kit.naming import unique
from generators.kit.parameters import Question
from generators.kit.studio import SEE_STUDIO, only_from, only_through


@dataclass(frozen=True)
class Persona:
    """One persona: what it may do, and the seed of the repository it owns."""

    name: str
    title: str
    owns: str
    contract: Contract
    may: Callable[[Builder, Home], list[Any]]
    accept: Mapping[str, str] | None = None

    @property
    def existing(self) -> Question:
        """Give the question for a role that is there already."""
        return Question(
            f"Existing{self.name}RoleArn",
            label=f"Existing role of the {self.title}",
            group="People",
            description=f"Role to use for the {self.title}; left empty, one is made with the permissions of the persona.",
            default="",
            pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?$",
            constraint="The ARN of a role, or empty.",
        )


OURS = "role/mlops/*"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-user.html
NAMED = {
    "MLOPS015": "The switch-role page takes 64 characters of path and name; AWS's own name would be longer. It ends in the "
    "stack's own id."
}
SEE_STACK = [
    f"cloudformation:{action}"
    for action in ("DescribeChangeSet", "DescribeEvents", "DescribeStackEvents", "DescribeStackResources", "DescribeStacks",
                   "DetectStackDrift", "GetTemplate", "ListChangeSets", "ListStackResources")
]  # fmt: skip
# What the platform's own roles and projects may use at most. Whatever is not named here is out of reach for them.
BOUNDARY_SERVICES = (
    "application-autoscaling", "athena", "budgets", "cloudformation", "cloudwatch", "codeartifact", "codebuild", "codecommit",
    "codepipeline", "dynamodb", "ecr", "events", "glue", "kms", "lambda", "logs", "s3", "sagemaker", "sagemaker-mlflow",
    "scheduler", "servicecatalog", "servicequotas", "sns", "sqs", "states", "sts", "tag",
)  # fmt: skip
NETWORK_USE = ("ec2:CreateNetworkInterface*", "ec2:CreateTags", "ec2:DeleteNetworkInterface*", "ec2:Describe*")
# Parameters alone: the rest of Systems Manager runs commands.
PARAMETERS = (
    "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:DeleteParameters", "ssm:DescribeParameters", "ssm:GetParameter*",
    "ssm:ListTagsForResource", "ssm:PutParameter", "ssm:RemoveTagsFromResource",
)  # fmt: skip
WRITE_FACTS = ["ssm:DeleteParameter*", "ssm:PutParameter"]
# Whatever changes what it names; with the ARNs of roles or policies as resource it is about these alone.
CHANGE = [
    f"iam:{verb}*" for verb in ("Attach", "Create", "Delete", "Detach", "Pass", "Put", "Set", "Tag", "Untag", "Update")
]
USE_FUNCTIONS = ["lambda:Get*", "lambda:InvokeFunction", "lambda:List*"]
ROLE_CARE = (
    "iam:AttachRolePolicy", "iam:CreatePolicy*", "iam:CreateRole", "iam:CreateServiceLinkedRole", "iam:DeletePolicy*",
    "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:Get*", "iam:List*", "iam:PassRole",
    "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:SetDefaultPolicyVersion", "iam:TagPolicy", "iam:TagRole",
    "iam:UntagPolicy", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole*",
)  # fmt: skip


def boundary(b: Builder, asked: Asked, keys: Keys) -> Any:
    """Add the boundary, and give the ARN that roles carry: ours, or the customer's own."""
    boundaries = iam_arn(f"policy{BOUNDARY_PATH}*")
    own = b.when("HasOwnBoundary", questions.given(questions.BOUNDARY))
    allowed = If(own, [boundaries, asked[questions.BOUNDARY]], [boundaries])
    roles_of_ours, platform = iam_arn(OURS), iam_arn("role/mlops/platform/*")
    platforms = [platform, iam_arn("policy/mlops/platform/*")]
    others = {"ArnNotLike": {"aws:PrincipalArn": platform}}  # whoever is no role of the platform itself
    ours = {"StringEquals": {"aws:ResourceTag/mlops:template": [b.stack.name, "project-commons"]}}
    policy = b.add(
        ManagedPolicy(
            "PermissionsBoundary",
            Description="The most that any role of the platform or of a project may do",
            Path=BOUNDARY_PATH,
            PolicyDocument=document(
                allow("MostServices", [f"{service}:*" for service in BOUNDARY_SERVICES], "*"),
                allow("MostOfTheRest", [*NETWORK_USE, *PARAMETERS, *ROLE_CARE], "*"),
                deny("RolesCarryABoundary", ["iam:CreateRole", "iam:PutRolePermissionsBoundary"], "*",
                     {"ArnNotLike": {"iam:PermissionsBoundary": allowed}}),
                deny("BoundariesStay", "iam:DeleteRolePermissionsBoundary", "*"),
                deny("BoundariesAreNotRewritten", CHANGE, allowed),
                {"Sid": "OnlyOurRolesAndPolicies", "Effect": "Deny", "Action": CHANGE,
                 "NotResource": [roles_of_ours, iam_arn("role/aws-service-role/*"), iam_arn("policy/mlops/*")]},
                deny("PlatformRolesStay", CHANGE, platforms),
                deny("PlatformRolesAreNotTaken", "sts:AssumeRole", Sub("arn:${AWS::Partition}:iam::*:role/mlops/platform/*")),
                {"Sid": "OnlyOurRolesAreTaken", "Effect": "Deny", "Action": "sts:AssumeRole",
                 "NotResource": Sub("arn:${AWS::Partition}:iam::*:role/mlops/*")},
                deny("FactsStay", WRITE_FACTS, arn("ssm", "parameter/mlops/*"), others),
                deny("StudioStaysPrivate", ["sagemaker:CreateDomain", "sagemaker:DeleteDomain", "sagemaker:UpdateDomain"], "*"),
                deny("NotebooksStayPrivate", "sagemaker:CreateNotebookInstance", "*",
                     {"StringNotEquals": {"sagemaker:DirectInternetAccess": "Disabled"}}),
                deny("NothingIsBornApproved", "sagemaker:CreateModelPackage", "*",
                     {"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}}),
                deny("OnlyApproversDecide", "codepipeline:PutApprovalResult", "*", others),
                deny("OnlyApproversDecideOnModels", "sagemaker:UpdateModelPackage", "*",
                     {**others, "Null": {"sagemaker:ModelApprovalStatus": "false"}}),
                deny("OwnersStay", ["sagemaker:AddTags", "sagemaker:DeleteTags"], arn("sagemaker", "user-profile/*"),
                     {"ForAnyValue:StringEquals": {"aws:TagKeys": ["mlops:owner", "mlops:project"]},
                      "Null": {"sagemaker:TaggingAction": "true"}}),
                deny("PlatformKeyStays",
                     ["kms:DeleteAlias", "kms:DisableKey", "kms:DisableKeyRotation", "kms:PutKeyPolicy", "kms:RevokeGrant",
                      "kms:ScheduleKeyDeletion", "kms:UpdateAlias"], keys.arn),
                # By tag: CloudFormation shortens names when the stack's own is long. Taking the tag off is denied as well.
                {"Sid": "PlatformFunctionsStay", "Effect": "Deny", "NotAction": USE_FUNCTIONS, "Condition": ours,
                 "Resource": arn("lambda", "function:*")},
                deny("PlatformRulesStay", ["events:DeleteRule", "events:DisableRule", "events:PutRule", "events:PutTargets",
                                           "events:RemoveTargets"], arn("events", "rule/*"), ours),
                {"Sid": "PlatformStackStays", "Effect": "Deny", "Condition": others,
                 "NotAction": ["cloudformation:Describe*", "cloudformation:Get*", "cloudformation:List*"],
                 "Resource": [arn("cloudformation", f"stack/${{AWS::StackName}}{nested}/*") for nested in ("", "-*")]},
            ),
        ),
    )  # fmt: skip
    carried = If(own, asked[questions.BOUNDARY], Ref(policy))
    b.publish(contracts.PERMISSIONS_BOUNDARY_ARN, carried)
    return carried


def personas(
    b: Builder, asked: Asked, keys: Keys, boundary_arn: Any, net: Network, home: Home, repositories: Repositories
) -> dict[str, Any]:
    """Add a role for each persona, unless there is one already; give their ARNs by persona."""
    arns = {}
    way_in = _way_in(b, asked)
    limit = "HasStudioCidr"
    for persona in PERSONAS:
        answer = b.ask(persona.existing)
        creates = b.when(f"Creates{persona.name}Role", Equals(answer, ""))
        made = b.add(
            role(
                f"{persona.name}Role",
                f"What a {persona.title} signs in with",
                document(*way_in(persona)),
                [
                    *persona.may(b, home),
                    *_repository_statements(persona, keys, repositories),
                    If(limit, only_from(asked[questions.STUDIO_CIDRS]), NoValue),
                    If(limit, only_through(Split(",", net.studio_vpcs)), NoValue),
                ],
                boundary_arn,
                MaxSessionDuration=28800,
                RoleName=unique(persona.name),
            ),
            when=creates,
            accept={**NAMED, **(persona.accept or {})},
        )
        arns[persona.name] = If(creates, GetAtt(made, "Arn"), answer)
        b.publish(persona.contract, arns[persona.name])
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-console.html
        link = "https://signin.aws.amazon.com/switchrole?account=${AWS::AccountId}&roleName=mlops/platform/${Role}&displayName="
        linked = b.when(f"Has{persona.name}Link", And(Condition(creates), Not(Condition("IsSaml"))))
        b.output(f"{persona.name}SignIn", f"Link that switches to the role of the {persona.title}.",
                 Sub(link + persona.name, Role=Ref(made)), when=linked)  # fmt: skip
    return arns


def _way_in(b: Builder, asked: Asked) -> Callable[[Persona], list[Any]]:
    """Give the trust statements: a person's session carries the person's own name, whatever the way."""
    saml = b.when("IsSaml", Equals(asked[questions.TRUST], "saml"))
    center = b.when("IsIdentityCenter", Equals(asked[questions.TRUST], "identity-center"))
    other = b.when("HasSignInAccount", questions.given(questions.SIGN_IN_ACCOUNT))
    account = If(other, asked[questions.SIGN_IN_ACCOUNT], AccountId)
    root = {"AWS": Sub("arn:${AWS::Partition}:iam::${Account}:root", Account=account)}

    def take(sid: str, actions: Any, principal: Any, condition: dict[str, Any]) -> Statement:
        return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Condition": condition}

    # A user's session has the user's name. A session of IAM Identity Center keeps its name, which Identity Center chose;
    # whoever takes another role chooses the name himself, so no other role is let in. aws:userid of a role session is
    # ROLE-ID:SESSION-NAME, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    keeps_name = {"StringLike": {"aws:userid": "*:${sts:RoleSessionName}"}}
    users = take("Users", "sts:AssumeRole", root, {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}})
    tags = {"StringEquals": {"aws:RequestTag/email": "${aws:PrincipalTag/email}"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["email"]}}  # fmt: skip

    def statements(persona: Persona) -> list[Any]:
        sets = _signed_in(account, f"AWSReservedSSO_${{PermissionSetPrefix}}{persona.name}_{'?' * 16}")
        sessions = {**keeps_name, "ArnLike": {"aws:PrincipalArn": If(center, sets, _signed_in(account, "*"))}}
        federated = take("People", ["sts:AssumeRoleWithSAML", "sts:TagSession"], {"Federated": asked[questions.SAML_PROVIDER]},
                         {"StringEquals": {"SAML:aud": asked[questions.SAML_AUDIENCE]}})  # fmt: skip
        return [
            If(saml, federated, take("Sessions", "sts:AssumeRole", root, sessions)),
            If(
                saml,
                NoValue,
                If(
                    center,
                    take("OwnEmailAsTag", "sts:TagSession", root, {**tags, "ArnLike": {"aws:PrincipalArn": sets}}),
                    users,
                ),
            ),
        ]

    return statements


def _signed_in(account: Any, name: str) -> list[Sub]:
    """Name the roles that IAM Identity Center makes; where its own region is us-east-1 they have no region in the path.

    Their names end in sixteen characters that no permission set's own name may take the place of.
    Source: https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html"""
    role_path = "arn:${AWS::Partition}:iam::${Account}:role/aws-reserved/sso.amazonaws.com/"
    return [Sub(f"{role_path}{place}{name}", Account=account) for place in (("", "*/") if name != "*" else ("",))]


def _repository_statements(persona: Persona, keys: Keys, repositories: Repositories) -> list[Any]:
    if not persona.owns:
        return []
    arns = {seed: GetAtt(made, "Arn") for seed, made in repositories.by_seed.items()}
    others = [repository for seed, repository in arns.items() if seed != persona.owns]
    return [
        allow("SeeRepositories", "codecommit:ListRepositories", "*"),
        allow("OwnRepository", [*code.READ, *code.WRITE], arns[persona.owns]),
        allow("OtherRepositories", code.READ, others),
        allow("KeyOfTheRepositories", KEY_USE, keys.arn, via("codecommit")),
    ]


def _full_stack_developer(b: Builder, home: Home) -> list[Any]:
    stack = Sub("arn:${AWS::Partition}:cloudformation:${AWS::Region}:${AWS::AccountId}:stack/${AWS::StackName}/*")
    return [
        allow("SeeTheStack", SEE_STACK, [stack, arn("cloudformation", "stack/${AWS::StackName}-*/*")]),
        # Only from the release: a stack that was installed with a service role does what any template says.
        allow("PrepareUpgrades", "cloudformation:CreateChangeSet", stack,
              {"StringLike": {"cloudformation:TemplateUrl": publishing.any_release_url(b.stack.name)}}),
        allow("Upgrade", ["cloudformation:DeleteChangeSet", "cloudformation:ExecuteChangeSet"], stack),
        allow("FetchRelease", ["s3:GetObject", "s3:GetObjectVersion"],
              Sub("arn:${AWS::Partition}:s3:::${AssetsBucketPrefix}-${AWS::Region}/*")),
        allow("ReadRelease", ["cloudformation:GetTemplateSummary", "cloudformation:ListStacks",
                              "cloudformation:ValidateTemplate"], "*"),
        allow("ReadFacts", ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
              arn("ssm", "parameter/mlops/infra/*")),
    ]  # fmt: skip


def _data_science_admin(b: Builder, home: Home) -> list[Any]:
    return [
        *_see_studio(home),
        allow("OpenOwnProfile", "sagemaker:CreatePresignedDomainUrl", home.profile("ds-admin")),
        *admin_statements(),
    ]


def _data_scientist(b: Builder, home: Home) -> list[Any]:
    owner = "aws:ResourceTag/mlops:owner"
    by_tag = {"StringEquals": {owner: "${aws:PrincipalTag/email}"}}
    by_name = {"StringLike": {"aws:userid": f"*:${{{owner}}}"}, "Null": {owner: "false"}}
    return [
        *_see_studio(home),
        allow(
            "OpenOwnProfile", "sagemaker:CreatePresignedDomainUrl", home.profile("*"), If("IsOwnerTag", by_tag, by_name)
        ),
    ]


def _model_approver(b: Builder, home: Home) -> list[Any]:
    return [
        allow("SeeTheRegistry", ["sagemaker:ListModelPackageGroups", "sagemaker:ListModelPackages"], "*"),
        allow("ReadModels", ["sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup", "sagemaker:ListTags"],
              [arn("sagemaker", "model-package/*"), arn("sagemaker", "model-package-group/*")]),
        allow("DecideOnModels", "sagemaker:UpdateModelPackage", arn("sagemaker", "model-package/*"),
              {"StringEquals": {"sagemaker:ModelApprovalStatus": ["Approved", "Rejected"]}}),
        allow("SeeDeployments", "codepipeline:ListPipelines", "*"),
        allow("ReadDeployments", ["codepipeline:GetPipeline", "codepipeline:GetPipelineExecution", "codepipeline:GetPipelineState",
                                  "codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions"],
              arn("codepipeline", "*-deploy")),
        allow("DecideOnProduction", "codepipeline:PutApprovalResult", arn("codepipeline", "*-deploy/ApproveProduction/*")),
    ]  # fmt: skip


def _ml_engineer(b: Builder, home: Home) -> list[Any]:
    return [
        allow("SeePipelines", ["codebuild:ListProjects", "codepipeline:ListPipelines"], "*"),
        allow("ReadPipelines", ["codepipeline:GetPipeline", "codepipeline:GetPipelineExecution", "codepipeline:GetPipelineState",
                                "codepipeline:ListActionExecutions", "codepipeline:ListPipelineExecutions"],
              [arn("codepipeline", "*-build"), arn("codepipeline", "*-deploy")]),
        allow("ReadBuilds", ["codebuild:BatchGetBuilds", "codebuild:BatchGetProjects", "codebuild:ListBuildsForProject"],
              arn("codebuild", "project/*")),
        allow("ReadBuildLogs", ["logs:FilterLogEvents", "logs:GetLogEvents"], arn("logs", "log-group:/mlops/*")),
    ]  # fmt: skip


def _see_studio(home: Home) -> list[Statement]:
    return [
        allow("SeeStudio", SEE_STUDIO, "*"),
        allow("ReadStudio", ["sagemaker:DescribeDomain", "sagemaker:DescribeUserProfile"], [home.domain_arn, home.profile("*")]),
    ]  # fmt: skip


PERSONAS = (
    Persona(
        "FullStackDeveloper",
        "full stack developer",
        "mlops-cfn",
        contracts.FULL_STACK_DEVELOPER_ROLE_ARN,
        _full_stack_developer,
    ),
    Persona(
        "DataScienceAdmin",
        "data science admin",
        "",
        contracts.DATA_SCIENCE_ADMIN_ROLE_ARN,
        _data_science_admin,
        ACCEPTED,
    ),
    Persona("DataScientist", "data scientist", "seedcode-repo", contracts.DATA_SCIENTIST_ROLE_ARN, _data_scientist),
    Persona("ModelApprover", "model approver", "", contracts.MODEL_APPROVER_ROLE_ARN, _model_approver),
    Persona("MlEngineer", "ML engineer", "mlops-cicd", contracts.ML_ENGINEER_ROLE_ARN, _ml_engineer),
)
