"""Messages to people: a topic that alarms and budgets write to, and alarms on what must not happen at all."""

from __future__ import annotations

from typing import Any

from troposphere import AccountId, Equals, Not, Ref
from troposphere.cloudwatch import Alarm, MetricDimension
from troposphere.sns import SubscriptionResource, Topic, TopicPolicy

from generators.kit.builder import Builder
from generators.kit.iam import allow, deny, document
from generators.kit.parameters import Question

# Services that publish on their own. The key of the topic has to name them, or their messages vanish without an error.
PUBLISHERS = ("cloudwatch.amazonaws.com", "budgets.amazonaws.com")


def topic(b: Builder, name: str, display: Any, key_arn: Any, email: Question) -> Topic:
    """Add the encrypted topic `<name>Topic`, with a subscription when the question for an address has an answer."""
    made = b.add(Topic(f"{name}Topic", DisplayName=display, KmsMasterKeyId=key_arn))
    b.add(
        TopicPolicy(
            f"{name}TopicPolicy",
            Topics=[Ref(made)],
            PolicyDocument=document(
                allow("AlarmsAndBudgets", "sns:Publish", Ref(made), {"StringEquals": {"aws:SourceAccount": AccountId}},
                      Principal={"Service": list(PUBLISHERS)}),
                deny("TlsOnly", "sns:Publish", Ref(made), {"Bool": {"aws:SecureTransport": "false"}}, Principal="*"),
            ),
        )
    )  # fmt: skip
    b.add(
        SubscriptionResource(f"{name}Email", TopicArn=Ref(made), Protocol="email", Endpoint=Ref(email.name)),
        when=b.when("HasNotificationEmail", Not(Equals(Ref(email.name), ""))),
    )
    return made


def alarm_on_any(
    b: Builder, name: str, description: str, metric: tuple[str, str], of: tuple[str, Any], topic_arn: Any
) -> None:
    """Add an alarm that goes off when a metric (namespace, name) of one thing (dimension, value) is above zero."""
    b.add(
        Alarm(
            name,
            AlarmDescription=description,
            Namespace=metric[0],
            MetricName=metric[1],
            Dimensions=[MetricDimension(Name=of[0], Value=of[1])],
            Statistic="Maximum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic_arn],
        )
    )
