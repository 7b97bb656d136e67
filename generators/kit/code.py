"""What people do with a CodeCommit repository of their own: read, and write without deciding on the repository itself."""

from __future__ import annotations

READ = ["codecommit:BatchGet*", "codecommit:Get*", "codecommit:GitPull", "codecommit:List*"]
WRITE = ["codecommit:CreateBranch", "codecommit:CreateCommit", "codecommit:CreatePullRequest", "codecommit:DeleteBranch",
         "codecommit:GitPush", "codecommit:MergePullRequestByFastForward", "codecommit:MergePullRequestBySquash",
         "codecommit:MergePullRequestByThreeWay", "codecommit:PostCommentForPullRequest", "codecommit:PutFile",
         "codecommit:UpdatePullRequestDescription", "codecommit:UpdatePullRequestStatus",
         "codecommit:UpdatePullRequestTitle"]  # fmt: skip
