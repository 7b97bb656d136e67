"""Operations: what watches over the platform itself. Tagging of jobs, quota check, failures to one topic, budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from troposphere import AccountId, And, Condition, Equals, GetAtt, Not, Ref, Region, Sub
from troposphere.awslambda import Function, Permission
from troposphere.cloudformation import CustomResource
from troposphere.cloudformation import Stack as NestedStack
from troposphere.dynamodb import AttributeDefinition, KeySchema, SSESpecification, Table, TimeToLiveSpecification
from troposphere.events import DeadLetterConfig, RetryPolicy, Rule, Target
from troposphere.sns import Topic
from troposphere.sqs import Queue, QueuePolicy

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.questions import Asked
from generators.kit import contracts, messages, publishing, regions
from generators.kit.builder import Builder
from generators.kit.functions import Surroundings, helper_function
from generators.kit.iam import KEY_USE, allow, arn, deny, document, via

QUOTAS = Path(__file__).with_name("quotas.json")
JOBS = ("Training Job", "Processing Job", "Transform Job", "HyperParameter Tuning Job")


def surroundings(asked: Asked, keys: Keys, boundary: Any) -> Surroundings:
    """Give what every helper function shares."""
    return Surroundings(keys.arn, asked.answers["LogRetentionInDays"], boundary)


def events(b: Builder, around: Surroundings) -> Topic:
    """Act on what happens: tags of jobs, pushes, decisions on models. What can't be handled is kept, and people are told;
    give the topic."""
    failures = b.add(
        Queue("FailedEvents", KmsMasterKeyId=around.key_arn, MessageRetentionPeriod=1209600,
              KmsDataKeyReusePeriodSeconds=300),
        holds_data=False,
    )  # fmt: skip
    rules = [_tagging(b, around, failures), *_routing(b, around, failures)]
    b.add(
        QueuePolicy(
            "FailedEventsPolicy",
            Queues=[Ref(failures)],
            PolicyDocument=document(
                allow("EventsThatFail", "sqs:SendMessage", GetAtt(failures, "Arn"),
                      {"ArnEquals": {"aws:SourceArn": [GetAtt(rule, "Arn") for rule in rules]}},
                      Principal={"Service": "events.amazonaws.com"}),
                deny("TlsOnly", ["sqs:ReceiveMessage", "sqs:SendMessage"], GetAtt(failures, "Arn"),
                     {"Bool": {"aws:SecureTransport": "false"}}, Principal="*"),
            ),
        )
    )  # fmt: skip
    topic = messages.topic(b, "Operations", "MLOps platform", around.key_arn, questions.NOTIFICATION_EMAIL)
    messages.alarm_on_any(
        b,
        "FailedEventsAlarm",
        "An event could not be handled: see the queue FailedEvents and the logs of the function.",
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("QueueName", GetAtt(failures, "QueueName")),
        Ref(topic),
    )
    b.publish(contracts.OPERATIONS_TOPIC_ARN, Ref(topic))
    return topic


def _tagging(b: Builder, around: Surroundings, failures: Queue) -> Rule:
    """Complete the tags of jobs, as SageMaker tells of them."""
    jobs = [arn("sagemaker", f"{kind}/*") for kind in
            ("training-job", "processing-job", "transform-job", "hyper-parameter-tuning-job")]  # fmt: skip
    tagger = helper_function(
        b,
        "experiment_tagging",
        "Completes the tags of SageMaker jobs: project, cost center, user",
        [
            allow("ReadTags", "sagemaker:ListTags", [*jobs, arn("sagemaker", "user-profile/*")]),
            allow(
                "ReadJobs",
                [
                    "sagemaker:DescribeHyperParameterTuningJob",
                    "sagemaker:DescribeProcessingJob",
                    "sagemaker:DescribeTrainingJob",
                    "sagemaker:DescribeTransformJob",
                ],
                jobs,
            ),
            allow("ReadModels", "sagemaker:DescribeModel", arn("sagemaker", "model/*")),
            allow("CompleteTags", "sagemaker:AddTags", jobs),
            allow("ReadRoleTags", "iam:ListRoleTags", Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/mlops/*")),
        ],
        around,
        timeout=60,
        failures=GetAtt(failures, "Arn"),
    )
    pattern = {"source": ["aws.sagemaker"], "detail-type": [f"SageMaker {job} State Change" for job in JOBS]}
    return _rule(b, "JobStateChanges", "SageMaker jobs that change their state", pattern, tagger, failures)


def _routing(b: Builder, around: Surroundings, failures: Queue) -> list[Rule]:
    """Start the pipeline of the project that an event is about: one rule for each kind of event, none for a project."""
    seen = b.add(
        Table(
            "RoutedEvents",
            AttributeDefinitions=[AttributeDefinition(AttributeName="id", AttributeType="S")],
            KeySchema=[KeySchema(AttributeName="id", KeyType="HASH")],
            BillingMode="PAY_PER_REQUEST",
            TimeToLiveSpecification=TimeToLiveSpecification(AttributeName="expiration", Enabled=True),
            SSESpecification=SSESpecification(SSEEnabled=True, SSEType="KMS", KMSMasterKeyId=around.key_arn),
        ),
        holds_data=False,
        accept={
            "MLOPS006": "It knows only which events were acted on in the last days; nobody misses that with the platform."
        },
    )
    router = helper_function(
        b,
        "event_router",
        "Starts the pipeline of the project that an event is about, once",
        [
            allow("ReadProjects", "ssm:GetParameter", arn("ssm", "parameter/mlops/projects/*")),
            allow("StartPipelines", ["codepipeline:GetPipelineState", "codepipeline:ListPipelineExecutions",
                                     "codepipeline:StartPipelineExecution", "codepipeline:StopPipelineExecution"],
                  [arn("codepipeline", f"*-{name}") for name in ("build", "deploy")]),
            # A pipeline is made with its second stage closed, and opened by what first starts it. CodePipeline's own page asks
            # for the pipeline, the list of actions for the stage:
            # https://docs.aws.amazon.com/codepipeline/latest/userguide/permissions-reference.html
            allow("OpenPipelines", "codepipeline:EnableStageTransition",
                  [arn("codepipeline", f"*-{name}{stages}") for name in ("build", "deploy") for stages in ("", "/*")]),
            allow("OnceForEachEvent", ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                  GetAtt(seen, "Arn")),
            allow("EncryptEvents", KEY_USE, around.key_arn, via("dynamodb")),
        ],
        around,
        timeout=60,
        failures=GetAtt(failures, "Arn"),
        environment={"EVENTS_TABLE": Ref(seen)},
    )  # fmt: skip
    pushes = {
        "source": ["aws.codecommit"],
        "detail-type": ["CodeCommit Repository State Change"],
        "detail": {"event": ["referenceUpdated"], "referenceType": ["branch"], "referenceName": ["main"]},
    }
    # An event tells which fields changed: a version that was approved long ago and got a new description starts nothing.
    approvals = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelApprovalStatus": ["Approved"], "UpdatedModelPackageFields": ["ModelApprovalStatus"]},
    }
    return [
        _rule(b, "RepositoryChanges", "Pushes to main of any repository", pushes, router, failures),
        _rule(b, "ModelApprovals", "Model versions that are approved", approvals, router, failures),
    ]


def _rule(
    b: Builder, name: str, description: str, pattern: dict[str, Any], function: Function, failures: Queue
) -> Rule:
    rule = b.add(
        Rule(
            name,
            Description=description,
            EventPattern={"account": [AccountId], **pattern},
            Targets=[
                Target(
                    Id=function.title,
                    Arn=GetAtt(function, "Arn"),
                    DeadLetterConfig=DeadLetterConfig(Arn=GetAtt(failures, "Arn")),
                    RetryPolicy=RetryPolicy(MaximumRetryAttempts=8, MaximumEventAgeInSeconds=3600),
                )
            ],
        )
    )
    b.add(
        Permission(f"{name}Call", Action="lambda:InvokeFunction", FunctionName=GetAtt(function, "Arn"),
                   Principal="events.amazonaws.com", SourceArn=GetAtt(rule, "Arn"))
    )  # fmt: skip
    return rule


def quotas(b: Builder, around: Surroundings) -> None:
    """Hold the account's quotas against what a first project needs; a warning, never a failed stack."""
    check = helper_function(
        b,
        "quota_check",
        "Reads quotas and says which are too small; never fails a stack",
        [allow("ReadQuotas", ["servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota"], "*")],
        around,
        timeout=120,
    )
    wanted = json.loads(QUOTAS.read_text(encoding="utf-8"))["quotas"]
    result = b.add(
        CustomResource(
            "QuotaCheckResult",
            ServiceToken=GetAtt(check, "Arn"),
            ServiceTimeout=180,
            # CloudFormation asks again only when a property changes: each release looks anew.
            PlatformVersion=publishing.version(),
            Region=Region,
            Quotas=[{key: row[key] for key in ("Service", "Code", "Name", "Needed", "Why")} for row in wanted],
        )
    )
    b.output("QuotaCheck", "Whether the account's quotas suffice for a first project.", GetAtt(result, "Result"))
    b.output("QuotaSummary", "Quotas that are too small, and for what.", GetAtt(result, "Summary"))
    b.output("QuotaRequestLinks", "Where to ask for more.", GetAtt(result, "RequestLinks"))


def budget(b: Builder, asked: Asked, around: Surroundings) -> None:
    """Add a budget, once the payer's tags make it work."""
    has = b.when(
        "HasBudget",
        And(
            regions.offers("AWS::Budgets::Budget"),
            Not(Equals(asked[questions.MONTHLY_BUDGET], "0")),
            Equals(asked[questions.TAGS_ACTIVE], "yes"),
            Condition("HasNotificationEmail"),
        ),
    )
    b.add(
        NestedStack(
            "Budget",
            TemplateURL=publishing.nested_url("budget"),
            Parameters={
                "MonthlyBudgetInUsd": asked[questions.MONTHLY_BUDGET],
                "TagKey": "CostCenter",
                "TagValue": Ref("CostCenter"),
                "TopicArn": Ref("OperationsTopic"),
            },
        ),
        when=has,
        holds_data=False,
    )
