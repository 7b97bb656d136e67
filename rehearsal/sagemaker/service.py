"""SageMaker: what all its parts share. A part holds operations; things are kept by ARN, with their tags, in one place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rehearsal.ledger import Ledger
from rehearsal.services import Call, Json, Service, ServiceError, listed, page, shaped, tag_keys, tags_of

PAGE = 10  # SageMaker's own page, when a request names no size


class SageMaker(Service):
    """The service: keeps things and tags, and finds the part that plays an operation."""

    name = "sagemaker"

    def __init__(self, ledger: Ledger, endpoint: str) -> None:
        super().__init__()
        self.ledger, self.endpoint = ledger, endpoint
        self.born = datetime.now(UTC)
        self.made: dict[str, Json] = {}  # whatever no stack made, by ARN
        self._tags: dict[tuple[str, str], dict[str, str]] = {}  # of what a stack made, once somebody changed them
        self._held: set[str] = set()

    def tagged(self, account: str, region: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """List every resource with its tags."""
        place = f"arn:aws:sagemaker:{region}:{account}:"
        for request, made in self.ledger.of("AWS::SageMaker::", account, region):
            known = (text for text in (made.physical_id, *made.attributes.values()) if str(text).startswith(place))
            for arn in list(known)[:1]:
                yield arn, listed(self._tags.get((arn, request.stack_id), tags_of(request.properties.get("Tags"))))
        yield from ((arn, listed(thing["_Tags"])) for arn, thing in list(self.made.items()) if arn.startswith(place))

    def hold(self, arn: str, is_held: bool) -> None:
        """Keep an app or space from ending, or let it end."""
        (self._held.add if is_held else self._held.discard)(arn)

    # Tags

    def list_tags(self, call: Call) -> Json:
        arn = call.request["ResourceArn"]
        self.allow(call, arn)
        tags, token = page(self._tagged(call, arn), call.request.get("MaxResults", 50), call.request.get("NextToken"))
        return {"Tags": tags, "NextToken": token}

    def add_tags(self, call: Call) -> Json:
        arn, added = call.request["ResourceArn"], tags_of(call.request["Tags"])
        self.allow(call, arn, **tag_keys(added, {}))
        self._retag(call, arn, tags_of(self._tagged(call, arn)) | added)
        return {"Tags": self._tagged(call, arn)}

    def delete_tags(self, call: Call) -> None:
        arn, names = call.request["ResourceArn"], call.request["TagKeys"]
        self.allow(call, arn, **{"aws:TagKeys": names})
        held = tags_of(self._tagged(call, arn))
        self._retag(call, arn, {key: value for key, value in held.items() if key not in names})

    def things(self) -> dict[str, Json]:
        """Give what was made, each in the state that it has reached by now."""
        for arn, thing in list(self.made.items()):
            if "_then" in thing and arn not in self._held and time.monotonic() >= thing["_at"]:
                thing["Status"] = thing.pop("_then")
                if thing["Status"] == "gone":
                    del self.made[arn]
        return self.made

    def mine(self, account: str, region: str, kind: str) -> list[Json]:
        place = f"arn:aws:sagemaker:{region}:{account}:{kind}/"
        return [thing for arn, thing in list(self.things().items()) if arn.startswith(place)]

    def make(self, call: Call, arn: str, arn_name: str, status: str, tags: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        facts = {arn_name: arn, "Status": status, "CreationTime": now, "LastModifiedTime": now, "_Tags": dict(tags)}
        self.made[arn] = {**call.request, **facts}

    @staticmethod
    def found(thing: Json | None, what: str) -> Json:
        if thing is None:
            raise ServiceError("ResourceNotFound", f"{what} does not exist.")
        return thing

    def allow(self, call: Call, arn: str, **keys: Any) -> None:
        held = tags_of(dict(self.tagged(*call.place)).get(arn))
        call.allow(f"sagemaker:{call.operation}", arn, **tag_keys({}, held, "sagemaker"), **keys)

    def allow_new(self, call: Call, arn: str, tags: Mapping[str, str], **keys: Any) -> None:
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
        if arn in self.made:
            self.made[arn]["_Tags"] = tags
        for request, made in self.ledger.of("AWS::SageMaker::", *call.place):
            if arn in (made.physical_id, *made.attributes.values()):
                self._tags[arn, request.stack_id] = tags

    def page(self, call: Call, member: str, found: list[Json], shape: str) -> Json:
        items, token = page(found, call.request.get("MaxResults", PAGE), call.request.get("NextToken"))
        fitting = [shaped(item, self.model.shape_for(shape), strict=False) for item in items]
        return {member: fitting, "NextToken": token}

    def fitting(self, call: Call, thing: Json) -> Json:
        """Give what of a thing the answer has a place for: templates know properties that answers lack."""
        kept: Json = shaped(thing, self.model.operation_model(call.operation).output_shape, strict=False)
        return kept


class Part:
    """Some of SageMaker's operations, over what the service keeps."""

    def __init__(self, service: SageMaker) -> None:
        self.service = service
