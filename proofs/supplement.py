"""What a launch needs beyond the handlers' lists: reviewed by hand, each line with its source. Counted as not from AWS's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from proofs.resolver import Resource, Stack
from proofs.targets import ANY, key_arn

DOCS = "https://docs.aws.amazon.com"
SSM_TYPE = "AWS::SSM::Parameter"


@dataclass(frozen=True)
class Line:
    """One action on one resource, why it is needed, and what the request carries beside what every request does."""

    action: str
    arn: str
    source: str
    context: Mapping[str, str] = field(default_factory=dict)


def of_launch(stack: Stack) -> Iterator[Line]:
    """Give what Service Catalog itself does in the name of the launch role."""
    page = f"{DOCS}/servicecatalog/latest/adminguide/getstarted-launchconstraint.html"
    for verb in (
        "CreateStack",
        "DeleteStack",
        "DescribeStackEvents",
        "DescribeStacks",
        "SetStackPolicy",
        "UpdateStack",
    ):
        yield Line(f"cloudformation:{verb}", stack.stack_id, page)
    for verb in ("GetTemplateSummary", "ValidateTemplate"):
        yield Line(f"cloudformation:{verb}", ANY, page)
    tagging = f"{DOCS}/service-authorization/latest/reference/list_cloudformation.html (CreateStack, UpdateStack)"
    for verb in ("TagResource", "UntagResource"):
        yield Line(f"cloudformation:{verb}", stack.stack_id, tagging)
    # The template lies in a bucket of Service Catalog, whose name nobody knows: only `*` covers it.
    yield Line(
        "s3:GetObject",
        f"arn:{stack.world.place.partition}:s3:::a-bucket-of-service-catalog/template",
        f"{DOCS}/servicecatalog/latest/adminguide/constraints-launch.html",
        {"s3:existingobjecttag/servicecatalog:provisioning": "true"},
    )


def of_references(stack: Stack) -> Iterator[Line]:
    """Give what CloudFormation reads in SSM to fill parameters and dynamic references of one template."""
    place = stack.world.place
    dynamic = f"{DOCS}/AWSCloudFormation/latest/UserGuide/dynamic-references-ssm.html"
    typed = f"{DOCS}/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html"
    for path in sorted(stack.references):
        for verb in ("GetParameter", "GetParameters"):  # the page names the first, CloudTrail shows the second
            yield Line(f"ssm:{verb}", place.arn("ssm", f"parameter/{path.lstrip('/')}"), dynamic)
    for name, body in stack.body.get("Parameters", {}).items():
        if str(body["Type"]).startswith(SSM_TYPE):
            yield Line("ssm:GetParameters", place.arn("ssm", f"parameter/{stack.given(name).lstrip('/')}"), typed)


# Types whose schemas have no handlers: what CloudFormation calls for them, by the type's own operations, and the role that they
# pass on. https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html
WITHOUT_HANDLERS = {
    "AWS::CodeBuild::Project": (
        ("codebuild:BatchGetProjects", "codebuild:CreateProject", "codebuild:DeleteProject", "codebuild:UpdateProject"),
        "ServiceRole",
    )
}  # fmt: skip


def of_resource(resource: Resource) -> Iterator[Line]:
    """Give what a resource needs beside its handlers, or in their place."""
    if resource.type in WITHOUT_HANDLERS:
        actions, passed = WITHOUT_HANDLERS[resource.type]
        page = f"{DOCS}/codebuild/latest/userguide/auth-and-access-control-permissions-reference.html"
        for action in actions:
            yield Line(action, str(resource.arn), page)
        yield Line("iam:PassRole", str(resource.properties[passed]), page)
    if resource.is_custom:
        token = str(resource.properties["ServiceToken"])
        yield Line(
            "lambda:InvokeFunction" if ":lambda:" in token else "sns:Publish",
            token,
            f"CloudFormation acts with the caller's session: {DOCS}/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html",
        )
    if resource.type == "AWS::CloudFormation::Stack":
        bucket, _, key = str(resource.properties["TemplateURL"]).removeprefix("https://").partition("/")
        name = bucket.partition(".s3.")[0]
        yield Line(
            "s3:GetObject",
            f"arn:{resource.stack.world.place.partition}:s3:::{name}/{key}",
            f"{DOCS}/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-stack.html (TemplateURL)",
        )
        for verb in ("TagResource", "UntagResource"):
            page = f"{DOCS}/service-authorization/latest/reference/list_cloudformation.html (CreateStack, UpdateStack)"
            yield Line(f"cloudformation:{verb}", str(resource.arn), page)
    if resource.type == "AWS::CodeCommit::Repository" and "KmsKeyId" in resource.properties:
        page = f"{DOCS}/codecommit/latest/userguide/encryption.html"
        for verb in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom",
                     "ReEncryptTo"):  # fmt: skip
            yield Line(f"kms:{verb}", key_arn(resource.properties["KmsKeyId"], resource), page)
