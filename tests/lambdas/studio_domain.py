"""Studio domains, projects and state machines in memory, behind real clients: botocore checks every call and answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator

ACCOUNT = "eu-central-1:111122223333"
DOMAIN = "d-abc123"
LOOP = "arn:aws:states:eu-central-1:111122223333:stateMachine:CleanUpLoop"
ROLE = "arn:aws:iam::111122223333:role/mlops/{0}/{0}-project-role"


class AwsError(Exception):
    """What the service answers instead."""

    def __init__(self, code: str, message: str = "said AWS", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


@dataclass
class Profile:
    """A user profile."""

    name: str
    role: str = ""
    status: str = "InService"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class App:
    """An app of a profile or, with `space`, of a space. One that is stubborn never ends."""

    name: str
    profile: str = ""
    space: str = ""
    status: str = "InService"
    type: str = "JupyterLab"
    stubborn: bool = False


@dataclass
class Space:
    """A space. Shared spaces of the classic kind have no owner."""

    name: str
    owner: str = ""
    status: str = "InService"
    sharing: str = "Private"
    stubborn: bool = False


@dataclass
class Domain:
    """A domain with all that is in it."""

    profiles: list[Profile] = field(default_factory=list)
    apps: list[App] = field(default_factory=list)
    spaces: list[Space] = field(default_factory=list)


class Studio:
    """The services that studio_user calls. `calls` are operation names, `fails` errors that the next calls get."""

    def __init__(self, module: Any) -> None:
        self.domains = {DOMAIN: Domain()}
        self.settings: dict[str, str] = {}
        self.executions: dict[str, str] = {}
        self.tagged: list[str] | None = None  # ARNs that the search by tag shows, when not those that have the tag
        self.calls: list[str] = []
        self.fails: dict[str, list[AwsError | Exception]] = {}
        self.page = 2  # entries a page, so that everything is paged
        for client in (module.SAGEMAKER, module.SSM, module.STATES, module.TAGGING):
            client.meta.events.register_first("before-parameter-build.*.*", self._remember)
            client.meta.events.register_first("before-call.*.*", self._answer)

    @property
    def domain(self) -> Domain:
        return self.domains[DOMAIN]

    def project(self, name: str = "churn", project_id: str = "p-1", **changes: Any) -> None:
        """Let a project live."""
        document = {"project_name": name, "project_id": project_id, "project_role_arn": ROLE.format(name)} | changes
        self.settings[f"/mlops/projects/{name}/settings"] = json.dumps(document)

    def user(self, name: str, owner: str = "", project: str = "", **changes: Any) -> Profile:
        """Add a profile; with an owner as the product makes it, else as a person makes it by hand."""
        tags = {"mlops:owner": owner, "mlops:project": project} if owner else {}
        role = {"role": ROLE.format(project)} if project else {}
        profile = Profile(name, **({"tags": tags} | role | changes))
        self.domain.profiles.append(profile)
        return profile

    def pass_time(self) -> None:
        """End what was asked to end."""
        for app in self.domain.apps:
            if app.status == "Deleting" and not app.stubborn:
                app.status = "Deleted"
        for space in [one for one in self.domain.spaces if one.status == "Deleting" and not one.stubborn]:
            self.domain.spaces.remove(space)

    def called(self, *operations: str) -> int:
        """Count the calls of some operations."""
        return sum(self.calls.count(operation) for operation in operations)

    # How the clients are led here

    def _remember(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._params = params

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        self.calls.append(model.name)
        _check_patterns(self._params, model.input_shape)
        try:
            if self.fails.get(model.name):
                raise self.fails[model.name].pop(0)
            act: Callable[..., dict[str, Any]] = getattr(self, f"_{model.name}")
            answer = act(**self._params)
        except AwsError as error:
            facts = {"HTTPStatusCode": error.status}
            return AWSResponse("", error.status, {}, None), {
                "Error": {"Code": error.code, "Message": error.message},
                "ResponseMetadata": facts,
            }
        if model.output_shape is not None:
            report = ParamValidator().validate(answer, model.output_shape)
            assert not report.has_errors(), report.generate_report()
        return AWSResponse("", 200, {}, None), answer | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    # SageMaker

    def _DescribeDomain(self, DomainId: str) -> dict[str, Any]:
        self._in(DomainId)
        return {"DomainId": DomainId, "Status": "InService"}

    def _ListUserProfiles(self, DomainIdEquals: str, **page: Any) -> dict[str, Any]:
        found = [
            {"DomainId": DomainIdEquals, "UserProfileName": one.name, "Status": one.status}
            for one in self._in(DomainIdEquals).profiles
        ]
        return self._paged("UserProfiles", found, **page)

    def _DescribeUserProfile(self, DomainId: str, UserProfileName: str) -> dict[str, Any]:
        for one in self._in(DomainId).profiles:
            if one.name.lower() == UserProfileName.lower():
                arn = f"arn:aws:sagemaker:{ACCOUNT}:user-profile/{DomainId}/{one.name.lower()}"
                settings = {"UserSettings": {"ExecutionRole": one.role}} if one.role else {}
                known = {"DomainId": DomainId, "UserProfileName": one.name, "UserProfileArn": arn}
                return known | {"Status": one.status} | settings
        raise AwsError("ResourceNotFound", "UserProfile does not exist")

    def _ListTags(self, ResourceArn: str, **page: Any) -> dict[str, Any]:
        _, domain, name = ResourceArn.split(":", 5)[5].split("/")
        for one in self.domains[domain].profiles:
            if one.name.lower() == name:
                tags = [{"Key": key, "Value": value} for key, value in one.tags.items()]
                return self._paged("Tags", tags, **page)
        raise AwsError("ValidationException", "RecordNotFound")

    def _ListApps(
        self, DomainIdEquals: str, UserProfileNameEquals: str = "", SpaceNameEquals: str = "", **page: Any
    ) -> dict[str, Any]:
        assert bool(UserProfileNameEquals) != bool(SpaceNameEquals), "ListApps takes one of the two"
        found = []
        for one in self._in(DomainIdEquals).apps:
            if (one.space == SpaceNameEquals) if SpaceNameEquals else (one.profile == UserProfileNameEquals):
                where = {"UserProfileName": one.profile} if one.profile else {}
                where |= {"SpaceName": one.space} if one.space else {}
                found.append({"AppName": one.name, "AppType": one.type, "Status": one.status} | where)
        return self._paged("Apps", found, **page)

    def _DeleteApp(
        self, DomainId: str, AppType: str, AppName: str, UserProfileName: str = "", SpaceName: str = ""
    ) -> dict[str, Any]:
        assert bool(UserProfileName) != bool(SpaceName), "DeleteApp takes one of the two"
        for one in self._in(DomainId).apps:
            place = one.space == SpaceName if SpaceName else (one.profile == UserProfileName and not one.space)
            if place and (one.type, one.name) == (AppType, AppName):
                if one.status in ("Deleted", "Failed"):
                    raise AwsError("ValidationException", "App has already been deleted")
                one.status = "Deleting"
                return {}
        raise AwsError("ResourceNotFound")

    def _ListSpaces(self, DomainIdEquals: str, **page: Any) -> dict[str, Any]:
        found = []
        for one in self._in(DomainIdEquals).spaces:
            owner = {"OwnershipSettingsSummary": {"OwnerUserProfileName": one.owner}} if one.owner else {}
            shared = {"SpaceSharingSettingsSummary": {"SharingType": one.sharing}}
            found.append({"DomainId": DomainIdEquals, "SpaceName": one.name, "Status": one.status} | owner | shared)
        return self._paged("Spaces", found, **page)

    def _DeleteSpace(self, DomainId: str, SpaceName: str) -> dict[str, Any]:
        domain = self._in(DomainId)
        for one in domain.spaces:
            if one.name == SpaceName:
                if any(app.space == SpaceName and app.status not in ("Deleted", "Failed") for app in domain.apps):
                    raise AwsError("ResourceInUse", f"Space {SpaceName} has apps")
                one.status = "Deleting"
                return {}
        raise AwsError("ResourceNotFound")

    # The others

    def _GetParameter(self, Name: str) -> dict[str, Any]:
        if Name not in self.settings:
            raise AwsError("ParameterNotFound")
        return {"Parameter": {"Name": Name, "Value": self.settings[Name]}}

    def _StartExecution(self, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:
        assert stateMachineArn == LOOP
        assert re.fullmatch("[0-9A-Za-z_-]{1,80}", name), name
        if name in self.executions:
            raise AwsError("ExecutionAlreadyExists", f"Execution already exists, with input {input}")
        self.executions[name] = input
        return {"executionArn": f"{LOOP}:{name}".replace("stateMachine", "execution"), "startDate": 0}

    def _GetResources(
        self, TagFilters: list[dict[str, Any]], ResourceTypeFilters: list[str], PaginationToken: str = ""
    ) -> dict[str, Any]:
        assert ResourceTypeFilters == ["sagemaker:user-profile"]
        ((key, (value,)),) = [(one["Key"], one["Values"]) for one in TagFilters]
        found = [
            f"arn:aws:sagemaker:{ACCOUNT}:user-profile/{domain}/{one.name.lower()}"
            for domain, held in self.domains.items()
            for one in held.profiles
            if one.tags.get(key) == value
        ]
        arns = found if self.tagged is None else self.tagged
        start = int(PaginationToken or 0)
        more = str(start + self.page) if start + self.page < len(arns) else ""
        shown = [{"ResourceARN": arn} for arn in arns[start : start + self.page]]
        return {"ResourceTagMappingList": shown, "PaginationToken": more}

    # What they share

    def _in(self, domain: str) -> Domain:
        if domain not in self.domains:
            raise AwsError("ResourceNotFound", f"Domain {domain} does not exist")
        return self.domains[domain]

    def _paged(self, key: str, found: list[Any], NextToken: str = "0", MaxResults: int = 100) -> dict[str, Any]:
        start = int(NextToken)
        more = {"NextToken": str(start + self.page)} if start + self.page < len(found) else {}
        return {key: found[start : start + self.page]} | more


def _check_patterns(value: Any, shape: Any) -> None:
    """Check what botocore leaves to the service: patterns and enumerations of what is sent."""
    if shape.type_name == "structure":
        for name, member in value.items():
            _check_patterns(member, shape.members[name])
    elif shape.type_name == "list":
        for member in value:
            _check_patterns(member, shape.member)
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern")
        if pattern and "\\p" not in pattern:
            assert re.fullmatch(pattern, value), f"{value!r} is no {shape.name}"
        assert value in (shape.enum or [value]), f"{value!r} is no {shape.name}"


class Asking:
    """Send requests of CloudFormation to the function and look at every answer."""

    def __init__(self, module: Any, server: Any, context: Any, request_event: Any, action: str) -> None:
        self._module, self._server, self._context, self._build = module, server, context, request_event
        self._action = action

    def event(self, kind: str, own_id: str | None, properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Build what CloudFormation sends."""
        given = {"ServiceToken": "arn", "Action": self._action} | properties
        place = {"PhysicalResourceId": own_id} if own_id is not None else {}
        event: dict[str, Any] = self._build(kind, ResourceProperties=given, LogicalResourceId="Own", **place, **changes)
        return event

    def handle(self, event: dict[str, Any], seconds: float = 120.0) -> dict[str, Any] | None:
        """Give the response, or None when the function said that it comes later."""
        before = len(self._server.sent)
        told = self._module.handler(event, self._context(seconds=seconds))
        sent = self._server.sent[before:]
        assert told == {"answered": bool(sent)}
        assert all(len(one.body) <= 4096 for one in sent)
        return sent[-1].json if sent else None

    def answers(self, kind: str, own_id: str | None, properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Give the response; it must be SUCCESS."""
        body = self.handle(self.event(kind, own_id, properties, **changes))
        assert body is not None
        assert body["Status"] == "SUCCESS", body
        return body

    def fails(self, kind: str, own_id: str | None, properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Give the response; it must be FAILED, keep the id and end with a mend."""
        body = self.handle(self.event(kind, own_id, properties, **changes))
        assert body is not None
        assert body["Status"] == "FAILED", body
        assert own_id is None or body["PhysicalResourceId"] == own_id
        assert ". (log stream" in body["Reason"], body["Reason"]
        return body
