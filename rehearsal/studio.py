"""SageMaker, as far as Studio and its projects go: profiles, spaces, apps, tags, and links into Studio.

Domains and profiles are those that stacks recorded, and profiles made by hand. An app is a state and runs nothing; a link
gives the credentials of the profile's execution role, as its browser session would. There are no quotas."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rehearsal.catalogue import Catalogue
from rehearsal.errors import Refused
from rehearsal.ledger import Ledger, Request
from rehearsal.ministack_internals import access
from rehearsal.services import Call, Json, Service, ServiceError, listed, page, shaped, tag_keys, tags_of

DOMAIN, PROFILE = "AWS::SageMaker::Domain", "AWS::SageMaker::UserProfile"
SETTLES = 0.2  # seconds that an app or space takes to start or stop
PAGE = 10  # SageMaker's own page, when a request names no size


class Studio(Service):
    """The operations of SageMaker that people and helper functions of the platform call, each as AWS describes it."""

    name = "sagemaker"

    def __init__(self, ledger: Ledger, catalogue: Catalogue) -> None:
        super().__init__()
        self._ledger, self._catalogue = ledger, catalogue
        self._born = datetime.now(UTC)
        self._made: dict[str, Json] = {}  # spaces, apps, projects and hand-made profiles, by ARN
        self._tags: dict[tuple[str, str], dict[str, str]] = {}  # of what a stack made, once somebody changed them
        self._held: set[str] = set()
        self._links: dict[str, tuple[str, str, Json]] = {}

    def checks(self) -> dict[tuple[str, str], Callable[[Request], None]]:
        """Give what Studio has against changes that stacks make."""
        return {
            (DOMAIN, "delete"): self._domain_is_empty,
            (PROFILE, "create"): self._profile_is_new,
            (PROFILE, "delete"): self._profile_is_empty,
        }

    def tagged(self, account: str, region: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """List every resource with its tags."""
        place = f"arn:aws:sagemaker:{region}:{account}:"
        for request, made in self._ledger.of("AWS::SageMaker::", account, region):
            known = (text for text in (made.physical_id, *made.attributes.values()) if str(text).startswith(place))
            for arn in list(known)[:1]:
                yield arn, listed(self._tags.get((arn, request.stack_id), tags_of(request.properties.get("Tags"))))
        yield from ((arn, listed(thing["_Tags"])) for arn, thing in list(self._made.items()) if arn.startswith(place))

    def hold(self, arn: str, is_held: bool) -> None:
        """Keep an app or space from ending, or let it end."""
        (self._held.add if is_held else self._held.discard)(arn)

    def enter(self, token: str) -> Json:
        """Open a link: give the credentials of the profile's execution role; a link works once."""
        if token not in self._links:
            raise Refused("This link into Studio was used already. Ask for a new one: CreatePresignedDomainUrl.")
        account, region, profile = self._links.pop(token)
        domain = self._domains(account, region)[profile["DomainId"]]
        settings = [
            (thing.get("UserSettings") or thing.get("DefaultUserSettings") or {}) for thing in (profile, domain)
        ]
        role = next(given["ExecutionRole"] for given in settings if given.get("ExecutionRole"))
        names = {"sagemaker:DomainId": profile["DomainId"], "sagemaker:UserProfileName": profile["UserProfileName"]}
        made = access.assume(role, domain["DomainArn"], "SageMaker", names)
        return {"access_key": made.access_key, "secret_key": made.secret_key, "token": made.token}

    # Domains and profiles

    def list_domains(self, call: Call) -> Json:
        call.allow("sagemaker:ListDomains")
        return self._page(call, "Domains", list(self._domains(*call.place).values()), "DomainDetails")

    def describe_domain(self, call: Call) -> Json:
        name = call.request["DomainId"]
        self._allow(call, call.arn("sagemaker", f"domain/{name}"))
        return self._fitting(call, self._found(self._domains(*call.place).get(name), f"Domain {name}"))

    def list_user_profiles(self, call: Call) -> Json:
        call.allow("sagemaker:ListUserProfiles")
        wanted = call.request.get("UserProfileNameContains", "")
        found = self._profiles(*call.place, call.request.get("DomainIdEquals"))
        return self._page(
            call, "UserProfiles", [p for p in found if wanted in p["UserProfileName"]], "UserProfileDetails"
        )

    def describe_user_profile(self, call: Call) -> Json:
        self._allow(call, self._profile_arn(call))
        return self._fitting(call, self._profile(call))

    def create_user_profile(self, call: Call) -> Json:
        arn, tags = self._profile_arn(call), tags_of(call.request.get("Tags"))
        self._allow_new(call, arn, tags)
        self._found(self._domains(*call.place).get(call.request["DomainId"]), "The domain")
        names = [p["UserProfileName"].lower() for p in self._profiles(*call.place, call.request["DomainId"])]
        if call.request["UserProfileName"].lower() in names:
            raise ServiceError("ResourceInUse", f"User profile {call.request['UserProfileName']} already exists.")
        self._make(call, arn, "UserProfileArn", "InService", tags)
        return {"UserProfileArn": arn}

    def delete_user_profile(self, call: Call) -> None:
        arn = self._profile_arn(call)
        self._allow(call, arn)
        profile = self._profile(call)
        if owned := self._owned(*call.place, profile["DomainId"], profile["UserProfileName"]):
            raise ServiceError("ResourceInUse", f"The profile still has {', '.join(owned)}. Delete these first.")
        if self._made.pop(arn, None) is None:
            request, made = profile["_recorded"]
            self._ledger.lost(request, made.physical_id)

    def create_presigned_domain_url(self, call: Call) -> Json:
        self._allow(call, self._profile_arn(call))
        profile, token = self._profile(call), secrets.token_urlsafe(24)
        self._links[token] = (*call.place, profile)
        return {"AuthorizedUrl": f"{self._catalogue.endpoint}/_rehearsal/studio?token={token}"}

    # Spaces

    def create_space(self, call: Call) -> Json:
        arn, tags = self._space(call)[0], tags_of(call.request.get("Tags"))
        given = [value for value in call.request.get("SpaceSettings", {}).values() if isinstance(value, dict)]
        kinds = [value.get("DefaultResourceSpec", {}).get("InstanceType") for value in given]
        keys = {"sagemaker:InstanceTypes": list(filter(None, kinds))} if any(kinds) else {}
        self._allow_new(call, arn, tags, **self._space_keys(call, call.request), **keys)
        self._found(self._domains(*call.place).get(call.request["DomainId"]), "The domain")
        owner = call.request.get("OwnershipSettings", {}).get("OwnerUserProfileName")
        if owner:
            self._found(self._named(*call.place, call.request["DomainId"], owner), f"User profile {owner}")
        if arn in self._things():
            raise ServiceError("ResourceInUse", f"Space {call.request['SpaceName']} already exists.")
        self._make(call, arn, "SpaceArn", "InService", tags)
        return {"SpaceArn": arn}

    def list_spaces(self, call: Call) -> Json:
        call.allow("sagemaker:ListSpaces")
        domain, wanted = call.request.get("DomainIdEquals"), call.request.get("SpaceNameContains", "")
        found = [
            {
                **s,
                "OwnershipSettingsSummary": s.get("OwnershipSettings"),
                "SpaceSharingSettingsSummary": s.get("SpaceSharingSettings"),
            }
            for s in self._mine(*call.place, "space")
            if domain in (None, s["DomainId"]) and wanted in s["SpaceName"]
        ]
        return self._page(call, "Spaces", found, "SpaceDetails")

    def describe_space(self, call: Call) -> Json:
        arn, space = self._space(call)
        self._allow(call, arn, **self._space_keys(call, space or {}))
        return self._fitting(call, self._found(space, f"Space {call.request['SpaceName']}"))

    def delete_space(self, call: Call) -> None:
        arn, space = self._space(call)
        self._allow(call, arn, **self._space_keys(call, space or {}))
        name = self._found(space, f"Space {call.request['SpaceName']}")["SpaceName"]
        apps = self._mine(*call.place, "app")
        if any(
            a.get("SpaceName") == name and a["DomainId"] == call.request["DomainId"] and a["Status"] != "Deleted"
            for a in apps
        ):
            raise ServiceError("ResourceInUse", f"Space {name} still has apps. Delete these first.")
        self._made[arn] |= {"Status": "Deleting", "_then": "gone", "_at": time.monotonic() + SETTLES}

    # Apps

    def create_app(self, call: Call) -> Json:
        arn, app, keys = self._app(call)
        tags = tags_of(call.request.get("Tags"))
        self._allow_new(call, arn, tags, **keys)
        place = (*call.place, call.request["DomainId"])
        if space := call.request.get("SpaceName"):
            self._found(self._space(call)[1], f"Space {space}")
        else:
            self._found(self._named(*place, call.request.get("UserProfileName", "")), "The user profile")
        if app and app["Status"] not in ("Deleted", "Failed"):
            raise ServiceError("ResourceInUse", f"App {call.request['AppName']} already exists.")
        self._make(call, arn, "AppArn", "Pending", tags)
        self._made[arn] |= {"_then": "InService", "_at": time.monotonic() + SETTLES}
        return {"AppArn": arn}

    def list_apps(self, call: Call) -> Json:
        call.allow("sagemaker:ListApps")
        pairs = (
            ("DomainId", "DomainIdEquals"),
            ("UserProfileName", "UserProfileNameEquals"),
            ("SpaceName", "SpaceNameEquals"),
        )
        wanted = {name: call.request[asked] for name, asked in pairs if asked in call.request}
        apps = self._mine(*call.place, "app")
        return self._page(call, "Apps", [a for a in apps if wanted.items() <= a.items()], "AppDetails")

    def describe_app(self, call: Call) -> Json:
        arn, app, keys = self._app(call)
        self._allow(call, arn, **keys)
        return self._fitting(call, self._found(app, f"App {call.request['AppName']}"))

    def delete_app(self, call: Call) -> None:
        arn, app, keys = self._app(call)
        self._allow(call, arn, **keys)
        if self._found(app, f"App {call.request['AppName']}")["Status"] in ("Deleting", "Deleted"):
            code = "ResourceInUse" if app and app["Status"] == "Deleting" else "ResourceNotFound"
            raise ServiceError(code, f"App {call.request['AppName']} is {app['Status'] if app else 'gone'}.")
        self._made[arn] |= {"Status": "Deleting", "_then": "Deleted", "_at": time.monotonic() + SETTLES}

    # Tags

    def list_tags(self, call: Call) -> Json:
        arn = call.request["ResourceArn"]
        self._allow(call, arn)
        tags, token = page(self._tagged(call, arn), call.request.get("MaxResults", 50), call.request.get("NextToken"))
        return {"Tags": tags, "NextToken": token}

    def add_tags(self, call: Call) -> Json:
        arn, added = call.request["ResourceArn"], tags_of(call.request["Tags"])
        self._allow(call, arn, **tag_keys(added, {}))
        self._retag(call, arn, tags_of(self._tagged(call, arn)) | added)
        return {"Tags": self._tagged(call, arn)}

    def delete_tags(self, call: Call) -> None:
        arn, names = call.request["ResourceArn"], call.request["TagKeys"]
        self._allow(call, arn, **{"aws:TagKeys": names})
        held = tags_of(self._tagged(call, arn))
        self._retag(call, arn, {key: value for key, value in held.items() if key not in names})

    # Projects

    def create_project(self, call: Call) -> Json:
        name, tags = call.request["ProjectName"], tags_of(call.request.get("Tags"))
        arn = call.arn("sagemaker", f"project/{name}")
        self._allow_new(call, arn, tags)
        if self._made.get(arn, {}).get("ProjectStatus", "DeleteCompleted") != "DeleteCompleted":
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
        self._make(call, arn, "ProjectArn", "", tags | marks)
        facts = {"ProjectId": number, "_product": record["ProvisionedProductId"], "_record": record["RecordId"]}
        self._made[arn] |= {**facts, "ProjectStatus": "CreateInProgress"}
        return {"ProjectArn": arn, "ProjectId": number}

    def describe_project(self, call: Call) -> Json:
        arn = call.arn("sagemaker", f"project/{call.request['ProjectName']}")
        self._allow(call, arn)
        return self._fitting(call, self._project(arn))

    def list_projects(self, call: Call) -> Json:
        call.allow("sagemaker:ListProjects")
        wanted = call.request.get("NameContains", "")
        arns = [p["ProjectArn"] for p in self._mine(*call.place, "project") if wanted in p["ProjectName"]]
        found = [p for p in map(self._project, arns) if p["ProjectStatus"] != "DeleteCompleted"]
        return self._page(call, "ProjectSummaryList", found, "ProjectSummary")

    def delete_project(self, call: Call) -> None:
        arn = call.arn("sagemaker", f"project/{call.request['ProjectName']}")
        self._allow(call, arn)
        project = self._project(arn)
        if project["ProjectStatus"].endswith("InProgress"):
            raise ServiceError("ConflictException", f"Project {project['ProjectName']} is {project['ProjectStatus']}.")
        record = self._catalogue.ask("TerminateProvisionedProduct", call, {"ProvisionedProductId": project["_product"]})
        self._made[arn] |= {"ProjectStatus": "DeleteInProgress", "_record": record["RecordId"]}

    def _project(self, arn: str) -> Json:
        """Give a project as its product's last record says."""
        if (project := self._made.get(arn)) is None:
            raise ServiceError("ValidationException", f"Project {arn.rpartition('/')[2]} does not exist.")
        status, message = self._catalogue.outcome(project["_record"])
        if project["ProjectStatus"].endswith("InProgress") and status in ("SUCCEEDED", "FAILED"):
            done = "Completed" if status == "SUCCEEDED" else "Failed"
            project["ProjectStatus"] = project["ProjectStatus"].replace("InProgress", done)
        told = {"ProvisionedProductId": project["_product"], "ProvisionedProductStatusMessage": message or None}
        project["ServiceCatalogProvisionedProductDetails"] = told
        return project

    # What there is

    def _domains(self, account: str, region: str) -> dict[str, Json]:
        found = {}
        for request, made in self._ledger.of(DOMAIN, account, region):
            found[made.physical_id] = self._recorded(request.properties, made.attributes, DomainId=made.physical_id)
        return found

    def _profiles(self, account: str, region: str, domain: str | None = None) -> list[Json]:
        found = [
            self._recorded(r.properties, made.attributes, _recorded=(r, made))
            for r, made in self._ledger.of(PROFILE, account, region)
        ]
        found += self._mine(account, region, "user-profile")
        return [profile for profile in found if domain in (None, profile["DomainId"])]

    def _recorded(self, properties: Mapping[str, Any], attributes: Mapping[str, Any], **facts: Any) -> Json:
        times = dict.fromkeys(("CreationTime", "LastModifiedTime"), self._born)
        return {**properties, **attributes, "Status": "InService", **times, **facts}

    def _named(self, account: str, region: str, domain: str, name: str) -> Json | None:
        return next((p for p in self._profiles(account, region, domain) if p["UserProfileName"] == name), None)

    def _profile(self, call: Call) -> Json:
        name = call.request["UserProfileName"]
        return self._found(self._named(*call.place, call.request["DomainId"], name), f"User profile {name}")

    def _profile_arn(self, call: Call, name: str = "") -> str:
        owner = name or call.request["UserProfileName"]
        return call.arn("sagemaker", f"user-profile/{call.request['DomainId']}/{owner}")

    def _space(self, call: Call) -> tuple[str, Json | None]:
        arn = call.arn("sagemaker", f"space/{call.request['DomainId']}/{call.request['SpaceName']}")
        return arn, self._things().get(arn)

    def _app(self, call: Call) -> tuple[str, Json | None, Json]:
        """Give an app's ARN, the app when there is one, and the condition keys of its space."""
        request = call.request
        owner = request.get("SpaceName") or request.get("UserProfileName", "")
        arn = call.arn(
            "sagemaker", f"app/{request['DomainId']}/{owner}/{request['AppType'].lower()}/{request['AppName']}"
        )
        keys = self._space_keys(call, (self._space(call)[1] or {})) if "SpaceName" in request else {}
        if kind := request.get("ResourceSpec", {}).get("InstanceType"):
            keys["sagemaker:InstanceTypes"] = [kind]
        return arn, self._things().get(arn), keys

    def _space_keys(self, call: Call, space: Mapping[str, Any]) -> Json:
        keys = {}
        if owner := (space.get("OwnershipSettings") or {}).get("OwnerUserProfileName"):
            keys["sagemaker:OwnerUserProfileArn"] = self._profile_arn(call, owner)
        if kind := (space.get("SpaceSharingSettings") or {}).get("SharingType"):
            keys["sagemaker:SpaceSharingType"] = kind
        return keys

    def _owned(self, account: str, region: str, domain: str, profile: str) -> list[str]:
        """Name the spaces of a profile, and the apps that are its own or stand in them."""
        spaces = [
            space["SpaceName"]
            for space in self._mine(account, region, "space")
            if space["DomainId"] == domain and space.get("OwnershipSettings", {}).get("OwnerUserProfileName") == profile
        ]
        apps = [
            app["AppName"]
            for app in self._mine(account, region, "app")
            if app["DomainId"] == domain and app["Status"] != "Deleted"
            if app.get("UserProfileName") == profile or app.get("SpaceName") in spaces
        ]
        return [f"space {name}" for name in spaces] + [f"app {name}" for name in apps]

    def _things(self) -> dict[str, Json]:
        """Give what was made, each in the state that it has reached by now."""
        for arn, thing in list(self._made.items()):
            if "_then" in thing and arn not in self._held and time.monotonic() >= thing["_at"]:
                thing["Status"] = thing.pop("_then")
                if thing["Status"] == "gone":
                    del self._made[arn]
        return self._made

    def _mine(self, account: str, region: str, kind: str) -> list[Json]:
        place = f"arn:aws:sagemaker:{region}:{account}:{kind}/"
        return [thing for arn, thing in list(self._things().items()) if arn.startswith(place)]

    def _make(self, call: Call, arn: str, arn_name: str, status: str, tags: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        facts = {arn_name: arn, "Status": status, "CreationTime": now, "LastModifiedTime": now, "_Tags": dict(tags)}
        self._made[arn] = {**call.request, **facts}

    @staticmethod
    def _found(thing: Json | None, what: str) -> Json:
        if thing is None:
            raise ServiceError("ResourceNotFound", f"{what} does not exist.")
        return thing

    # Rights, tags, pages

    def _allow(self, call: Call, arn: str, **keys: Any) -> None:
        held = tags_of(dict(self.tagged(*call.place)).get(arn))
        call.allow(f"sagemaker:{call.operation}", arn, **tag_keys({}, held, "sagemaker"), **keys)

    def _allow_new(self, call: Call, arn: str, tags: Mapping[str, str], **keys: Any) -> None:
        """Hold a creation against the policies, and the tagging that goes with it, which is an action of its own."""
        call.allow(f"sagemaker:{call.operation}", arn, **tag_keys(tags, {}), **keys)
        if tags:
            call.allow("sagemaker:AddTags", arn, **tag_keys(tags, {}), **{"sagemaker:TaggingAction": call.operation})

    def _tagged(self, call: Call, arn: str) -> list[dict[str, str]]:
        known = dict(self.tagged(*call.place))
        if arn not in known:
            raise ServiceError("ResourceNotFound", f"{arn} does not exist.")
        return known[arn]

    def _retag(self, call: Call, arn: str, tags: dict[str, str]) -> None:
        if arn in self._made:
            self._made[arn]["_Tags"] = tags
        for request, made in self._ledger.of("AWS::SageMaker::", *call.place):
            if arn in (made.physical_id, *made.attributes.values()):
                self._tags[arn, request.stack_id] = tags

    def _page(self, call: Call, member: str, found: list[Json], shape: str) -> Json:
        items, token = page(found, call.request.get("MaxResults", PAGE), call.request.get("NextToken"))
        fitting = [shaped(item, self.model.shape_for(shape), strict=False) for item in items]
        return {member: fitting, "NextToken": token}

    def _fitting(self, call: Call, thing: Json) -> Json:
        """Give what of a thing the answer has a place for: templates know properties that answers lack."""
        kept: Json = shaped(thing, self.model.operation_model(call.operation).output_shape, strict=False)
        return kept

    # What stacks may not do; the words are SageMaker's

    def _profile_is_new(self, request: Request) -> None:
        domain, name = (str(request.properties.get(key)) for key in ("DomainId", "UserProfileName"))
        if any(
            p["UserProfileName"].lower() == name.lower()
            for p in self._profiles(request.account, request.region, domain)
        ):
            raise Refused(f"Resource of type '{PROFILE}' with identifier '{name}|{domain}' already exists.")

    def _profile_is_empty(self, request: Request) -> None:
        name, domain = request.physical_id.split("|")
        if owned := self._owned(request.account, request.region, domain, name):
            raise Refused(f"Unable to delete UserProfile {name}: in use by {', '.join(owned)} (ResourceInUse)")

    def _domain_is_empty(self, request: Request) -> None:
        place, domain = (request.account, request.region), request.physical_id
        names = [profile["UserProfileName"] for profile in self._profiles(*place, domain)]
        names += [space["SpaceName"] for space in self._mine(*place, "space") if space["DomainId"] == domain]
        if names:
            raise Refused(f"Unable to delete Domain {domain}: in use by {', '.join(names)} (ResourceInUse)")
