"""Projects: products of the catalogue that are launched with a name and an id."""

from __future__ import annotations

import secrets
import string

from rehearsal.catalogue import Catalogue
from rehearsal.sagemaker.service import Part, SageMaker
from rehearsal.services import Call, Json, ServiceError, listed, tags_of


class Projects(Part):
    """Make, describe and delete projects."""

    def __init__(self, service: SageMaker, catalogue: Catalogue) -> None:
        super().__init__(service)
        self._catalogue = catalogue

    def create_project(self, call: Call) -> Json:
        name, tags = call.request["ProjectName"], tags_of(call.request.get("Tags"))
        arn = call.arn("sagemaker", f"project/{name}")
        self.service.allow_new(call, arn, tags)
        if self.service.made.get(arn, {}).get("ProjectStatus", "DeleteCompleted") != "DeleteCompleted":
            raise ServiceError("ValidationException", f"Project {name} already exists.")
        details = call.request.get("ServiceCatalogProvisioningDetails")
        if not details:
            raise ServiceError("ValidationException", "The rehearsal makes projects of Service Catalog products alone.")
        number = "p-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))
        own = {"SageMakerProjectName": name, "SageMakerProjectId": number}
        given = {row["Key"]: row.get("Value", "") for row in details.get("ProvisioningParameters", [])}
        marks = {"sagemaker:project-name": name, "sagemaker:project-id": number}
        product = {key: details[key] for key in ("ProductId", "ProvisioningArtifactId", "PathId") if key in details}
        asked = {
            **product,
            "ProvisionedProductName": f"{name}-{number}",
            "ProvisioningParameters": [{"Key": key, "Value": value} for key, value in (given | own).items()],
            "Tags": listed(tags | marks),
            "ProvisionToken": number,
        }
        record = self._catalogue.ask("ProvisionProduct", call, asked)
        self.service.make(call, arn, "ProjectArn", "", tags | marks)
        facts = {"ProjectId": number, "_product": record["ProvisionedProductId"], "_record": record["RecordId"]}
        self.service.made[arn] |= {**facts, "ProjectStatus": "CreateInProgress"}
        return {"ProjectArn": arn, "ProjectId": number}

    def describe_project(self, call: Call) -> Json:
        arn = call.arn("sagemaker", f"project/{call.request['ProjectName']}")
        self.service.allow(call, arn)
        return self.service.fitting(call, self._project(arn))

    def list_projects(self, call: Call) -> Json:
        call.allow("sagemaker:ListProjects")
        wanted = call.request.get("NameContains", "")
        arns = [p["ProjectArn"] for p in self.service.mine(*call.place, "project") if wanted in p["ProjectName"]]
        found = [p for p in map(self._project, arns) if p["ProjectStatus"] != "DeleteCompleted"]
        return self.service.page(call, "ProjectSummaryList", found, "ProjectSummary")

    def delete_project(self, call: Call) -> None:
        arn = call.arn("sagemaker", f"project/{call.request['ProjectName']}")
        self.service.allow(call, arn)
        project = self._project(arn)
        if project["ProjectStatus"].endswith("InProgress"):
            raise ServiceError("ConflictException", f"Project {project['ProjectName']} is {project['ProjectStatus']}.")
        record = self._catalogue.ask("TerminateProvisionedProduct", call, {"ProvisionedProductId": project["_product"]})
        self.service.made[arn] |= {"ProjectStatus": "DeleteInProgress", "_record": record["RecordId"]}

    def _project(self, arn: str) -> Json:
        """Give a project as its product's last record says."""
        if (project := self.service.made.get(arn)) is None:
            raise ServiceError("ValidationException", f"Project {arn.rpartition('/')[2]} does not exist.")
        status, message = self._catalogue.outcome(project["_record"])
        if project["ProjectStatus"].endswith("InProgress") and status in ("SUCCEEDED", "FAILED"):
            done = "Completed" if status == "SUCCEEDED" else "Failed"
            project["ProjectStatus"] = project["ProjectStatus"].replace("InProgress", done)
        told = {"ProvisionedProductId": project["_product"], "ProvisionedProductStatusMessage": message or None}
        project["ServiceCatalogProvisionedProductDetails"] = told
        return project
