"""CodePipeline: executions that really run, stage by stage, as the pipeline's role."""

from rehearsal.pipelines.service import Pipelines

__all__ = ["Pipelines"]
