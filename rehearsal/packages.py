"""CodeArtifact, as far as pip goes: a token, an endpoint, and behind it the package index of this machine as upstream."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rehearsal.acting import now
from rehearsal.index import Index, NotInIndex
from rehearsal.ledger import Ledger
from rehearsal.services import Call, Json, Service, ServiceError

TYPES = "AWS::CodeArtifact::"
LONGEST = 12 * 3600  # seconds that a token is good for when nobody asks for less


# Where pip reads: PLACE/DOMAIN/REPOSITORY/simple/PROJECT/ and PLACE/DOMAIN/REPOSITORY/files/NUMBER/NAME.
PLACE = "/_codeartifact/"


class Packages(Service):
    """What `aws codeartifact login` calls, and what pip reads afterwards."""

    name = "codeartifact"

    def __init__(self, ledger: Ledger, endpoint: str, index: Index) -> None:
        super().__init__()
        self._ledger, self._endpoint, self._index = ledger, endpoint, index
        self._tokens: dict[str, Call] = {}

    def read(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        """Answer pip: HTTP status, content type and content. The token's owner must be allowed to read."""
        kind, _, given = authorization.partition(" ")
        token = b64decode(given).decode().partition(":")[2] if kind == "Basic" else ""
        call, parts = self._tokens.get(token), path.removeprefix(PLACE).split("/")
        if call is None:
            return 401, "text/plain", b"Sign in: aws codeartifact login --tool pip."
        try:
            domain, repository, what, name = parts[:4]
            call.allow("codeartifact:ReadFromRepository", call.arn("codeartifact", f"repository/{domain}/{repository}"))
            if what == "simple":
                return 200, "text/html", self._index.page(name)
            return 200, "application/octet-stream", self._index.file(name)
        except ServiceError as error:
            return 403, "text/plain", str(error).encode()
        except (NotInIndex, ValueError) as error:
            return 404, "text/plain", str(error).encode()

    def answer_rest(
        self,
        method: str,
        path: str,
        query: Mapping[str, Sequence[str]],
        body: bytes,
        account: str,
        region: str,
        key: str,
    ) -> tuple[int, Json]:
        """Find the operation of a REST request, and play it."""
        for operation in self.model.operation_names:
            shapes = self.model.operation_model(operation)
            if (shapes.http["method"], shapes.http["requestUri"]) == (method, path):
                request = json.loads(body or b"{}")
                for name, member in shapes.input_shape.members.items():
                    given = query.get(member.serialization.get("name", name))
                    if given and member.serialization.get("location") == "querystring":
                        request[name] = int(given[0]) if member.type_name == "long" else given[0]
                return self.answer(operation, json.dumps(request).encode(), account, region, key)
        return 404, {"__type": "UnknownOperationException", "message": f"The rehearsal does not play {method} {path}."}

    def get_authorization_token(self, call: Call) -> Json:
        domain = call.request["domain"]
        call.allow("codeartifact:GetAuthorizationToken", call.arn("codeartifact", f"domain/{domain}"))
        call.allow("sts:GetServiceBearerToken", "*", **{"sts:AWSServiceName": "codeartifact.amazonaws.com"})
        self._made(call, "Domain", DomainName=domain)
        seconds = call.request.get("durationSeconds") or LONGEST
        token = secrets.token_urlsafe(96)
        self._tokens[token] = call
        return {"authorizationToken": token, "expiration": now() + timedelta(seconds=seconds)}

    def get_repository_endpoint(self, call: Call) -> Json:
        domain, name = call.request["domain"], call.request["repository"]
        call.allow("codeartifact:GetRepositoryEndpoint", call.arn("codeartifact", f"repository/{domain}/{name}"))
        self._made(call, "Repository", DomainName=domain, RepositoryName=name)
        return {"repositoryEndpoint": f"{self._endpoint}{PLACE}{domain}/{name}/"}

    def _made(self, call: Call, kind: str, **wanted: str) -> None:
        owner: Any = call.request.get("domainOwner", call.account)
        known = [request.properties for request, _ in self._ledger.of(f"{TYPES}{kind}", *call.place)]
        if owner != call.account or not any(wanted.items() <= row.items() for row in known):
            named = "/".join(wanted.values())
            raise ServiceError(
                "ResourceNotFoundException", f"{kind} {named} does not exist in {owner}. Look at its name."
            )
