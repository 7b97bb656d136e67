"""Operations: what watches over the platform itself. Tagging of jobs, quota check, failures to one topic, budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from troposphere import AccountId, And, Condition, Equals, GetAtt, Not, Ref, Region, Sub
from troposphere.awslambda import Permission
from troposphere.cloudformation import CustomResource
from troposphere.cloudformation import Stack as NestedStack
from troposphere.cloudwatch import Alarm, MetricDimension
from troposphere.events import DeadLetterConfig, RetryPolicy, Rule, Target
from troposphere.sns import SubscriptionResource, Topic, TopicPolicy
from troposphere.sqs import Queue, QueuePolicy

from generators.infra import questions
from generators.infra.encryption import Keys
from generators.infra.questions import Asked
from generators.kit import publishing, regions
from generators.kit.builder import Builder
from generators.kit.functions import Surroundings, helper_function
from generators.kit.iam import allow, arn, deny, document

QUOTAS = Path(__file__).with_name("quotas.json")
JOBS = ("Training Job", "Processing Job", "Transform Job", "HyperParameter Tuning Job")


def surroundings(asked: Asked, keys: Keys, boundary: Any) -> Surroundings:
    """Give what every helper function shares."""
    return Surroundings(keys.arn, asked.answers["LogRetentionInDays"], boundary)


def tagging(b: Builder, around: Surroundings) -> None:
    """Complete the tags of jobs, as SageMaker tells of them."""
    failures = b.add(
        Queue("FailedEvents", KmsMasterKeyId=around.key_arn, MessageRetentionPeriod=1209600,
              KmsDataKeyReusePeriodSeconds=300),
        holds_data=False,
    )  # fmt: skip
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
    rule = b.add(
        Rule(
            "JobStateChanges",
            Description="SageMaker jobs that change their state",
            EventPattern={
                "source": ["aws.sagemaker"],
                "account": [AccountId],
                "detail-type": [f"SageMaker {job} State Change" for job in JOBS],
            },
            Targets=[
                Target(
                    Id="ExperimentTagging",
                    Arn=GetAtt(tagger, "Arn"),
                    DeadLetterConfig=DeadLetterConfig(Arn=GetAtt(failures, "Arn")),
                    RetryPolicy=RetryPolicy(MaximumRetryAttempts=8, MaximumEventAgeInSeconds=3600),
                )
            ],
        )
    )
    b.add(
        Permission("JobStateChangesCallTagging", Action="lambda:InvokeFunction", FunctionName=GetAtt(tagger, "Arn"),
                   Principal="events.amazonaws.com", SourceArn=GetAtt(rule, "Arn"))
    )  # fmt: skip
    b.add(
        QueuePolicy(
            "FailedEventsPolicy",
            Queues=[Ref(failures)],
            PolicyDocument=document(
                allow("EventsThatFail", "sqs:SendMessage", GetAtt(failures, "Arn"),
                      {"ArnEquals": {"aws:SourceArn": GetAtt(rule, "Arn")}}, Principal={"Service": "events.amazonaws.com"}),
                deny("TlsOnly", ["sqs:ReceiveMessage", "sqs:SendMessage"], GetAtt(failures, "Arn"),
                     {"Bool": {"aws:SecureTransport": "false"}}, Principal="*"),
            ),
        )
    )  # fmt: skip
    _failures_to_people(b, around, failures)


def _failures_to_people(b: Builder, around: Surroundings, failures: Queue) -> None:
    topic = b.add(Topic("OperationsTopic", DisplayName="MLOps platform", KmsMasterKeyId=around.key_arn))
    b.add(
        TopicPolicy(
            "OperationsTopicPolicy",
            Topics=[Ref(topic)],
            PolicyDocument=document(
                allow("AlarmsAndBudgets", "sns:Publish", Ref(topic), {"StringEquals": {"aws:SourceAccount": AccountId}},
                      Principal={"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}),
                deny("TlsOnly", "sns:Publish", Ref(topic), {"Bool": {"aws:SecureTransport": "false"}}, Principal="*"),
            ),
        )
    )  # fmt: skip
    told = b.when("HasNotificationEmail", questions.given(questions.NOTIFICATION_EMAIL))
    b.add(
        SubscriptionResource(
            "OperationsEmail", TopicArn=Ref(topic), Protocol="email", Endpoint=Ref(questions.NOTIFICATION_EMAIL.name)
        ),
        when=told,
    )
    b.add(
        Alarm(
            "FailedEventsAlarm",
            AlarmDescription="An event could not be handled: see the queue FailedEvents and the logs of the function.",
            Namespace="AWS/SQS",
            MetricName="ApproximateNumberOfMessagesVisible",
            Dimensions=[MetricDimension(Name="QueueName", Value=GetAtt(failures, "QueueName"))],
            Statistic="Maximum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[Ref(topic)],
        )
    )


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
                "CostCenter": Ref("CostCenter"),
                "MonthlyBudgetInUsd": asked[questions.MONTHLY_BUDGET],
                "TopicArn": Ref("OperationsTopic"),
            },
        ),
        when=has,
        holds_data=False,
    )
