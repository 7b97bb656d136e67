"""What the emulated CloudFormation makes of templates: real server, real functions."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.client import Emulator
from rehearsal.stack_trial import CAPABILITIES, main, trial

REGIONS = ("us-east-1", "eu-south-1")
MIXED = Path(__file__).parent / "templates/mixed.yaml"
_names = (f"stack-{number}" for number in itertools.count())


def resource(type_name: str, properties: Mapping[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"Type": type_name, "Properties": properties, **attributes}


REPOSITORY = "AWS::CodeCommit::Repository"
PARAMETER = "AWS::SSM::Parameter"


class Stack:
    """A stack from a template given as Python; every call waits."""

    def __init__(self, account: Emulator, resources: Any, region: str = "us-east-1", **sections: Any) -> None:
        self.account, self.name = account, next(_names)
        self.api = account.client("cloudformation", region)
        body = json.dumps({"Resources": resources, **sections})
        self.id = self.api.create_stack(StackName=self.name, TemplateBody=body, Capabilities=CAPABILITIES)["StackId"]
        self.status = self.wait()

    def wait(self) -> str:
        while True:
            status = str(self.api.describe_stacks(StackName=self.id)["Stacks"][0]["StackStatus"])
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.02)

    def update(self, resources: Mapping[str, Any], **sections: Any) -> str:
        body = json.dumps({"Resources": resources, **sections})
        self.api.update_stack(StackName=self.name, TemplateBody=body, Capabilities=CAPABILITIES)
        return self.wait()

    def delete(self) -> str:
        self.api.delete_stack(StackName=self.name)
        return self.wait()

    def left(self) -> dict[str, dict[str, Any]]:
        return {r["logical_id"]: r for r in self.account.resources() if r["stack_id"] == self.id}

    def reasons(self) -> str:
        events = self.api.describe_stack_events(StackName=self.id)["StackEvents"]
        return "\n".join(e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("FAILED"))


def test_mixed_template_comes_changes_and_goes_in_two_regions(account: Emulator) -> None:
    for region in REGIONS:
        url = f"https://assets-{region}.s3.{region}.amazonaws.com/v1/mixed.yaml"
        given = {"CodeBucket": f"assets-{region}", "Tracking": "MlflowApp"}
        went = trial(account.endpoint, url, given, {"Greeting": "bye", "RetentionDays": "60"}, region)
        kinds = {row.logical_id: row.kind for row in went.rows}
        assert kinds["Vpc"] == kinds["Greetings"] == "live"
        assert kinds["StudioDomain"] == kinds["SageMakerEndpoint"] == kinds["FlowLog"] == "recorded"
        # The mapping switches off what eu-south-1 lacks: conditions see pseudo parameters and Fn::FindInMap.
        assert len({"Budget", "TrackingApp"} & set(kinds)) == (2 if region == "us-east-1" else 0)
        assert went.outputs["Greeting"] == "hello, world"
        assert went.outputs["DomainId"].startswith("d-")
        assert went.outputs["RepositoryArn"] == f"arn:aws:codeartifact:{region}:111111111111:repository/mlops/python"
        assert went.retained == ("ArtifactsBucket", "Key")
    operations = account.ledger()["operations"]
    updates = [o for o in operations if o["stack"].startswith("trial-") and o["phase"] == "UPDATE_IN_PROGRESS"]
    changed = {call["logical_id"] for call in updates[0]["calls"] if call["outcome"] == "done"}
    assert changed == {"FlowLogGroup", "Greetings"}
    assert updates[0]["live"]["AWS::IAM::Role"] == 3
    assert account.ledger()["ignored"] == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--parameter", "Greeting=fail"], "create: ROLLBACK_COMPLETE because of Greetings: asked to fail"),
        (["--change", "Greeting=fail"], "update: UPDATE_ROLLBACK_COMPLETE because of Greetings: asked to fail"),
        (["--parameter", "RetentionDays=x"], "create: .*'RetentionDays' value 'x' is not a valid Number"),
        ([], "update: .*No updates are to be performed"),
    ],
)
def test_trial_on_the_command_line_names_what_failed_first(
    account: Emulator, capsys: Any, given: Any, told: str
) -> None:
    url = "https://assets-{region}.s3.{region}.amazonaws.com/v1/mixed.yaml"
    place = ["--endpoint", account.endpoint, "--region", "eu-south-1", "--parameter", "CodeBucket=assets-{region}"]
    assert main([url, *place, *given]) == 1
    assert re.search(told, capsys.readouterr().err)
    api = account.client("cloudformation", "eu-south-1")
    for stack in api.describe_stacks()["Stacks"]:  # a trial that failed leaves its stack to look at, and its names
        if stack["StackName"].startswith("trial-"):
            api.delete_stack(StackName=stack["StackName"])
            api.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"], WaiterConfig={"Delay": 0.1})


def test_live_resource_is_replaced_when_its_schema_says_so(account: Emulator) -> None:
    def resources(cidr: str, names: bool) -> dict[str, Any]:
        vpc = {"CidrBlock": cidr, "EnableDnsHostnames": names}
        subnet = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": {"Fn::GetAtt": "Vpc.CidrBlock"}}
        return {"Vpc": resource("AWS::EC2::VPC", vpc), "Subnet": resource("AWS::EC2::Subnet", subnet)}

    stack = Stack(account, resources("10.1.0.0/16", names=False))
    first = stack.left()["Vpc"]["physical_id"]
    assert stack.update(resources("10.1.0.0/16", names=True)) == "UPDATE_COMPLETE"
    assert stack.left()["Vpc"]["physical_id"] == first
    assert stack.update(resources("10.2.0.0/16", names=True)) == "UPDATE_COMPLETE"
    listed = {vpc["VpcId"]: vpc["CidrBlock"] for vpc in account.client("ec2").describe_vpcs()["Vpcs"]}
    assert first not in listed
    assert listed[stack.left()["Vpc"]["physical_id"]] == "10.2.0.0/16"


def test_both_forms_of_template_url_are_validated(account: Emulator) -> None:
    api = account.client("cloudformation")
    for host in (
        f"{account.endpoint}/assets-us-east-1",
        "https://assets-us-east-1.s3.us-east-1.amazonaws.com",
        "https://assets-us-east-1.s3.us-east-1.amazonaws.com.cn",
    ):
        told = api.validate_template(TemplateURL=f"{host}/v1/mixed.yaml")
        assert "CodeBucket" in {parameter["ParameterKey"] for parameter in told["Parameters"]}
    with pytest.raises(ClientError, match="AWS::SageMaker::MlflowApp"):  # as AWS: whatever the conditions say
        account.client("cloudformation", "eu-south-1").validate_template(
            TemplateURL=f"{account.endpoint}/assets-eu-south-1/v1/mixed.yaml"
        )


def test_schema_violation_names_every_path_and_rolls_back(account: Emulator) -> None:
    stack = Stack(
        account,
        {
            "Fine": resource(REPOSITORY, {"RepositoryName": "fine"}),
            "Kept": resource(REPOSITORY, {"RepositoryName": "kept"}, DeletionPolicy="Retain"),
            "Once": resource(REPOSITORY, {"RepositoryName": "once"}, DeletionPolicy="RetainExceptOnCreate"),
            "Wrong": resource(
                "AWS::EC2::FlowLog",
                {"ResourceId": "x", "TrafficTyp": "ALL", "ResourceType": "Vpc", "Tags": [{"Key": "k"}]},
                DependsOn=["Fine", "Kept", "Once"],
            ),
        },
    )
    assert stack.status == "ROLLBACK_COMPLETE"
    for path in ("#/TrafficTyp: extraneous", '#/ResourceType: "Vpc" is not one of', "#/Tags/0: required key [Value]"):
        assert path in stack.reasons()
    assert set(stack.left()) == {"Kept"}


def test_live_types_are_validated_too(account: Emulator) -> None:
    stack = Stack(account, {"Queue": resource("AWS::SQS::Queue", {"DelaySecond": 3})})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "#/DelaySecond: extraneous key" in stack.reasons()


def test_failed_update_goes_back_to_the_old_values(account: Emulator) -> None:
    first = {
        "Repo": resource(REPOSITORY, {"RepositoryName": "back", "RepositoryDescription": "old"}),
        "Fact": resource(PARAMETER, {"Name": "/back", "Type": "String", "Value": "old"}),
    }
    stack = Stack(account, first)
    status = stack.update(
        {
            "Repo": resource(REPOSITORY, {"RepositoryName": "back", "RepositoryDescription": "new"}),
            "Fact": resource(PARAMETER, {"Name": "/back", "Type": "String", "Value": "new"}),
            "Wrong": resource(PARAMETER, {"Name": "/wrong", "Type": "Text", "Value": "x"}, DependsOn=["Repo", "Fact"]),
        }
    )
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.left()["Repo"]["properties"]["RepositoryDescription"] == "old"
    assert account.client("ssm").get_parameter(Name="/back")["Parameter"]["Value"] == "old"
    assert stack.delete() == "DELETE_COMPLETE"
    assert not stack.left()


def test_create_only_change_replaces_and_tells_dependants(account: Emulator) -> None:
    def resources(traffic: str, vpc: str = "vpc-0123456789abcdef0") -> dict[str, Any]:
        log = {"ResourceId": vpc, "ResourceType": "VPC", "TrafficType": traffic, "LogGroupName": "flow"}
        name = {"Name": {"Fn::Sub": "/logs/${Log}"}, "Type": "String", "Value": {"Ref": "Log"}}
        return {"Log": resource("AWS::EC2::FlowLog", log), "Fact": resource(PARAMETER, name)}

    stack = Stack(account, resources("ALL"))
    before = stack.left()["Log"]["physical_id"]
    assert before.startswith("fl-")
    assert stack.update(resources("REJECT")) == "UPDATE_COMPLETE"
    after = [r["physical_id"] for r in account.resources() if r["stack_id"] == stack.id and r["logical_id"] == "Log"]
    assert len(after) == 1
    assert after[0] != before
    assert account.client("ssm").get_parameter(Name=f"/logs/{after[0]}")["Parameter"]["Value"] == after[0]


def test_replacing_under_a_kept_name_and_taken_names_are_refused(account: Emulator) -> None:
    loader = "AWS::SageMaker::StudioLifecycleConfig"
    given = {
        "StudioLifecycleConfigName": "loader",
        "StudioLifecycleConfigAppType": "JupyterLab",
        "StudioLifecycleConfigContent": "dHJ1ZQ==",
    }
    stack = Stack(account, {"Loader": resource(loader, given)})
    assert stack.update({"Loader": resource(loader, {**given, "StudioLifecycleConfigContent": "ZmFsc2U="})}) == (
        "UPDATE_ROLLBACK_COMPLETE"
    )
    assert "Rename loader and update the stack again" in stack.reasons()
    assert "already exists" in Stack(account, {"Other": resource(loader, given)}).reasons()
    assert Stack(account, {"Elsewhere": resource(loader, given)}, region="eu-south-1").status == "CREATE_COMPLETE"


def greeting(word: str) -> dict[str, Any]:
    """Make the resources of a custom resource whose function says `word`."""
    trust = {"Version": "2012-10-17", "Statement": []}
    code = {"S3Bucket": "assets-us-east-1", "S3Key": "zips/greeter.zip"}
    function = {
        "Runtime": "python3.13",
        "Handler": "handler.handle",
        "Role": {"Fn::GetAtt": "Role.Arn"},
        "Code": code,
        "Timeout": 30,
        "Environment": {"Variables": {"STACK": {"Ref": "AWS::StackName"}}},
    }
    return {
        "Role": resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust}),
        "Function": resource("AWS::Lambda::Function", function),
        "Greeting": resource("Custom::Greeting", {"ServiceToken": {"Fn::GetAtt": "Function.Arn"}, "Greeting": word}),
    }


def test_custom_resource_is_answered_by_the_published_function(account: Emulator) -> None:
    stack = Stack(account, greeting("hi"))
    answered = stack.left()["Greeting"]["attributes"]
    assert answered["Greeting"] == "hi, world"
    assert (answered["Account"], answered["Region"]) == ("111111111111", "us-east-1")
    assert answered["Stack"] == stack.name
    assert stack.update(greeting("fail")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "asked to fail" in stack.reasons()
    assert stack.left()["Greeting"]["attributes"]["Greeting"] == "hi, world"


def test_function_that_raises_fails_the_stack_at_once(account: Emulator) -> None:
    stack = Stack(account, greeting("raise"))
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "raised instead of answering" in stack.reasons()
    assert "nothing to say" in stack.reasons()


def test_zip_that_was_not_published_is_refused(account: Emulator) -> None:
    missing = greeting("hi")
    missing["Function"]["Properties"]["Code"]["S3Key"] = "zips/other.zip"
    assert "s3://assets-us-east-1/zips/other.zip does not exist" in Stack(account, missing).reasons()


def test_failing_rule_refuses_the_template_before_anything_is_made(account: Emulator) -> None:
    api, before = account.client("cloudformation"), account.resources()
    given = {"CodeBucket": "assets-us-east-1", "ExistingVpcId": "vpc-0123456789abcdef0"}
    listed = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    body = MIXED.read_text()
    with pytest.raises(ClientError, match="An existing VPC needs its subnets"):
        api.create_stack(StackName="ruled-out", TemplateBody=body, Parameters=listed, Capabilities=CAPABILITIES)
    assert account.resources() == before


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"X": resource("AWS::SageMaker::Crystal", {})}, r"Unrecognized resource types: \[AWS::SageMaker::Crystal\]"),
        ({"X": resource(REPOSITORY, {"RepositoryName": {"Ref": "Gone"}})}, r"dependencies \[Gone\] in the Resources"),
        (
            {
                "X": resource(REPOSITORY, {"RepositoryName": {"Fn::Sub": "${Off.Arn}"}}),
                "Off": resource(REPOSITORY, {"RepositoryName": "off"}, Condition="Never"),
            },
            r"dependencies \[Off\]",
        ),
        ({"X": resource(REPOSITORY, {"RepositoryName": {"Fn::If": ["Gone", "a", "b"]}})}, r"dependencies \[Gone\]"),
    ],
)
def test_what_leads_nowhere_is_refused(account: Emulator, resources: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        Stack(account, resources, Conditions={"Never": {"Fn::Equals": [{"Ref": "AWS::Region"}, "nowhere"]}})


def test_type_that_another_region_lacks_is_refused_there_only(account: Emulator) -> None:
    app = {
        "App": resource(
            "AWS::SageMaker::MlflowApp",
            {"Name": "app", "ArtifactStoreUri": "s3://x/y", "RoleArn": "arn:aws:iam::111111111111:role/x"},
        )
    }
    assert Stack(account, app).status == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="in eu-south-1"):
        Stack(account, app, region="eu-south-1")


def test_unknown_attribute_fails(account: Emulator) -> None:
    stack = Stack(
        account,
        {"X": resource(REPOSITORY, {"RepositoryName": "x"})},
        Outputs={"Y": {"Value": {"Fn::GetAtt": "X.Colour"}}},
    )
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "Requested attribute Colour does not exist" in stack.reasons()


def test_bucket_with_an_object_is_not_deleted(account: Emulator) -> None:
    stack = Stack(account, {"Bucket": resource("AWS::S3::Bucket", {"BucketName": "filled-by-a-test"})})
    s3 = account.client("s3")
    s3.put_object(Bucket="filled-by-a-test", Key="x", Body=b"x")
    assert stack.delete() == "DELETE_FAILED"
    s3.delete_object(Bucket="filled-by-a-test", Key="x")
    assert stack.delete() == "DELETE_COMPLETE"


def test_regions_and_accounts_are_separate(account: Emulator) -> None:
    Stack(account, {"Fact": resource(PARAMETER, {"Name": "/here", "Type": "String", "Value": "here"})})
    for elsewhere in (account.client("ssm", "eu-south-1"), account.client("ssm", account="210987654321")):
        with pytest.raises(ClientError, match="ParameterNotFound"):
            elsewhere.get_parameter(Name="/here")


def test_what_a_nested_template_retains_stays_when_its_parent_goes(account: Emulator) -> None:
    kept = {"DeletionPolicy": "RetainExceptOnCreate"}
    child = {
        "Kept": resource(REPOSITORY, {"RepositoryName": "nested-kept"}, **kept),
        "Gone": resource(REPOSITORY, {"RepositoryName": "nested-gone"}),
    }
    body = json.dumps({"Resources": child}).encode()
    account.client("s3").put_object(Bucket="assets-us-east-1", Key="v1/child.json", Body=body)
    url = "https://assets-us-east-1.s3.us-east-1.amazonaws.com/v1/child.json"
    stack = Stack(account, {"Child": resource("AWS::CloudFormation::Stack", {"TemplateURL": url})})
    assert stack.status == "CREATE_COMPLETE"
    child_id = stack.api.describe_stack_resource(StackName=stack.id, LogicalResourceId="Child")
    nested = child_id["StackResourceDetail"]["PhysicalResourceId"]
    assert stack.delete() == "DELETE_COMPLETE"
    left = {r["logical_id"] for r in account.resources() if r["stack_id"] == nested}
    assert left == {"Kept"}


LOOP = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "Seconds": 30, "Next": "Ask"},
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "${FunctionArn}", "Payload.$": "$"},
            "ResultPath": "$.told",
            "Retry": [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 30, "MaxAttempts": 1}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "GiveUp"}],
            "Next": "Answered",
        },
        "Answered": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.told.Payload.answered", "BooleanEquals": True, "Next": "End"}],
            "Default": "Again",
        },
        "Again": {
            "Type": "Pass",
            "Parameters": {"event.$": "$.event", "attempt.$": "$.told.Payload.attempt"},
            "Next": "Wait",
        },
        "GiveUp": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {
                "FunctionName": "${FunctionArn}",
                "Payload": {"event.$": "$.event", "give_up.$": "$.error.Cause"},
            },
            "End": True,
        },
        "End": {"Type": "Succeed"},
    },
}


def role(service: str, **allowed: Any) -> dict[str, Any]:
    """Make a role of a service with one statement: an action and its resource."""
    statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]}
    policies = [{"PolicyName": "may", "PolicyDocument": may}] if allowed else []
    return resource("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust, "Policies": policies})


def late(properties: Mapping[str, Any], may_start: bool = True, **loop_may: Any) -> dict[str, Any]:
    """Make a custom resource behind the function `late`, and a state machine that it can hand its answer to."""
    start = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "states:*", "Resource": "*"}]}
    function = {
        "Runtime": "python3.13",
        "Handler": "late.handle",
        "Role": {"Fn::GetAtt": "Role.Arn"},
        "Code": {"S3Bucket": "assets-us-east-1", "S3Key": "zips/late.zip"},
        "Timeout": 30,
    }
    machine = {
        "RoleArn": {"Fn::GetAtt": "LoopRole.Arn"},
        "DefinitionString": json.dumps(LOOP),
        "DefinitionSubstitutions": {"FunctionArn": {"Fn::GetAtt": "Function.Arn"}},
    }
    policy = {"RoleName": {"Ref": "Role"}, "PolicyName": "start", "PolicyDocument": start}
    named = {"ServiceToken": {"Fn::GetAtt": "Function.Arn"}, "ServiceTimeout": 3600, **properties}
    return {
        "Role": role("lambda", Action="ssm:PutParameter", Resource="*"),
        **({"MayStart": resource("AWS::IAM::RolePolicy", policy)} if may_start else {}),
        "Function": resource("AWS::Lambda::Function", function),
        "LoopRole": role("states", **loop_may),
        "Loop": resource("AWS::StepFunctions::StateMachine", machine),
        "Late": resource("Custom::Late", named, **({"DependsOn": "MayStart"} if may_start else {})),
    }


INVOKE = {"Action": "lambda:InvokeFunction", "Resource": {"Fn::GetAtt": "Function.Arn"}}


def test_state_machine_answers_minutes_later(account: Emulator) -> None:
    began = time.monotonic()
    stack = Stack(account, late({"Loop": {"Ref": "Loop"}}, **INVOKE))
    assert stack.status == "CREATE_COMPLETE", stack.reasons()
    assert stack.delete() == "DELETE_COMPLETE"
    assert time.monotonic() - began < 30  # ten waits of half a minute each


def test_functions_and_state_machines_have_their_roles_rights_alone(account: Emulator) -> None:
    stack = Stack(account, late({"Loop": {"Ref": "Loop"}}, may_start=False, **INVOKE))
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "not authorized to perform: states:StartExecution" in stack.reasons()
    # This machine may not even tell that it gave up: the function's silence is what fails the resource.
    machine = role(
        "states", Action="lambda:InvokeFunction", Resource="arn:aws:lambda:us-east-1:111111111111:function:x"
    )
    stack = Stack(account, {**late({"Note": "/late/none"}), "LoopRole": machine})
    loop = stack.left()["Loop"]["physical_id"]
    states = account.client("stepfunctions")
    run = states.start_execution(stateMachineArn=loop, input=json.dumps({"event": {}, "attempt": 0}))["executionArn"]
    while (told := states.describe_execution(executionArn=run))["status"] == "RUNNING":
        time.sleep(0.05)
    assert told["status"] == "FAILED"
    assert "not authorized to perform: lambda:InvokeFunction" in told["cause"]


def test_refused_creation_is_asked_to_delete_what_it_made(account: Emulator) -> None:
    stack = Stack(account, late({"Note": "/late/note", "Refuse": "Create"}))
    assert "asked to refuse Create" in stack.reasons()
    assert account.client("ssm").get_parameter(Name="/late/note")["Parameter"]["Value"] == "Delete"


def test_what_a_resource_depends_on_stays_when_its_deletion_fails(account: Emulator) -> None:
    resources = {
        **late({"Refuse": "Delete"}),
        "Kept": resource(REPOSITORY, {"RepositoryName": "depended-on"}),
        "Apart": resource(REPOSITORY, {"RepositoryName": "apart"}),
    }
    resources["Late"]["DependsOn"] = ["MayStart", "Kept"]
    stack = Stack(account, resources)
    assert stack.delete() == "DELETE_FAILED"
    # As on AWS, nothing else waits for a refusal.
    assert set(stack.left()) == {"Late", "MayStart", "Kept", "Function", "Role"}


def test_nested_stack_that_does_not_go_fails_its_parent(account: Emulator) -> None:
    body = json.dumps({"Resources": late({"Refuse": "Delete"})}).encode()
    account.client("s3").put_object(Bucket="assets-us-east-1", Key="v1/refusing.json", Body=body)
    url = "https://assets-us-east-1.s3.us-east-1.amazonaws.com/v1/refusing.json"
    stack = Stack(account, {"Child": resource("AWS::CloudFormation::Stack", {"TemplateURL": url})})
    assert stack.status == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_FAILED"
    assert "was not successfully deleted: it still has Function, Late, MayStart, Role" in stack.reasons()


def test_ssm_parameters_and_references_are_resolved_where_they_stand(account: Emulator) -> None:
    ssm = account.client("ssm")
    ssm.put_parameter(Name="/given/list", Type="StringList", Value="p,q,r")
    ssm.put_parameter(Name="/given/one", Type="String", Value="1")
    names = {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/given/list"}
    text = {"Fn::Join": ["-", ["a{{resolve:ssm:/given/one}}", {"Fn::Sub": "{{resolve:ssm:/given/${AWS::StackName}}}"}]]}
    second = {"Fn::Select": [1, {"Ref": "Names"}]}
    name = f"stack-{int(Stack(account, {'A': resource(REPOSITORY, {'RepositoryName': 'a'})}).name[6:]) + 1}"
    ssm.put_parameter(Name=f"/given/{name}", Type="String", Value="2")
    facts = {
        "Text": resource(PARAMETER, {"Name": "/made/text", "Type": "String", "Value": text}),
        "Second": resource(PARAMETER, {"Name": "/made/second", "Type": "String", "Value": second}),
    }
    assert Stack(account, facts, Parameters={"Names": names}).status == "CREATE_COMPLETE"
    # Constraints are about the parameter's name: nobody may point at another one.
    fixed = {**names, "AllowedValues": ["/given/list"]}
    none = {"A": resource(REPOSITORY, {"RepositoryName": "a"})}
    assert Stack(account, none, Parameters={"Names": fixed}).status == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="'/given/one' is not in AllowedValues"):
        Stack(account, none, Parameters={"Names": {**fixed, "Default": "/given/one"}})
    found = [ssm.get_parameter(Name=f"/made/{name}")["Parameter"]["Value"] for name in ("text", "second")]
    assert found == ["a1-2", "q"]


def test_event_reaches_only_a_function_that_lets_eventbridge(account: Emulator) -> None:
    function = {"Fn::GetAtt": "Function.Arn"}
    rule = {"EventPattern": {"source": ["aws.codecommit"]}, "Targets": [{"Id": "f", "Arn": function}]}
    permission = {"FunctionName": function, "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    resources = {**late({}), "Rule": resource("AWS::Events::Rule", rule)}
    stack, ssm = Stack(account, resources), account.client("ssm")

    def told(name: str) -> bool:
        entry = {"Source": "aws.codecommit", "DetailType": "x", "Detail": json.dumps({"name": name})}
        account.client("events").put_events(Entries=[entry])
        time.sleep(1)
        return bool(ssm.get_parameters(Names=[name])["Parameters"])

    assert not told("/events/refused")
    source = {"SourceArn": {"Fn::GetAtt": "Rule.Arn"}}
    resources["Permission"] = resource("AWS::Lambda::Permission", {**permission, **source})
    assert stack.update(resources) == "UPDATE_COMPLETE"
    assert told("/events/let")
    assert stack.delete() == "DELETE_COMPLETE"
