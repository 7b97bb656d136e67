"""Studio: profiles, spaces, apps, and links into it.

Domains and profiles are those that stacks recorded, and profiles made by hand. An app is a state and runs nothing; a link
gives the credentials of the profile's execution role, as its browser session would. There are no quotas."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.errors import Refused
from rehearsal.ledger import Request
from rehearsal.ministack_internals import access
from rehearsal.sagemaker.service import Part, SageMaker
from rehearsal.services import Call, Json, ServiceError, tags_of

DOMAIN, PROFILE = "AWS::SageMaker::Domain", "AWS::SageMaker::UserProfile"
SETTLES = 0.2  # seconds that an app or space takes to start or stop


class Studio(Part):
    """The operations of SageMaker that people and helper functions of the platform call, each as AWS describes it."""

    def __init__(self, service: SageMaker) -> None:
        super().__init__(service)
        self._links: dict[str, tuple[str, str, Json]] = {}

    def checks(self) -> dict[tuple[str, str], Callable[[Request], None]]:
        """Give what Studio has against changes that stacks make."""
        return {
            (DOMAIN, "delete"): self._domain_is_empty,
            (PROFILE, "create"): self._profile_is_new,
            (PROFILE, "delete"): self._profile_is_empty,
        }

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
        return self.service.page(call, "Domains", list(self._domains(*call.place).values()), "DomainDetails")

    def describe_domain(self, call: Call) -> Json:
        name = call.request["DomainId"]
        self.service.allow(call, call.arn("sagemaker", f"domain/{name}"))
        return self.service.fitting(call, self.service.found(self._domains(*call.place).get(name), f"Domain {name}"))

    def list_user_profiles(self, call: Call) -> Json:
        call.allow("sagemaker:ListUserProfiles")
        wanted = call.request.get("UserProfileNameContains", "")
        found = self._profiles(*call.place, call.request.get("DomainIdEquals"))
        return self.service.page(
            call, "UserProfiles", [p for p in found if wanted in p["UserProfileName"]], "UserProfileDetails"
        )

    def describe_user_profile(self, call: Call) -> Json:
        self.service.allow(call, self._profile_arn(call))
        return self.service.fitting(call, self._profile(call))

    def create_user_profile(self, call: Call) -> Json:
        arn, tags = self._profile_arn(call), tags_of(call.request.get("Tags"))
        self.service.allow_new(call, arn, tags)
        self.service.found(self._domains(*call.place).get(call.request["DomainId"]), "The domain")
        names = [p["UserProfileName"].lower() for p in self._profiles(*call.place, call.request["DomainId"])]
        if call.request["UserProfileName"].lower() in names:
            raise ServiceError("ResourceInUse", f"User profile {call.request['UserProfileName']} already exists.")
        self.service.make(call, arn, "UserProfileArn", "InService", tags)
        return {"UserProfileArn": arn}

    def delete_user_profile(self, call: Call) -> None:
        arn = self._profile_arn(call)
        self.service.allow(call, arn)
        profile = self._profile(call)
        if owned := self._owned(*call.place, profile["DomainId"], profile["UserProfileName"]):
            raise ServiceError("ResourceInUse", f"The profile still has {', '.join(owned)}. Delete these first.")
        if self.service.made.pop(arn, None) is None:
            request, made = profile["_recorded"]
            self.service.ledger.lost(request, made.physical_id)

    def create_presigned_domain_url(self, call: Call) -> Json:
        self.service.allow(call, self._profile_arn(call))
        profile, token = self._profile(call), secrets.token_urlsafe(24)
        self._links[token] = (*call.place, profile)
        return {"AuthorizedUrl": f"{self.service.endpoint}/_rehearsal/studio?token={token}"}

    # Spaces

    def create_space(self, call: Call) -> Json:
        arn, tags = self._space(call)[0], tags_of(call.request.get("Tags"))
        given = [value for value in call.request.get("SpaceSettings", {}).values() if isinstance(value, dict)]
        kinds = [value.get("DefaultResourceSpec", {}).get("InstanceType") for value in given]
        keys = {"sagemaker:InstanceTypes": list(filter(None, kinds))} if any(kinds) else {}
        self.service.allow_new(call, arn, tags, **self._space_keys(call, call.request), **keys)
        self.service.found(self._domains(*call.place).get(call.request["DomainId"]), "The domain")
        owner = call.request.get("OwnershipSettings", {}).get("OwnerUserProfileName")
        if owner:
            self.service.found(self._named(*call.place, call.request["DomainId"], owner), f"User profile {owner}")
        if arn in self.service.things():
            raise ServiceError("ResourceInUse", f"Space {call.request['SpaceName']} already exists.")
        self.service.make(call, arn, "SpaceArn", "InService", tags)
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
            for s in self.service.mine(*call.place, "space")
            if domain in (None, s["DomainId"]) and wanted in s["SpaceName"]
        ]
        return self.service.page(call, "Spaces", found, "SpaceDetails")

    def describe_space(self, call: Call) -> Json:
        arn, space = self._space(call)
        self.service.allow(call, arn, **self._space_keys(call, space or {}))
        return self.service.fitting(call, self.service.found(space, f"Space {call.request['SpaceName']}"))

    def delete_space(self, call: Call) -> None:
        arn, space = self._space(call)
        self.service.allow(call, arn, **self._space_keys(call, space or {}))
        name = self.service.found(space, f"Space {call.request['SpaceName']}")["SpaceName"]
        apps = self.service.mine(*call.place, "app")
        if any(
            a.get("SpaceName") == name and a["DomainId"] == call.request["DomainId"] and a["Status"] != "Deleted"
            for a in apps
        ):
            raise ServiceError("ResourceInUse", f"Space {name} still has apps. Delete these first.")
        self.service.made[arn] |= {"Status": "Deleting", "_then": "gone", "_at": time.monotonic() + SETTLES}

    # Apps

    def create_app(self, call: Call) -> Json:
        arn, app, keys = self._app(call)
        tags = tags_of(call.request.get("Tags"))
        self.service.allow_new(call, arn, tags, **keys)
        place = (*call.place, call.request["DomainId"])
        if space := call.request.get("SpaceName"):
            self.service.found(self._space(call)[1], f"Space {space}")
        else:
            self.service.found(self._named(*place, call.request.get("UserProfileName", "")), "The user profile")
        if app and app["Status"] not in ("Deleted", "Failed"):
            raise ServiceError("ResourceInUse", f"App {call.request['AppName']} already exists.")
        self.service.make(call, arn, "AppArn", "Pending", tags)
        self.service.made[arn] |= {"_then": "InService", "_at": time.monotonic() + SETTLES}
        return {"AppArn": arn}

    def list_apps(self, call: Call) -> Json:
        call.allow("sagemaker:ListApps")
        pairs = (
            ("DomainId", "DomainIdEquals"),
            ("UserProfileName", "UserProfileNameEquals"),
            ("SpaceName", "SpaceNameEquals"),
        )
        wanted = {name: call.request[asked] for name, asked in pairs if asked in call.request}
        apps = self.service.mine(*call.place, "app")
        return self.service.page(call, "Apps", [a for a in apps if wanted.items() <= a.items()], "AppDetails")

    def describe_app(self, call: Call) -> Json:
        arn, app, keys = self._app(call)
        self.service.allow(call, arn, **keys)
        return self.service.fitting(call, self.service.found(app, f"App {call.request['AppName']}"))

    def delete_app(self, call: Call) -> None:
        arn, app, keys = self._app(call)
        self.service.allow(call, arn, **keys)
        if self.service.found(app, f"App {call.request['AppName']}")["Status"] in ("Deleting", "Deleted"):
            code = "ResourceInUse" if app and app["Status"] == "Deleting" else "ResourceNotFound"
            raise ServiceError(code, f"App {call.request['AppName']} is {app['Status'] if app else 'gone'}.")
        self.service.made[arn] |= {"Status": "Deleting", "_then": "Deleted", "_at": time.monotonic() + SETTLES}

    # What there is

    def _domains(self, account: str, region: str) -> dict[str, Json]:
        found = {}
        for request, made in self.service.ledger.of(DOMAIN, account, region):
            found[made.physical_id] = self._recorded(request.properties, made.attributes, DomainId=made.physical_id)
        return found

    def _profiles(self, account: str, region: str, domain: str | None = None) -> list[Json]:
        found = [
            self._recorded(r.properties, made.attributes, _recorded=(r, made))
            for r, made in self.service.ledger.of(PROFILE, account, region)
        ]
        found += self.service.mine(account, region, "user-profile")
        return [profile for profile in found if domain in (None, profile["DomainId"])]

    def _recorded(self, properties: Mapping[str, Any], attributes: Mapping[str, Any], **facts: Any) -> Json:
        times = dict.fromkeys(("CreationTime", "LastModifiedTime"), self.service.born)
        return {**properties, **attributes, "Status": "InService", **times, **facts}

    def _named(self, account: str, region: str, domain: str, name: str) -> Json | None:
        return next((p for p in self._profiles(account, region, domain) if p["UserProfileName"] == name), None)

    def _profile(self, call: Call) -> Json:
        name = call.request["UserProfileName"]
        return self.service.found(self._named(*call.place, call.request["DomainId"], name), f"User profile {name}")

    def _profile_arn(self, call: Call, name: str = "") -> str:
        owner = name or call.request["UserProfileName"]
        return call.arn("sagemaker", f"user-profile/{call.request['DomainId']}/{owner}")

    def _space(self, call: Call) -> tuple[str, Json | None]:
        arn = call.arn("sagemaker", f"space/{call.request['DomainId']}/{call.request['SpaceName']}")
        return arn, self.service.things().get(arn)

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
        return arn, self.service.things().get(arn), keys

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
            for space in self.service.mine(account, region, "space")
            if space["DomainId"] == domain and space.get("OwnershipSettings", {}).get("OwnerUserProfileName") == profile
        ]
        apps = [
            app["AppName"]
            for app in self.service.mine(account, region, "app")
            if app["DomainId"] == domain and app["Status"] != "Deleted"
            if app.get("UserProfileName") == profile or app.get("SpaceName") in spaces
        ]
        return [f"space {name}" for name in spaces] + [f"app {name}" for name in apps]

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
        names += [space["SpaceName"] for space in self.service.mine(*place, "space") if space["DomainId"] == domain]
        if names:
            raise Refused(f"Unable to delete Domain {domain}: in use by {', '.join(names)} (ResourceInUse)")
