"""Service Catalog, as far as an end user's launch goes, over the portfolios and products that stacks recorded.

A launch is a stack: the service takes the product's launch role and asks the emulator's CloudFormation in that role's name.
A record ends as its stack ends. Without a launch role, AWS would use the caller's own rights; that is not played."""

from __future__ import annotations

import fnmatch
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from rehearsal.client import Session, client
from rehearsal.errors import Refused
from rehearsal.identity import artifacts
from rehearsal.ledger import Ledger, Request
from rehearsal.ministack_internals import access
from rehearsal.services import Call, Json, Service, ServiceError, listed, page, tag_keys, tags_of

TYPES = "AWS::ServiceCatalog::"
PRODUCT = "CloudFormationProduct"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
# https://docs.aws.amazon.com/servicecatalog/latest/adminguide/constraints-launch.html
READS_TEMPLATES = {"s3:ExistingObjectTag/servicecatalog:provisioning": "true"}
LAUNCH, UPDATE, END = "PROVISION_PRODUCT", "UPDATE_PROVISIONED_PRODUCT", "TERMINATE_PROVISIONED_PRODUCT"
TOKENS = {LAUNCH: "ProvisionToken", UPDATE: "UpdateToken", END: "TerminateToken"}


@dataclass(frozen=True)
class Path:
    """A product in a portfolio: the way by which somebody may launch it."""

    id: str
    name: str
    portfolio: str
    launch_role: str


@dataclass(frozen=True)
class Product:
    """A product with its versions, and the ways that the caller has to it."""

    id: str
    properties: Mapping[str, Any]
    artifacts: Mapping[str, Mapping[str, Any]]
    paths: tuple[Path, ...]


class Catalogue(Service):
    """The operations of whoever launches, updates and ends products."""

    name = "servicecatalog"

    def __init__(self, ledger: Ledger, endpoint: str, template_exists: Callable[[str], bool]) -> None:
        super().__init__()
        self.endpoint = endpoint
        self._ledger, self._template_exists = ledger, template_exists
        self._provisioned: dict[str, Json] = {}
        self._records: dict[str, Json] = {}

    def checks(self) -> dict[tuple[str, str], Callable[[Request], None]]:
        """Give what Service Catalog has against changes that stacks make."""
        return {(f"{TYPES}{PRODUCT}", action): self._templates_are_there for action in ("create", "update")}

    def ask(self, operation: str, call: Call, request: Json) -> Json:
        """Do what another service asks for its caller, with the caller's rights; give the record."""
        with self.lock:
            detail: Json = getattr(self, xform_name(operation))(replace(call, operation=operation, request=request))
        return dict(detail["RecordDetail"])

    def outcome(self, record_id: str) -> tuple[str, str]:
        """Give a record's status, and its error when it failed."""
        record = self._current(self._records[record_id])
        return record["Status"], "; ".join(error["Description"] for error in record["RecordErrors"])

    # Looking around

    def search_products(self, call: Call) -> Json:
        call.allow("servicecatalog:SearchProducts")
        if "Filters" in call.request:
            raise ServiceError(
                "InvalidParametersException", "The rehearsal plays no filters: look through all products."
            )
        rows, token = self._paged(call, [self._summary(product) for product in self._products(call)])
        return {"ProductViewSummaries": rows, "NextPageToken": token}

    def describe_product(self, call: Call) -> Json:
        product = self._product(call, "Id", "Name")
        versions = [{"Id": key, "Name": given.get("Name")} for key, given in product.artifacts.items()]
        paths = [{"Id": path.id, "Name": path.name} for path in product.paths]
        return {"ProductViewSummary": self._summary(product), "ProvisioningArtifacts": versions, "LaunchPaths": paths}

    def list_launch_paths(self, call: Call) -> Json:
        product = self._product(call)
        rows = [
            {"Id": path.id, "Name": path.name, "ConstraintSummaries": self._constraints(path)} for path in product.paths
        ]
        return {"LaunchPathSummaries": rows}

    def describe_provisioning_parameters(self, call: Call) -> Json:
        product = self._product(call)
        path, artifact = self._path(call, product), self._artifact(call, product)
        asked = self._parameters(call, product.artifacts[artifact])
        same = ("ParameterKey", "DefaultValue", "ParameterType", "Description", "ParameterConstraints")
        rows = [{**{name: row.get(name) for name in same}, "IsNoEcho": row.get("NoEcho", False)} for row in asked]
        options = [{"Key": key, "Values": values} for key, values in self._options(call, product, path).items()]
        return {
            "ProvisioningArtifactParameters": rows,
            "ConstraintSummaries": self._constraints(path),
            "TagOptions": options,
        }

    # Launching

    def provision_product(self, call: Call) -> Json:
        product = self._product(call)
        path, artifact = self._path(call, product), self._artifact(call, product)
        if record := self._asked_before(call, LAUNCH):
            return record
        name = call.request.get("ProvisionedProductName") or f"{product.properties['Name']}-{secrets.token_hex(4)}"
        if any(p["Name"] == name for p in self._mine(call)):
            raise ServiceError("DuplicateResourceException", f"A provisioned product named {name} already exists.")
        tags = self._launch_tags(call, product, path)
        number = f"pp-{secrets.token_hex(7)[:13]}"
        made: Json = {
            "Name": name,
            "Arn": call.arn("servicecatalog", f"stack/{name}/{number}"),
            "Type": "CFN_STACK",
            "Id": number,
            "CreatedTime": datetime.now(UTC),
            "IdempotencyToken": call.request.get("ProvisionToken"),
            "ProductId": product.id,
            "ProvisioningArtifactId": artifact,
            "LaunchRoleArn": path.launch_role,
            "_place": call.place,
            "_caller": call.caller,
            "_stack": f"SC-{call.account}-{number}",
            "_path": path,
            "_tags": tags,
        }
        self._provisioned[number] = made
        auto = {
            "portfolioArn": call.arn("catalog", f"portfolio/{path.portfolio}"),
            "productArn": call.arn("catalog", f"product/{product.id}"),
            "provisionedProductArn": made["Arn"],
            "provisioningArtifactIdentifier": artifact,
            "provisioningPrincipalArn": call.caller.arn,
        }
        marks = tags | {f"aws:servicecatalog:{key}": value for key, value in auto.items()}
        given = {row["Key"]: row.get("Value", "") for row in call.request.get("ProvisioningParameters", [])}
        url = product.artifacts[artifact]["Info"]["LoadTemplateFromURL"]

        def launch(cloudformation: Any) -> None:
            told = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
            topics = call.request.get("NotificationArns", [])
            stack = {"StackName": made["_stack"], "TemplateURL": url, "Parameters": told, "NotificationARNs": topics}
            told_id = cloudformation.create_stack(**stack, Capabilities=CAPABILITIES, Tags=listed(marks))["StackId"]
            made["_stack"] = told_id

        return self._begin(call, made, LAUNCH, launch)

    def update_provisioned_product(self, call: Call) -> Json:
        made = self._named(call)
        self._allow_on(call, made)
        if record := self._asked_before(call, UPDATE):
            return record
        self._must_rest(made)
        kept = {key: made[key] for key in ("ProductId", "ProvisioningArtifactId")}
        asked = replace(call, request={**kept, **call.request})
        product = self._visible(asked, "ProductId", "ProductName")
        path, artifact = self._path(asked, product), self._artifact(asked, product)
        version = product.artifacts[artifact]
        given = {row["Key"]: row for row in call.request.get("ProvisioningParameters", [])}
        made |= {"LaunchRoleArn": path.launch_role, "ProductId": product.id, "ProvisioningArtifactId": artifact}
        made["_path"] = path

        def change(cloudformation: Any) -> None:
            stack = cloudformation.describe_stacks(StackName=made["_stack"])["Stacks"][0]
            before = {row["ParameterKey"] for row in stack.get("Parameters", [])}
            told: list[Json] = []
            for row in self._parameters(call, version):
                name, value = row["ParameterKey"], given.pop(row["ParameterKey"], {"UsePreviousValue": True})
                if not value.get("UsePreviousValue"):
                    told.append({"ParameterKey": name, "ParameterValue": value.get("Value", "")})
                elif name in before:
                    told.append({"ParameterKey": name, "UsePreviousValue": True})
            told += [{"ParameterKey": name, "ParameterValue": row.get("Value", "")} for name, row in given.items()]
            again = {"StackName": made["_stack"], "Tags": stack["Tags"], "Capabilities": CAPABILITIES}
            cloudformation.update_stack(**again, TemplateURL=version["Info"]["LoadTemplateFromURL"], Parameters=told)

        return self._begin(call, made, UPDATE, change)

    def terminate_provisioned_product(self, call: Call) -> Json:
        made = self._named(call)
        self._allow_on(call, made)
        if record := self._asked_before(call, END):
            return record
        self._must_rest(made)
        told = self._begin(call, made, END, lambda api: api.delete_stack(StackName=made["_stack"]))
        if not made["_stack"].startswith("arn:"):  # its launch was refused: there is no stack to wait for
            self._end(told["RecordDetail"], "SUCCEEDED", "")
        return told

    # Looking back

    def describe_record(self, call: Call) -> Json:
        record = self._records.get(call.request["Id"])
        if record is None or record["_made"]["_place"] != call.place:
            raise ServiceError("ResourceNotFoundException", f"Record {call.request['Id']} not found.")
        self._allow_on(call, record["_made"])
        record = self._current(record)
        return {"RecordDetail": record, "RecordOutputs": record.get("_outputs", [])}

    def describe_provisioned_product(self, call: Call) -> Json:
        made = self._named(call, "Id", "Name")
        self._allow_on(call, made)
        return {"ProvisionedProductDetail": made}

    def scan_provisioned_products(self, call: Call) -> Json:
        level = call.request.get("AccessLevelFilter", {}).get("Key", "User")
        call.allow("servicecatalog:ScanProvisionedProducts", "*", **{f"servicecatalog:{level.lower()}Level": "self"})
        found = [
            made for made in self._mine(call) if f"servicecatalog:{level.lower()}Level" in self._levels(call, made)
        ]
        rows, token = self._paged(call, found)
        return {"ProvisionedProducts": rows, "NextPageToken": token}

    # What stacks recorded

    def _of(self, call: Call, kind: str) -> list[Mapping[str, Any]]:
        return [request.properties for request, _ in self._ledger.of(f"{TYPES}{kind}", *call.place)]

    def _by_id(self, call: Call, kind: str) -> dict[str, Mapping[str, Any]]:
        return {m.physical_id: r.properties for r, m in self._ledger.of(f"{TYPES}{kind}", *call.place)}

    def _products(self, call: Call) -> list[Product]:
        """List the products that the caller has a path to."""
        opened = {row["PortfolioId"] for row in self._of(call, "PortfolioPrincipalAssociation") if _is(call, row)}
        names = {key: given["DisplayName"] for key, given in self._by_id(call, "Portfolio").items()}
        if not call.caller.principal:
            opened = set(names)  # the account's administrator
        roles = {(row["PortfolioId"], row["ProductId"]): row for row in self._of(call, "LaunchRoleConstraint")}
        found = []
        for product, given in self._by_id(call, PRODUCT).items():
            paths = []
            for row in self._of(call, "PortfolioProductAssociation"):
                pair = (row["PortfolioId"], product)
                if row["ProductId"] == product and pair[0] in opened & set(names):
                    role = roles.get(pair, {})
                    by_name = f"arn:aws:iam::{call.account}:role/{role.get('LocalRoleName')}"
                    launch_role = role.get("RoleArn") or (by_name if "LocalRoleName" in role else "")
                    number = hashlib.sha256("/".join(pair).encode()).hexdigest()[:13]
                    paths.append(Path(f"lpv3-{number}", names[pair[0]], pair[0], launch_role))
            if paths:
                found.append(Product(product, given, artifacts(product, given), tuple(paths)))
        return found

    def _product(self, call: Call, by_id: str = "ProductId", by_name: str = "ProductName") -> Product:
        """Find the product that a request names; its ARN carries the permission."""
        named = (key for key, given in self._by_id(call, PRODUCT).items() if given["Name"] == call.request.get(by_name))
        number = call.request.get(by_id) or next(named, "*")
        tags = tags_of(self._by_id(call, PRODUCT).get(number, {}).get("Tags"))
        asked = tag_keys(tags_of(call.request.get("Tags")), tags)
        call.allow(f"servicecatalog:{call.operation}", call.arn("catalog", f"product/{number}"), **asked)
        return self._visible(call, by_id, by_name)

    def _visible(self, call: Call, by_id: str, by_name: str) -> Product:
        number, name = call.request.get(by_id), call.request.get(by_name)
        for product in self._products(call):
            if (number or name) and number in (None, product.id) and name in (None, product.properties["Name"]):
                return product
        raise ServiceError("ResourceNotFoundException", f"No launch paths found for resource: {number or name}")

    def _path(self, call: Call, product: Product) -> Path:
        asked, name = call.request.get("PathId"), call.request.get("PathName")
        fitting = [path for path in product.paths if asked in (None, path.id) and name in (None, path.name)]
        if len(fitting) != 1:
            ways = ", ".join(f"{path.id} ({path.name})" for path in product.paths)
            raise ServiceError("InvalidParametersException", f"Name one path of {product.id} as PathId: {ways}.")
        if not fitting[0].launch_role:
            raise ServiceError("InvalidParametersException", "The rehearsal plays no launch without a launch role.")
        return fitting[0]

    def _artifact(self, call: Call, product: Product) -> str:
        number, name = call.request.get("ProvisioningArtifactId"), call.request.get("ProvisioningArtifactName")
        for key, given in product.artifacts.items():
            if (number or name) and number in (None, key) and name in (None, given.get("Name")):
                return key
        raise ServiceError("ResourceNotFoundException", f"{product.id} has no provisioning artifact {number or name}.")

    def _summary(self, product: Product) -> Json:
        given = product.properties
        facts = {"Id": f"prodview-{product.id[5:]}", "ProductId": product.id, "Type": "CLOUD_FORMATION_TEMPLATE"}
        names = {"Name": "Name", "Owner": "Owner", "Description": "ShortDescription", "Distributor": "Distributor"}
        return {**facts, "HasDefaultPath": False, **{to: given[name] for name, to in names.items() if name in given}}

    def _constraints(self, path: Path) -> list[Json]:
        return [{"Type": "LAUNCH", "Description": f"Launch as {path.launch_role}"}] if path.launch_role else []

    def _parameters(self, call: Call, version: Mapping[str, Any]) -> list[Json]:
        api = client(self.endpoint, "cloudformation", call.region, call.account)
        rows: list[Json] = api.get_template_summary(TemplateURL=version["Info"]["LoadTemplateFromURL"])["Parameters"]
        return rows

    def _options(self, call: Call, product: Product, path: Path) -> dict[str, list[str]]:
        """Give the tag options of product and portfolio: per key the values that both leave."""
        known = self._by_id(call, "TagOption")
        found: dict[str, list[str]] = {}
        for holder in (product.id, path.portfolio):
            here: dict[str, list[str]] = {}
            for row in self._of(call, "TagOptionAssociation"):
                option = known.get(row["TagOptionId"], {})
                if row["ResourceId"] == holder and str(option.get("Active", True)).lower() == "true":
                    here.setdefault(option["Key"], []).append(option["Value"])
            found |= {key: [v for v in values if v in found.get(key, values)] for key, values in here.items()}
        return found

    def _launch_tags(self, call: Call, product: Product, path: Path) -> dict[str, str]:
        """Give the tags of a launch: the request's, and each option; of several values the request must choose one.

        Source: https://docs.aws.amazon.com/servicecatalog/latest/adminguide/tagoptions-launching.html"""
        tags = tags_of(call.request.get("Tags"))
        for key, values in self._options(call, product, path).items():
            allowed = values or [f"sc-tagconflict-{path.portfolio}-{product.id}"]
            tags.setdefault(key, allowed[0] if len(allowed) == 1 else "")
            if tags[key] not in allowed:
                raise ServiceError("InvalidParametersException", f"Tag {key} needs one of {', '.join(allowed)}.")
        return tags

    def _templates_are_there(self, request: Request) -> None:
        for given in request.properties.get("ProvisioningArtifactParameters", []):
            url = given["Info"].get("LoadTemplateFromURL", "")
            if not self._template_exists(url):
                raise Refused(f"Invalid templateUrl: there is no template at {url}; publish it first.")

    # Records and stacks

    def _begin(self, call: Call, made: Json, kind: str, act: Callable[[Any], Any]) -> Json:
        """Write a record and ask CloudFormation as the launch role; what that refuses is the record's error."""
        now, record_id = datetime.now(UTC), f"rec-{secrets.token_hex(7)[:13]}"
        record = {
            "RecordId": record_id,
            "ProvisionedProductName": made["Name"],
            "Status": "IN_PROGRESS",
            "CreatedTime": now,
            "UpdatedTime": now,
            "ProvisionedProductType": "CFN_STACK",
            "RecordType": kind,
            "ProvisionedProductId": made["Id"],
            **{key: made[key] for key in ("LaunchRoleArn", "ProductId", "ProvisioningArtifactId")},
            "PathId": made["_path"].id,
            "RecordErrors": [],
            "RecordTags": listed(made["_tags"]),
            "_token": (*call.place, kind, call.request.get(TOKENS[kind], record_id)),
            "_made": made,
        }
        self._records[record["RecordId"]] = record
        made |= {"Status": "UNDER_CHANGE", "LastRecordId": record["RecordId"], "StatusMessage": None}
        if kind != END:
            made["LastProvisioningRecordId"] = record["RecordId"]
        try:
            record["_session"] = self._as_launch_role(made)
            act(record["_session"].client("cloudformation", call.region))
        except (Refused, ClientError) as error:
            self._end(record, "FAILED", str(error))
        return {"RecordDetail": record}

    def _as_launch_role(self, made: Json) -> Session:
        account, region = made["_place"]
        source = f"arn:aws:servicecatalog:{region}:{account}:"
        keys = access.assume(made["LaunchRoleArn"], source, access.SERVICE_CATALOG)
        template = f"arn:aws:s3:::sc-templates-{region}/{made['ProvisioningArtifactId']}"
        if refusal := access.refusal(keys.access_key, "s3:GetObject", template, region, READS_TEMPLATES):
            raise Refused(f"{refusal}. Allow it where {next(iter(READS_TEMPLATES))} is true.")
        return Session(self.endpoint, keys.access_key, keys.secret_key, keys.token)

    def _current(self, record: Json) -> Json:
        """Bring a record to what its stack has come to."""
        if record["Status"] != "IN_PROGRESS":
            return record
        made = record["_made"]
        api = record["_session"].client("cloudformation", made["_place"][1])
        try:
            stack = api.describe_stacks(StackName=made["_stack"])["Stacks"][0]
        except ClientError as error:
            self._end(record, "FAILED", str(error))
            return record
        status = stack["StackStatus"]
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"):
            record["_outputs"] = [
                {key: row.get(key) for key in ("OutputKey", "OutputValue", "Description")}
                for row in stack.get("Outputs", [])
            ]
            record["_outputs"].append({"OutputKey": "CloudformationStackARN", "OutputValue": stack["StackId"]})
            self._end(record, "SUCCEEDED", "")
        elif not status.endswith("_IN_PROGRESS"):
            pages = api.get_paginator("describe_stack_events").paginate(StackName=made["_stack"])
            events = [event for found in pages for event in found["StackEvents"]]
            begun = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
            own = [e["ResourceStatus"] in begun and e["PhysicalResourceId"] == stack["StackId"] for e in events]
            latest = events[: own.index(True)]
            failed = [e.get("ResourceStatusReason", "") for e in latest if e["ResourceStatus"].endswith("_FAILED")]
            self._end(record, "FAILED", "; ".join(dict.fromkeys(filter(None, reversed(failed)))) or status)
        return record

    def _end(self, record: Json, status: str, error: str) -> None:
        made, kind = record["_made"], record["RecordType"]
        record |= {"Status": status, "UpdatedTime": datetime.now(UTC)}
        if status == "FAILED":
            record["RecordErrors"] = [{"Code": "ResourceFailure", "Description": error}]
            made |= {"Status": "ERROR" if kind == LAUNCH else "TAINTED", "StatusMessage": error}
        elif kind == END:
            self._provisioned.pop(made["Id"], None)
        else:
            made |= {"Status": "AVAILABLE", "LastSuccessfulProvisioningRecordId": record["RecordId"]}

    def _asked_before(self, call: Call, kind: str) -> Json | None:
        """Give the record of a request with the same token."""
        token = (*call.place, kind, call.request.get(TOKENS[kind]))
        found = (record for record in self._records.values() if record["_token"] == token)
        return next(({"RecordDetail": self._current(record)} for record in found), None)

    def _mine(self, call: Call) -> list[Json]:
        place = call.place
        for record in list(self._records.values()):
            if record["_made"]["_place"] == place:
                self._current(record)
        return [made for made in self._provisioned.values() if made["_place"] == place]

    def _named(self, call: Call, by_id: str = "ProvisionedProductId", by_name: str = "ProvisionedProductName") -> Json:
        for made in self._mine(call):
            if made["Id"] == call.request.get(by_id) or made["Name"] == call.request.get(by_name):
                return made
        wanted = call.request.get(by_id) or call.request.get(by_name)
        raise ServiceError("ResourceNotFoundException", f"Provisioned product not found: {wanted}")

    @staticmethod
    def _must_rest(made: Json) -> None:
        if made["Status"] == "UNDER_CHANGE":
            raise ServiceError("InvalidParametersException", f"{made['Id']} is under change: wait for its record.")

    def _allow_on(self, call: Call, made: Json) -> None:
        call.allow(f"servicecatalog:{call.operation}", "*", **self._levels(call, made))

    @staticmethod
    def _levels(call: Call, made: Json) -> Json:
        """Give the condition keys that say whose a provisioned product is."""
        whose = {"accountLevel": True, "roleLevel": made["_caller"].principal == call.caller.principal}
        whose["userLevel"] = made["_caller"].arn == call.caller.arn
        return {f"servicecatalog:{level}": "self" for level, is_own in whose.items() if is_own}

    @staticmethod
    def _paged(call: Call, found: Iterable[Any]) -> tuple[list[Any], str | None]:
        return page(list(found), call.request.get("PageSize") or 20, call.request.get("PageToken"))


def _is(call: Call, row: Mapping[str, Any]) -> bool:
    """Tell whether an association of a portfolio means the caller; a pattern has no account in its ARN."""
    who = call.caller.principal
    if row.get("PrincipalType") == "IAM_PATTERN":
        return fnmatch.fnmatchcase(who.replace(f"::{call.account}:", ":::"), row["PrincipalARN"])
    return bool(row["PrincipalARN"] == who)
