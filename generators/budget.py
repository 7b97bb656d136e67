"""Monthly budget of whatever carries a cost tag. Nested in 1-infra and 2-smproject: some regions don't have its type, and
the console refuses a template that names a type the region lacks, whatever its conditions say."""

from __future__ import annotations

from troposphere import Sub
from troposphere.budgets import Budget, BudgetData, Notification, NotificationWithSubscribers, Spend, Subscriber

from generators.kit.builder import Builder
from generators.kit.parameters import Question
from generators.kit.stack import Stack, Trial

STACK = Stack(
    name="budget",
    title="MLOps budget",
    summary="a monthly budget for everything that carries a cost tag",
    account="data-science",
    groups=("General",),
    nested_in="1-infra",
    trial=Trial(
        {
            "MonthlyBudgetInUsd": "100",
            "TagValue": "12345",
            "TopicArn": "arn:aws:sns:us-east-1:111111111111:operations",
        }
    ),
)
AMOUNT = Question(
    "MonthlyBudgetInUsd", "Monthly budget in USD", "General", "Budget, in USD.", type="Number", min_value=1
)  # fmt: skip
TAG = Question(
    "TagKey", "Cost tag", "General", "Tag that marks what the budget counts, active as a cost allocation tag.", default="CostCenter"
)  # fmt: skip
VALUE = Question("TagValue", "Value of the tag", "General", "What the tag says on what the budget counts.")
TOPIC = Question("TopicArn", "Topic", "General", "Topic that is told when the budget is nearly reached.")


def build(b: Builder) -> None:
    """Build the template."""
    amount, _, _, topic = b.ask(AMOUNT), b.ask(TAG), b.ask(VALUE), b.ask(TOPIC)
    warnings = [
        NotificationWithSubscribers(
            Notification=Notification(
                NotificationType=kind, ComparisonOperator="GREATER_THAN", Threshold=percent, ThresholdType="PERCENTAGE"
            ),
            Subscribers=[Subscriber(SubscriptionType="SNS", Address=topic)],
        )
        for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
    ]
    b.add(
        Budget(
            "MonthlyBudget",
            Budget=BudgetData(
                BudgetType="COST",
                TimeUnit="MONTHLY",
                BudgetLimit=Spend(Amount=amount, Unit="USD"),
                # Source: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Budget.html
                CostFilters={"TagKeyValue": [Sub("user:${TagKey}$${TagValue}")]},
            ),
            NotificationsWithSubscribers=warnings,
        )
    )
