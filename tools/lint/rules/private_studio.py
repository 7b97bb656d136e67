"""MLOPS009: Studio lives in the VPC, and is the new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.lint.model import Problem, Rule, Template

DOMAIN, NOTEBOOK = "AWS::SageMaker::Domain", "AWS::SageMaker::NotebookInstance"
CLASSIC = ("JupyterServer", "KernelGateway", "TensorBoard")
APP_TYPE = {"AWS::SageMaker::App": "AppType", "AWS::SageMaker::StudioLifecycleConfig": "StudioLifecycleConfigAppType",
            "AWS::SageMaker::Space": "SpaceSettings/AppType"}  # fmt: skip
SETTINGS = (DOMAIN, "AWS::SageMaker::UserProfile", "AWS::SageMaker::Space")


def check(template: Template) -> Iterator[Problem]:
    """Find domains and notebooks on the internet, and what belongs to Studio Classic."""
    for domain in template.resources(DOMAIN):
        if any(value != "VpcOnly" for value in template.values(domain.properties, "AppNetworkAccessType")):
            yield Problem(domain.name, "Studio reaches the internet", "set AppNetworkAccessType to VpcOnly")
        landing = template.values(domain.properties, "DefaultUserSettings/DefaultLandingUri")
        if any(not str(value).startswith("studio:") for value in landing):
            yield Problem(domain.name, "People land in Studio Classic", "set DefaultLandingUri to studio::")
        if any(
            value == "DISABLED" for value in template.values(domain.properties, "DefaultUserSettings/StudioWebPortal")
        ):
            yield Problem(domain.name, "The new Studio is off", "set StudioWebPortal to ENABLED")
    for notebook in template.resources(NOTEBOOK):
        if any(value != "Disabled" for value in template.values(notebook.properties, "DirectInternetAccess")):
            yield Problem(notebook.name, "The notebook reaches the internet", "set DirectInternetAccess to Disabled")
    for resource in template.resources(*APP_TYPE):
        kind = next(
            (value for value in template.values(resource.properties, APP_TYPE[resource.type]) if value in CLASSIC), None
        )
        if kind:
            yield Problem(resource.name, f"{kind} belongs to Studio Classic", "use JupyterLab or CodeEditor")
    for resource in template.resources(*SETTINGS):
        for name in sorted(set(_keys(resource.properties)) & {f"{kind}AppSettings" for kind in CLASSIC}):
            yield Problem(
                resource.name, f"{name} belongs to Studio Classic", "use JupyterLabAppSettings or CodeEditorAppSettings"
            )


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


RULE = Rule(
    "MLOPS009",
    "Studio is new and lives in the VPC",
    "PublicInternetOnly is the default of AWS and undoes the whole network; Studio Classic takes no new domains.",
    check,
)
