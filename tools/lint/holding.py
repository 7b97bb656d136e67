"""Which types hold data. The promise files of releases use it as well, so it needs no schemas."""

from __future__ import annotations

# Gone for good when deleted, or the only copy of what somebody made.
HOLDS_DATA = frozenset({
    "AWS::Backup::BackupVault", "AWS::CodeArtifact::Domain", "AWS::CodeArtifact::Repository", "AWS::CodeCommit::Repository",
    "AWS::Cognito::UserPool", "AWS::DocDB::DBCluster", "AWS::DocDB::DBInstance", "AWS::DynamoDB::GlobalTable",
    "AWS::DynamoDB::Table", "AWS::EC2::Volume", "AWS::ECR::Repository", "AWS::EFS::FileSystem", "AWS::FSx::FileSystem",
    "AWS::KMS::Key", "AWS::Kinesis::Stream", "AWS::Neptune::DBCluster", "AWS::Neptune::DBInstance",
    "AWS::OpenSearchService::Domain", "AWS::Elasticsearch::Domain", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster", "AWS::S3::Bucket", "AWS::SDB::Domain", "AWS::SageMaker::FeatureGroup",
    "AWS::SageMaker::MlflowApp", "AWS::SageMaker::MlflowTrackingServer", "AWS::SageMaker::ModelPackage",
    "AWS::SageMaker::ModelPackageGroup", "AWS::SecretsManager::Secret", "AWS::ElastiCache::CacheCluster",
    "AWS::ElastiCache::ReplicationGroup", "AWS::EMR::Cluster", "AWS::QLDB::Ledger", "AWS::Organizations::Account",
})  # fmt: skip
# Logs end by their own retention, queued messages within days, and a nested stack keeps its data itself. Keeping them costs and
# leaves debris, losing them may cost evidence: either is right, so it has to be said.
# A Domain is in neither: it holds nothing of its own (spaces and profiles belong to their own stacks and block its deletion), and
# one that is kept would keep the VPC from going.
DECIDED = frozenset({"AWS::Logs::LogGroup", "AWS::SQS::Queue", "AWS::CloudFormation::Stack"})
