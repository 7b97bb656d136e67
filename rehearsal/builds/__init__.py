"""CodeBuild: builds that really run, each in a folder and with an environment of its own."""
