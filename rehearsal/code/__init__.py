"""CodeCommit: real bare git repositories, served to git clients over HTTP and to the API."""
