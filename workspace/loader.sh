#!/bin/bash
# Runs when a JupyterLab or Code Editor space starts. It never changes: what a project's workspace does is in the project's
# own start script, which this fetches, checks and runs. Whatever happens here, the space starts.
#
# Contract: the execution role stands on the path /mlops/PROJECT/; the SSM parameter /mlops/projects/PROJECT/start-script
# holds "SHA256 s3://BUCKET/KEY"; the log is ~/.mlops/start.log.

LIMIT=240 # seconds for the start script

log() { echo "$(date -u +%FT%TZ) mlops-loader: $*"; }

# Only lower case letters, digits and hyphens: the name goes into a path and a parameter name.
project_of() {
    printf '%s\n' "$1" | sed -n 's#^arn:[a-z-]*:\(iam\|sts\)::[0-9]*:role/mlops/\([a-z][a-z0-9-]*\)/.*#\2#p'
}

# Studio writes the role of the space here; the caller's ARN has no path, so it can't tell the project.
role_arn() {
    python3 - /opt/ml/metadata/resource-metadata.json <<'PY'
import json, sys
try:
    print(json.load(open(sys.argv[1])).get("ExecutionRoleArn", ""))
except (OSError, ValueError) as error:
    print(f"no metadata: {error}", file=sys.stderr)
PY
}

load() {
    local project parameter expected source script actual
    project=$(project_of "${MLOPS_EXECUTION_ROLE_ARN:-$(role_arn)}")
    [ -n "$project" ] || { log "the role of this space belongs to no project: nothing to do"; return; }
    [ "$project" != platform ] || { log "a space of the platform itself: nothing to do"; return; }
    parameter=$(aws ssm get-parameter --name "/mlops/projects/$project/start-script" --query Parameter.Value --output text) ||
        { log "project $project has no start script, or its role may not read it"; return; }
    read -r expected source <<<"$parameter"
    script="$HOME/.mlops/start.sh"
    aws s3 cp --quiet "$source" "$script.new" || { log "could not fetch $source"; return; }
    actual=$(sha256sum "$script.new" | cut -d ' ' -f 1)
    [ "$actual" = "$expected" ] || { rm -f "$script.new"; log "$source is not what was published ($actual): not run"; return; }
    mv "$script.new" "$script"
    log "running the start script of project $project"
    timeout "$LIMIT" bash "$script" "$project" || log "the start script ended with $?"
}

mkdir -p "$HOME/.mlops"
export AWS_MAX_ATTEMPTS=3
# In the background: Studio gives a lifecycle script five minutes, and a space must start without the network as well.
load </dev/null >>"$HOME/.mlops/start.log" 2>&1 &
exit 0
