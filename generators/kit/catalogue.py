"""What the people may do who launch from the catalogue."""

from __future__ import annotations

from generators.kit.iam import Statement, allow, arn

# For every role that carries `admin_statements`.
ACCEPTED = {
    "MLOPS011": "ChangeAndEnd: IAM knows no resource for servicecatalog:TerminateProvisionedProduct and "
    "servicecatalog:UpdateProvisionedProduct; a condition keeps them to what the same role launched."
}


def admin_statements() -> list[Statement]:
    """Let a data science admin launch, change and end products, and see SageMaker's projects.

    What a launch does, its launch role does; ending and changing is for whoever launched, as Service Catalog tells it apart:
    https://docs.aws.amazon.com/servicecatalog/latest/adminguide/security_iam_service-with-iam-id-based-policies-examples.html"""
    see = ["Describe*", "List*", "ScanProvisionedProducts", "SearchProducts", "SearchProvisionedProducts"]
    change = ["TerminateProvisionedProduct", "UpdateProvisionedProduct"]
    projects = arn("sagemaker", "project/*")
    return [
        allow("SeeCatalogue", [f"servicecatalog:{action}" for action in see], "*"),
        allow("Launch", "servicecatalog:ProvisionProduct", arn("catalog", "product/*")),
        allow("ChangeAndEnd", [f"servicecatalog:{action}" for action in change], "*",
              {"StringEquals": {"servicecatalog:roleLevel": "self"}}),
        allow("SeeProjects", "sagemaker:ListProjects", "*"),
        allow("Projects", [f"sagemaker:{verb}Project" for verb in ("Create", "Delete", "Describe", "Update")], projects),
        allow("TagProjects", "sagemaker:AddTags", projects, {"StringEquals": {"sagemaker:TaggingAction": "CreateProject"}}),
        allow("SeeLaunches", ["cloudformation:DescribeStackEvents", "cloudformation:DescribeStackResources",
                              "cloudformation:DescribeStacks"], arn("cloudformation", "stack/SC-*")),
        allow("ReadProjectFacts", ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"],
              arn("ssm", "parameter/mlops/projects/*")),
    ]  # fmt: skip
