"""The tagging of jobs, event by event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

PLACE = "eu-central-1:111122223333"
ROLE = "arn:aws:iam::111122223333:role/mlops/churn/churn-project-role"
PROFILE = f"arn:aws:sagemaker:{PLACE}:user-profile/d-abc123/anna-churn"
FULL = {
    "CostCenter": "4711",
    "mlops:project": "churn",
    "sagemaker:project-name": "churn",
    "sagemaker:project-id": "p-1",
}
WORDS = {"Training": "training-job", "Processing": "processing-job", "Transform": "transform-job"}
KINDS = ["Training", "Processing", "Transform", "HyperParameterTuning"]
DESCRIBE = {
    "Training": "describe_training_job",
    "Processing": "describe_processing_job",
    "Transform": "describe_transform_job",
    "HyperParameterTuning": "describe_hyper_parameter_tuning_job",
}


def _arn(kind: str) -> str:
    return f"arn:aws:sagemaker:{PLACE}:{WORDS.get(kind, 'hyper-parameter-tuning-job')}/job-1"


def _event(kind: str = "Training", role: Any = ROLE, **detail: Any) -> dict[str, Any]:
    """Build an event of the shape in AWS's page on SageMaker events (Name and ARN differ in case there too)."""
    title = "SageMaker HyperParameter Tuning Job" if kind == "HyperParameterTuning" else f"SageMaker {kind} Job"
    own: dict[str, Any] = {"RoleArn": role} if kind in ("Training", "Processing") else {"ModelName": "Model-1"}
    if kind == "HyperParameterTuning":
        own = {"TrainingJobDefinition": {"RoleArn": role}}
    facts = {f"{kind}JobName": "Job-1", f"{kind}JobArn": _arn(kind), f"{kind}JobStatus": "InProgress", "Tags": {}}
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": f"{title} State Change",
        "source": "aws.sagemaker",
        "account": "111122223333",
        "region": "eu-central-1",
        "resources": [_arn(kind)],
        "detail": facts | own | detail,
    }


class Aws:
    """Stubs of both services; what a test does not announce must not be called."""

    def __init__(self, module: Any) -> None:
        self.sagemaker = Stubber(module.SAGEMAKER)
        self.iam = Stubber(module.IAM)

    def tags(self, arn: str, **tags: str) -> None:
        found = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.sagemaker.add_response("list_tags", {"Tags": found}, {"ResourceArn": arn})

    def fails(self, operation: str, code: str) -> None:
        self.sagemaker.add_client_error(operation, code, "Could not find it", 400)

    def role(self, name: str = "churn-project-role", **tags: str) -> None:
        found = [{"Key": key, "Value": value} for key, value in (tags or FULL).items()]
        self.iam.add_response("list_role_tags", {"Tags": found, "IsTruncated": False}, {"RoleName": name})

    def adds(self, arn: str, **tags: str) -> None:
        wanted = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.sagemaker.add_response("add_tags", {"Tags": wanted}, {"ResourceArn": arn, "Tags": wanted})

    def model(self, **facts: Any) -> None:
        known = {"ModelName": "Model-1", "CreationTime": 0, "ModelArn": f"arn:aws:sagemaker:{PLACE}:model/model-1"}
        self.sagemaker.add_response("describe_model", known | facts, {"ModelName": "Model-1"})


@pytest.fixture
def module(load: Callable[[str, str], ModuleType]) -> Any:
    return load("experiment_tagging", "handler")


@pytest.fixture
def job_tags(load: Callable[[str, str], ModuleType]) -> Any:
    return load("experiment_tagging", "job_tags")


@pytest.fixture
def aws(module: Any) -> Iterator[Aws]:
    stubs = Aws(module)
    with stubs.sagemaker, stubs.iam:
        yield stubs
        stubs.sagemaker.assert_no_pending_responses()
        stubs.iam.assert_no_pending_responses()


@pytest.fixture
def run(module: Any, context: Any, log: Any) -> Callable[[Any], dict[str, Any]]:
    """Handle an event and give the decision, which must be the one line in the log."""

    def handle(event: Any) -> dict[str, Any]:
        before = len(log.lines)
        decision: dict[str, Any] = module.handler(event, context())
        (line,) = log.lines[before:]
        assert (line["job"], line["decision"], line["tags_added"], line["reason"]) == (
            decision["job"],
            decision["decision"],
            decision["added"],
            decision["reason"],
        )
        assert line["event_id"] == event["id"]
        return decision

    return handle


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_job_gets_all_that_its_role_says(aws: Aws, run: Any, kind: str) -> None:
    if kind == "Transform":
        aws.model(ExecutionRoleArn=ROLE)
    aws.tags(_arn(kind))
    aws.role()
    aws.adds(_arn(kind), **FULL)
    assert run(_event(kind)) == {"job": _arn(kind), "decision": "tagged", "added": FULL, "reason": ""}


def test_only_what_is_missing_is_added(aws: Aws, run: Any) -> None:
    aws.tags(_arn("Training"), **{"CostCenter": "mine", "mlops:project": "", "Team": "x"})
    aws.role()
    added = {key: FULL[key] for key in ("sagemaker:project-name", "sagemaker:project-id")}
    aws.adds(_arn("Training"), **added)
    assert run(_event())["added"] == added


def test_a_complete_job_is_left_alone_and_costs_one_call(aws: Aws, run: Any) -> None:
    aws.tags(_arn("Training"), **FULL, **{"mlops:user": "a@b.c", "sagemaker:user-profile-arn": PROFILE})
    assert run(_event()) == {"job": _arn("Training"), "decision": "complete", "added": {}, "reason": ""}


def test_an_event_that_comes_twice_changes_nothing_the_second_time(aws: Aws, run: Any) -> None:
    aws.tags(_arn("Training"))
    aws.role()
    aws.adds(_arn("Training"), **FULL)
    aws.tags(_arn("Training"), **FULL)
    assert [run(_event())["decision"], run(_event())["decision"]] == ["tagged", "complete"]


def test_all_pages_of_tags_are_read(aws: Aws, run: Any) -> None:
    first = [{"Key": "CostCenter", "Value": "1"}]
    arn = _arn("Training")
    aws.sagemaker.add_response("list_tags", {"Tags": first, "NextToken": "t"}, {"ResourceArn": arn})
    rest = [{"Key": key, "Value": "1"} for key in FULL if key != "CostCenter"]
    aws.sagemaker.add_response("list_tags", {"Tags": rest}, {"ResourceArn": arn, "NextToken": "t"})
    assert run(_event())["decision"] == "complete"


class TestUser:
    """Who started the job, from the profile's ARN that Studio leaves on it."""

    def _run(self, aws: Aws, run: Any, profile: str = PROFILE) -> Any:
        aws.sagemaker.add_response(
            "list_tags",
            {
                "Tags": [{"Key": key, "Value": "x"} for key in FULL]
                + [{"Key": "sagemaker:user-profile-arn", "Value": profile}]
            },
            {"ResourceArn": _arn("Training")},
        )
        return lambda: run(_event())

    def test_is_the_owner_of_the_profile(self, aws: Aws, run: Any) -> None:
        go = self._run(aws, run)
        aws.tags(PROFILE, **{"mlops:owner": "Änne@example.org", "mlops:project": "churn"})
        aws.adds(_arn("Training"), **{"mlops:user": "Änne@example.org"})
        assert go()["added"] == {"mlops:user": "Änne@example.org"}

    @pytest.mark.parametrize("tags", [{}, {"mlops:owner": ""}])
    def test_is_the_name_of_a_profile_without_owner(self, aws: Aws, run: Any, tags: dict[str, str]) -> None:
        go = self._run(aws, run)
        aws.tags(PROFILE, **tags)
        aws.adds(_arn("Training"), **{"mlops:user": "anna-churn"})
        assert go()["reason"] == ""

    @pytest.mark.parametrize("code", ["ValidationException", "ResourceNotFound"])
    def test_is_the_name_of_a_deleted_profile(self, aws: Aws, run: Any, code: str) -> None:
        go = self._run(aws, run)
        aws.fails("list_tags", code)
        aws.adds(_arn("Training"), **{"mlops:user": "anna-churn"})
        found = go()
        assert (found["decision"], found["reason"]) == ("tagged", f"{PROFILE} is gone.")

    @pytest.mark.parametrize(
        "profile",
        [
            "",
            "anna",
            PROFILE.replace("111122223333", "999999999999"),
            PROFILE.replace("eu-central-1", "us-east-1"),
            PROFILE.replace("aws:", "aws-cn:", 1),
            PROFILE.replace("user-profile", "space"),
            f"{PROFILE}/x",
            f"{PROFILE}\n",
            PROFILE.replace("anna-churn", "änne"),
            PROFILE.replace("anna-churn", "x" * 64),
        ],
    )
    def test_is_left_out_when_the_profile_is_none_of_this_account(self, aws: Aws, run: Any, profile: str) -> None:
        found = self._run(aws, run, profile)()
        assert (found["decision"], found["added"]) == ("incomplete", {})
        assert found["reason"].startswith("No profile of this account")


class TestWhoseJob:
    @pytest.mark.parametrize(
        "role",
        [
            "roleArn",
            "arn:aws:iam::111122223333:role/SageMakerRole",
            "arn:aws:iam::111122223333:role/mlops/name-without-project",
            "arn:aws:iam::111122223333:role/service-role/mlops/churn/name",
            "arn:aws:iam::999999999999:role/mlops/churn/name",
            "arn:aws-cn:iam::111122223333:role/mlops/churn/name",
            "arn:aws:iam::111122223333:role/mlops/Churn/name",
            "arn:aws:iam::111122223333:role/mlops/-churn/name",
            "arn:aws:iam::111122223333:role/mlops/chürn/name",
            "arn:aws:iam::111122223333:role/mlops/a!b/name",
            "arn:aws:iam::111122223333:role/mlops//name",
            f"arn:aws:iam::111122223333:role/mlops/{'a' * 33}/name",
            f"arn:aws:iam::111122223333:role/mlops/churn/{'n' * 65}",
            f"{ROLE}\n",
        ],
    )
    def test_a_foreign_role_is_ignored_without_a_call(self, aws: Aws, run: Any, role: str) -> None:
        found = run(_event(role=role))
        assert (found["decision"], found["added"]) == ("ignored", {})
        assert role in found["reason"]

    def test_the_longest_names_and_a_deeper_path(self, aws: Aws, run: Any) -> None:
        project, name = "a" * 32, "n" * 64
        aws.tags(_arn("Training"))
        aws.role(name, CostCenter="c" * 256)
        aws.adds(_arn("Training"), **{"CostCenter": "c" * 256, "mlops:project": project})
        found = run(_event(role=f"arn:aws:iam::111122223333:role/mlops/{project}/deeper/{name}"))
        assert found["reason"] == f"Role {name} tells no sagemaker:project-name, sagemaker:project-id."

    def test_the_path_says_the_project_whatever_the_tag_says(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("Training"))
        aws.role(**(FULL | {"mlops:project": "other"}))
        aws.adds(_arn("Training"), **FULL)
        assert run(_event())["added"]["mlops:project"] == "churn"

    def test_a_job_of_the_platform_gets_its_cost_center_alone(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("Training"), **{"sagemaker:user-profile-arn": PROFILE})
        aws.role("builder")
        aws.adds(_arn("Training"), CostCenter="4711")
        found = run(_event(role="arn:aws:iam::111122223333:role/mlops/platform/builder"))
        assert found["added"] == {"CostCenter": "4711"}

    @pytest.mark.parametrize("other", ["eu-central-1:999999999999", "us-east-1:111122223333"])
    def test_a_job_of_another_account_or_region_is_ignored(self, aws: Aws, run: Any, other: str) -> None:
        found = run(_event(TrainingJobArn=f"arn:aws:sagemaker:{other}:training-job/x"))
        assert found["decision"] == "ignored"

    def test_a_tuning_job_with_several_definitions_of_one_project(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("HyperParameterTuning"), **FULL)
        several = [{"RoleArn": ROLE}, {"RoleArn": ROLE + "-2"}]
        found = run(_event("HyperParameterTuning", TrainingJobDefinition=None, TrainingJobDefinitions=several))
        assert found["decision"] == "complete"

    @pytest.mark.parametrize("second", [ROLE.replace("churn", "fraud"), "arn:aws:iam::111122223333:role/foreign"])
    def test_a_tuning_job_of_several_projects_is_ignored(self, aws: Aws, run: Any, second: str) -> None:
        found = run(_event("HyperParameterTuning", TrainingJobDefinitions=[{"RoleArn": ROLE}, {"RoleArn": second}]))
        assert found["decision"] == "ignored"


class TestDescribe:
    """Events that lack the role."""

    @pytest.mark.parametrize("kind", ["Training", "Processing", "HyperParameterTuning"])
    @pytest.mark.parametrize("role", [None, "", 5])
    def test_sagemaker_is_asked(self, aws: Aws, run: Any, kind: str, role: Any) -> None:
        facts = {"TrainingJobDefinition": {"RoleArn": ROLE}} if kind == "HyperParameterTuning" else {"RoleArn": ROLE}
        asked = {f"{kind}JobName": "Job-1"}
        _unchecked(aws, kind, facts, asked)
        aws.tags(_arn(kind), **FULL)
        assert run(_event(kind, role))["decision"] == "complete"

    def test_a_transform_event_without_a_model(self, aws: Aws, run: Any) -> None:
        _unchecked(aws, "Transform", {"ModelName": "Model-1"}, {"TransformJobName": "Job-1"})
        aws.model(ExecutionRoleArn=ROLE)
        aws.tags(_arn("Transform"), **FULL)
        assert run(_event("Transform", ModelName=None))["decision"] == "complete"

    def test_a_model_without_role_is_ignored(self, aws: Aws, run: Any) -> None:
        aws.model()
        assert run(_event("Transform"))["decision"] == "ignored"

    def test_a_job_with_neither_is_raised(self, aws: Aws, module: Any, context: Any, log: Any) -> None:
        _unchecked(aws, "Training", {}, {"TrainingJobName": "Job-1"})
        with pytest.raises(module.UnknownJob, match="neither role nor model"):
            module.handler(_event(role=None), context())
        assert log.lines[0]["decision"] == "failed"


def _unchecked(aws: Aws, kind: str, facts: dict[str, Any], asked: dict[str, str]) -> None:
    """Announce a Describe answer with the fields the function reads and placeholders for what the model requires."""
    shape = aws.sagemaker.client.meta.service_model.operation_model(_pascal(DESCRIBE[kind])).output_shape
    aws.sagemaker.add_response(DESCRIBE[kind], _filled(shape, facts), asked)


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_")).replace("Hyperparameter", "HyperParameter")


def _filled(shape: Any, facts: Any) -> Any:
    if shape.type_name == "structure":
        known = facts or {}
        return {
            name: _filled(shape.members[name], known.get(name))
            for name in shape.members
            if name in known or name in shape.required_members
        }
    placeholders = {
        "list": [],
        "map": {},
        "timestamp": 0,
        "integer": 1,
        "long": 1,
        "boolean": False,
        "string": "x" * 20,
    }
    return facts if facts is not None else placeholders[shape.type_name]


GONE = ["ValidationException", "ResourceNotFound", "ResourceNotFoundException"]


class TestGone:
    @pytest.mark.parametrize("code", GONE)
    def test_the_job_before_it_was_read(self, aws: Aws, run: Any, code: str) -> None:
        aws.fails("list_tags", code)
        found = run(_event())
        assert (found["decision"], found["reason"]) == ("gone", f"{_arn('Training')} is gone.")

    @pytest.mark.parametrize("code", GONE)
    def test_the_job_between_reading_and_adding(self, aws: Aws, run: Any, code: str) -> None:
        aws.tags(_arn("Training"))
        aws.role()
        aws.fails("add_tags", code)
        aws.fails("list_tags", code)
        assert run(_event())["decision"] == "gone"

    @pytest.mark.parametrize("code", GONE)
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_job_before_it_was_described(self, aws: Aws, run: Any, kind: str, code: str) -> None:
        aws.fails(DESCRIBE[kind], code)
        assert run(_event(kind, role=None, ModelName=None))["decision"] == "gone"

    @pytest.mark.parametrize("code", GONE)
    def test_the_model(self, aws: Aws, run: Any, code: str) -> None:
        aws.fails("describe_model", code)
        found = run(_event("Transform"))
        assert (found["decision"], found["reason"]) == ("gone", "Model Model-1 is gone.")

    def test_the_role_leaves_what_its_path_says(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("Training"))
        aws.iam.add_client_error("list_role_tags", "NoSuchEntity", "gone", 404)
        aws.adds(_arn("Training"), **{"mlops:project": "churn"})
        found = run(_event())
        assert (found["decision"], found["added"]) == ("tagged", {"mlops:project": "churn"})
        assert found["reason"].startswith("Role churn-project-role is gone.")

    def test_the_role_of_a_job_that_has_its_project(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("Training"), **{"mlops:project": "churn"})
        aws.iam.add_client_error("list_role_tags", "NoSuchEntity", "gone", 404)
        assert run(_event())["decision"] == "incomplete"


class TestLimit:
    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            (45, ["CostCenter", "mlops:project", "mlops:user", "sagemaker:project-name"]),
            (47, ["CostCenter", "mlops:project"]),
            (49, []),
        ],
    )
    def test_the_most_important_come_first(self, aws: Aws, run: Any, own: int, expected: list[str]) -> None:
        present = {f"k{number}": "v" for number in range(own)} | {"aws:by": "x", "sagemaker:user-profile-arn": PROFILE}
        aws.tags(_arn("Training"), **present)
        aws.role()
        aws.tags(PROFILE, **{"mlops:owner": "anna"})
        values = FULL | {"mlops:user": "anna"}
        if expected:
            aws.adds(_arn("Training"), **{key: values[key] for key in expected})
        found = run(_event())
        assert list(found["added"]) == expected
        assert found["decision"] == ("tagged" if expected else "incomplete")
        assert "No room under 50 tags for" in found["reason"]
        assert "sagemaker:project-id" in found["reason"]

    def test_exactly_fifty_fit(self, aws: Aws, run: Any) -> None:
        aws.tags(_arn("Training"), **{f"k{number}": "v" for number in range(46)})
        aws.role()
        aws.adds(_arn("Training"), **FULL)
        assert run(_event())["reason"] == ""


class TestFailures:
    """What cannot be done now is raised, so that Lambda repeats it and the dead-letter queue keeps it."""

    @pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "InternalFailure"])
    @pytest.mark.parametrize("step", ["list_tags", "list_role_tags", "add_tags"])
    def test_of_aws(self, aws: Aws, module: Any, context: Any, log: Any, code: str, step: str) -> None:
        if step != "list_tags":
            aws.tags(_arn("Training"))
        if step == "add_tags":
            aws.role()
        (aws.iam if step == "list_role_tags" else aws.sagemaker).add_client_error(step, code, "no")
        with pytest.raises(ClientError, match=code):
            module.handler(_event(), context())
        (line,) = log.lines
        assert (line["level"], line["decision"], line["job"]) == ("ERROR", "failed", _arn("Training"))
        assert code in line["reason"]

    def test_tags_that_sagemaker_refuses_are_not_taken_for_a_job_that_is_gone(
        self, aws: Aws, module: Any, context: Any
    ) -> None:
        aws.tags(_arn("Training"))
        aws.role()
        aws.fails("add_tags", "ValidationException")
        aws.tags(_arn("Training"))
        with pytest.raises(ClientError, match="AddTags"):
            module.handler(_event(), context())

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "text",
            {},
            {"detail": []},
            _event() | {"source": "custom"},
            _event() | {"detail-type": "SageMaker Model State Change"},
            _event() | {"detail-type": "SageMaker Processing Job State Change"},
            _event(TrainingJobArn=None),
            _event(TrainingJobArn="arn:aws:s3:::bucket"),
            _event(TrainingJobArn=f"{_arn('Training')}\n"),
            _event(TrainingJobArn=_arn("Training") + "ü"),
            _event(TrainingJobName=7),
            _event(TrainingJobName=""),
        ],
    )
    def test_of_a_malformed_event(self, aws: Aws, module: Any, context: Any, log: Any, event: Any) -> None:
        with pytest.raises(module.MalformedEvent, match="look at the pattern of the rule"):
            module.handler(event, context())
        (line,) = log.lines
        assert (line["level"], line["decision"]) == ("ERROR", "malformed")


class TestCache:
    def test_role_tags_are_read_once_within_the_time_limit(self, aws: Aws, module: Any, job_tags: Any) -> None:
        now = [0.0]
        tagger = job_tags.Tagger(module.SAGEMAKER, module.IAM, clock=lambda: now[0])
        job = job_tags.Job("TrainingJob", _arn("Training"), "Job-1", (ROLE,))

        def go() -> str:
            aws.tags(_arn("Training"), **{"mlops:user": "x"})
            aws.adds(_arn("Training"), **FULL)
            return str(tagger.complete(job, "eu-central-1", "111122223333").name)

        aws.role()
        assert [go(), go()] == ["tagged", "tagged"]
        now[0] = job_tags.CACHE_SECONDS + 1
        aws.role()
        assert go() == "tagged"

    def test_it_does_not_grow_without_bound(self, aws: Aws, module: Any, job_tags: Any) -> None:
        tagger = job_tags.Tagger(module.SAGEMAKER, module.IAM)
        for number in range(job_tags.CACHE_ROLES + 5):
            aws.tags(_arn("Training"), **{key: "x" for key in FULL if key != "CostCenter"})
            aws.role(f"r{number}", Other="x")
            role = ROLE.replace("churn-project-role", f"r{number}")
            job = job_tags.Job("TrainingJob", _arn("Training"), "Job-1", (role,))
            assert tagger.complete(job, "eu-central-1", "111122223333").name == "incomplete"
            assert len(tagger._cache) <= job_tags.CACHE_ROLES


class TestThrottling:
    """Retries are botocore's own and lie below its stubs: a real server answers."""

    THROTTLED = (400, json.dumps({"__type": "ThrottlingException", "message": "slow down"}).encode())

    @pytest.fixture
    def module(self, load: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", server.base)
        loaded = load("experiment_tagging", "handler")
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
        return loaded

    def test_that_passes_is_not_noticed(self, module: Any, server: Any, context: Any) -> None:
        tags = {"Tags": [{"Key": key, "Value": "x"} for key in FULL]}
        server.plan = [self.THROTTLED, self.THROTTLED, (200, json.dumps(tags).encode())]
        assert module.handler(_event(), context())["decision"] == "complete"
        assert len(server.sent) == 3

    def test_that_stays_is_raised_after_four_attempts(self, module: Any, server: Any, context: Any) -> None:
        server.plan = [self.THROTTLED] * 10
        with pytest.raises(ClientError, match="ThrottlingException"):
            module.handler(_event(), context())
        assert len(server.sent) == 4
