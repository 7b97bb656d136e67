"""boto3 clients whose calls a function answers: requests and answers are held against botocore's model, nothing is sent."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.validate import validate_parameters
from mlops_cicd.clients import named

Handler = Callable[[str, dict[str, Any]], dict[str, Any]]


class Refused(Exception):
    """An answer that is an error of the service."""

    def __init__(self, code: str, message: str = "no", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class Service:
    """One service: its client, and the calls that were made, in order."""

    def __init__(self, name: str, handler: Handler) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.handler = handler
        make: Any = boto3.client
        self.client = named(make(name, region_name="eu-central-1", config=Config(signature_version=UNSIGNED)))
        self.client.meta.events.register("before-parameter-build", self._note)
        self.client.meta.events.register("before-call", self._answer)

    def named(self, operation: str) -> list[dict[str, Any]]:
        """Return the requests of one operation."""
        return [params for name, params in self.calls if name == operation]

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, dict(params)))

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        name, params = self.calls[-1]
        try:
            parsed = self.handler(name, params)
            status = 200
            validate_parameters({key: value for key, value in parsed.items() if key != "Body"}, model.output_shape)
        except Refused as error:
            parsed, status = {"Error": {"Code": error.code, "Message": error.message}}, error.status
        response = AWSResponse("https://nowhere", status, HTTPHeaders(), None)
        return response, {**parsed, "ResponseMetadata": {"HTTPStatusCode": status}}


class Bucket:
    """Objects by bucket and key, as S3 answers for them."""

    def __init__(
        self, objects: Mapping[tuple[str, str], bytes] | None = None, closed: frozenset[str] = frozenset()
    ) -> None:
        self.objects, self.closed = dict(objects or {}), closed
        # S3 tells a checksum of the kind that an object was put with.
        self.checksums: dict[tuple[str, str], str] = {}

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        bucket, key = params["Bucket"], params.get("Key", "")
        if bucket in self.closed:
            raise Refused("AccessDenied", "Access Denied", 403)
        if bucket.startswith("missing"):
            raise Refused("NoSuchBucket", "The specified bucket does not exist", 404)
        if operation == "ListObjectsV2":
            found = [
                {"Key": name, "Size": len(body)}
                for (owner, name), body in sorted(self.objects.items())
                if owner == bucket and name.startswith(params["Prefix"])
            ]
            return {"Contents": found, "IsTruncated": False} if found else {"IsTruncated": False}
        if operation == "PutObject":
            body = params["Body"]
            content = body.read() if hasattr(body, "read") else body
            actual = base64.b64encode(hashlib.sha256(content).digest()).decode()
            if params.get("ChecksumSHA256", actual) != actual:
                raise Refused("BadDigest", "The SHA256 you specified did not match")
            self.objects[bucket, key] = content
            self.checksums[bucket, key] = params.get("ChecksumSHA256", "")
            return {}
        if (bucket, key) not in self.objects:
            raise Refused("404" if operation == "HeadObject" else "NoSuchKey", "Not Found", 404)
        body = self.objects[bucket, key]
        if operation == "HeadObject":
            held = self.checksums.get((bucket, key)) if params.get("ChecksumMode") == "ENABLED" else None
            return {"ContentLength": len(body), **({"ChecksumSHA256": held} if held else {})}
        assert operation == "GetObject"
        if "Range" in params:
            first, last = params["Range"].removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1]
        return {"Body": StreamingBody(io.BytesIO(body), len(body))}


def clients(**services: Service) -> Callable[[str, str], Any]:
    """Return what makes clients, of these services and no others."""

    def make(service: str, region: str) -> Any:
        assert region == "eu-central-1"
        return services[service].client

    return make
