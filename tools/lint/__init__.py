"""`inv lint`: cfn-lint over every template and launch region, and rules of our own. One rule is one file in rules/."""
