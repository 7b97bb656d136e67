#!/bin/bash
# Sets up a project's space. The loader fetches this from the project's bucket, checks it by hash and runs it in the
# background as `bash start.sh PROJECT`; it may be run again by hand at any time: `bash ~/.mlops/start.sh PROJECT`.
#
# Each step stands alone: one that fails is logged, and the others go on. The project's settings (the SSM parameter
# /mlops/projects/PROJECT/settings) are data: the shell never evaluates them, and each is held against its form first.
# What a person made stays: their clone, their commits, their git identity, their index in pip.conf, their SageMaker defaults.

# shellcheck disable=SC2317,SC2329 # steps are called by their names
set -uo pipefail

PROJECT=${1:-}
STATE="$HOME/.mlops"
METADATA=${MLOPS_RESOURCE_METADATA:-/opt/ml/metadata/resource-metadata.json}
# Seconds. CodeArtifact's token is good for twelve hours:
# https://docs.aws.amazon.com/codeartifact/latest/ug/tokens-authentication.html
RENEW=${MLOPS_RENEW_SECONDS:-36000}
RETRY=${MLOPS_RETRY_SECONDS:-300}
DONE=()
FAILED=()
REACH="may the role pull from it, and does the VPC have an endpoint for git-codecommit?"
export GIT_TERMINAL_PROMPT=0 # in the background nobody answers

log() { echo "$(date -u +%FT%TZ) mlops-start: $*"; }

# Without a way to the internet, what can't be reached does not answer at all.
call() {
    timeout --kill-after=5 25 aws "$@" --output text --cli-connect-timeout 5 --cli-read-timeout 20 ||
        { echo "aws $1 $2 failed or did not answer: may the role call it, is there an endpoint for $1 in the VPC?" >&2; return 1; }
}

settings() { call ssm get-parameter --name "/mlops/projects/$PROJECT/settings" --query Parameter.Value; }

# All that reads settings or writes files from them: tool STEP [ARGUMENT...].
tool() {
    MLOPS_SETTINGS=$SETTINGS python3 - "$PROJECT" "$METADATA" "$@" <<'PY'
import configparser
import json
import os
import pathlib
import re
import shlex
import sys
import urllib.parse
from typing import Any

HOME = pathlib.Path.home()
STATE = HOME / ".mlops"
CONFIG = pathlib.Path(os.environ.get("XDG_CONFIG_HOME") or HOME / ".config")
SDK_FILE = CONFIG / "sagemaker" / "config.yaml"  # of the person, for the SDK's versions 2 and 3 alike
SDK_BESIDE = STATE / "sagemaker.yaml"
MARK = "# Written by the project's start script whenever the space starts.\n"
KEPT = "# A file of your own in this place, without the line above, is kept and read after ~/.mlops/sagemaker.yaml.\n"
CAUTION = "# It holds a token: keep it to yourself. Lines of your own stay.\n"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
CLONE_URL = r"https://git-codecommit[a-z-]*\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/v1/repos/" + NAME
WORD = r"[a-z][a-z0-9_-]{0,31}"
FORMS = {
    "account_id": r"\d{12}",
    "artifact_bucket": BUCKET,
    "cicd_repository_url": CLONE_URL,
    "cost_center": r"[A-Za-z0-9][A-Za-z0-9 ._:/=+@-]{0,126}",
    "framework": WORD,
    "inference_type": WORD,
    "private_subnets": r"subnet-[a-z0-9]{1,25}(,subnet-[a-z0-9]{1,25}){0,15}",
    "problem_type": WORD,
    "project_bucket": BUCKET,
    "project_id": r"p-[a-z0-9]{1,18}",
    "project_kms": r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+",
    "project_name": r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
    "project_role_arn": r"arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]+",
    "pypi_domain": r"[a-z][a-z0-9-]{0,48}[a-z0-9]|none",
    "pypi_repository": NAME,
    "repository_url": CLONE_URL,
    "sg_compute": r"sg-[a-z0-9]{1,28}",
    "sg_vpce": r"sg-[a-z0-9]{1,28}",
    "tracking_arn": r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:mlflow-(app|tracking-server)/[A-Za-z0-9-]+|none",
    "vpc": r"vpc-[a-z0-9]{1,28}",
}
KERNELS = """\
# It gives kernels the environment of ~/.mlops/environment; what is set later, in a notebook, stands.
def _mlops_environment():
    import os
    import pathlib
    import shlex

    try:
        words = shlex.split((pathlib.Path.home() / ".mlops" / "environment").read_text(), comments=True)
    except (OSError, ValueError):
        return
    exported = (word for before, word in zip(words, words[1:]) if before == "export")
    os.environ.update(word.split("=", 1) for word in exported)


_mlops_environment()
del _mlops_environment
"""
TERMINALS = """\
# >>> mlops >>>
# The project's environment. Comment out the lines between the marks to do without; the marks keep them from coming back.
if [ -f ~/.mlops/environment ]; then
    . ~/.mlops/environment
fi
# <<< mlops <<<
"""
# Behind all else, so that nothing which the person has hides a command of the space. Kernels read the exports alone.
PATHS = 'case ":$PATH:" in *":$HOME/.local/bin:"*) ;; *) PATH="$PATH:$HOME/.local/bin" ;; esac\n'
SHELL = "#!/bin/sh\n"
COMMAND = """\
# Runs the pipeline as the platform's ML engineer approved it; python3 ~/.mlops/cicd/local.py is the same.
jobs="$HOME/.mlops/cicd/local.py"
case "${1:-}" in
local)
    shift
    if [ ! -f "$jobs" ]; then
        echo "inv local: there is no $jobs. ~/.mlops/start.log says why, in the last lines with jobs." >&2
        exit 1
    fi
    exec python3 "$jobs" "$@"
    ;;
*)
    echo "Usage: inv local [OPTIONS], in a checkout of your project; inv local --help lists the options." >&2
    exit 2
    ;;
esac
"""


class Refused(Exception):
    """What keeps a step from being done; the message ends with the mend."""


def take(name: str) -> str:
    """Give a setting, if it has the form it must have."""
    value = SETTINGS.get(name)
    if not isinstance(value, str) or not re.fullmatch(FORMS[name], value):
        raise Refused(f"the setting {name} of the project is {str(value)[:80]!r}, which can't be used: {MEND}")
    return value


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all; one that is as it should be is left alone, one behind a link stays there."""
    path = pathlib.Path(os.path.realpath(path))
    if path.is_file() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.touch(mode=0o600, exist_ok=False)  # before a token is in it
        new.write_text(text)
        new.chmod(mode)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def yaml(value: Any, indent: str = "") -> str:
    """Render as YAML, of which JSON is a part."""
    if isinstance(value, dict):
        return "".join(
            f"{indent}{key}:\n{yaml(inner, indent + '  ')}"
            if isinstance(inner, (dict, list))
            else f"{indent}{key}: {json.dumps(inner)}\n"
            for key, inner in value.items()
        )
    return "".join(f"{indent}- {json.dumps(item)}\n" for item in value)


def variables() -> dict[str, str]:
    """Give the environment of people, kernels and jobs."""
    found = {
        # IAM has no endpoint in most VPCs, and the SDKs ask it nevertheless. This mode gives a connection 1.1 seconds, not 60:
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-smart-config-defaults.html
        # It is set here and not in ~/.aws/config, which is the person's own.
        "AWS_DEFAULTS_MODE": "in-region",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        # The SageMaker SDK would have IAM simulate the role's policy before each job.
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "MLFLOW_EXPERIMENT_NAME": PROJECT,
    }
    tracking = take("tracking_arn")
    return found if tracking == "none" else {**found, "MLFLOW_TRACKING_URI": tracking}


def defaults(volume_key: bool) -> dict[str, Any]:
    """Give the SageMaker SDK's defaults, with or without the key of volumes. Schema and paths are those of the SDK's versions 2
    and 3; a key that it doesn't know makes it refuse the whole file."""
    role, key, bucket = take("project_role_arn"), take("project_kms"), take("project_bucket")
    subnets, groups = take("private_subnets").split(","), [take("sg_compute")]
    vpc = {"SecurityGroupIds": groups, "Subnets": subnets}
    volume = {"VolumeKmsKeyId": key} if volume_key else {}
    place = f"s3://{bucket}/experiments"
    tags = [
        {"Key": name, "Value": value}
        for name, value in (
            ("CostCenter", take("cost_center")),
            ("mlops:project", PROJECT),
            ("sagemaker:project-name", PROJECT),
            ("sagemaker:project-id", take("project_id")),
        )
    ]
    modules = {
        "TelemetryOptOut": True,
        "Session": {"DefaultS3Bucket": bucket, "DefaultS3ObjectKeyPrefix": "experiments"},
        # ModelTrainer looks for the network here alone, by its own names.
        "ModelTrainer": {
            "networking": {
                "subnets": subnets,
                "security_group_ids": groups,
                "enable_inter_container_traffic_encryption": True,
            }
        },
        "RemoteFunction": {
            "RoleArn": role,
            "S3RootUri": place,
            "S3KmsKeyId": key,
            **volume,
            "VpcConfig": vpc,
            "EnableInterContainerTrafficEncryption": True,
            "Tags": tags,
        },
        "Serve": {"RoleArn": role, "S3ModelDataUri": place},
    }
    jobs = {
        "TrainingJob": {
            "RoleArn": role,
            "VpcConfig": vpc,
            "EnableInterContainerTrafficEncryption": True,
            "OutputDataConfig": {"KmsKeyId": key},
            **({"ResourceConfig": volume} if volume else {}),
            "Environment": variables(),
            "Tags": tags,
        },
        "ProcessingJob": {
            "RoleArn": role,
            "NetworkConfig": {"VpcConfig": vpc, "EnableInterContainerTrafficEncryption": True},
            "ProcessingOutputConfig": {"KmsKeyId": key},
            **({"ProcessingResources": {"ClusterConfig": volume}} if volume else {}),
            "Environment": variables(),
            "Tags": tags,
        },
        "TransformJob": {
            "TransformOutput": {"KmsKeyId": key},
            **({"TransformResources": volume} if volume else {}),
            "Tags": tags,
        },
        "Model": {"ExecutionRoleArn": role, "VpcConfig": vpc, "Tags": tags},
        "Pipeline": {"RoleArn": role, "Tags": tags},
    }
    return {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": modules}, **jobs}}


def parameters() -> None:
    """Write what code of the project may want to know of its place."""
    names = ("artifact_bucket", "sg_compute", "sg_vpce", "vpc", "project_bucket", "project_kms", "project_role_arn")
    found: dict[str, Any] = {name: take(name) for name in names}
    # What inv local takes the project for.
    known = ("project_name", "problem_type", "inference_type", "framework")
    found |= {name: take(name) for name in known if name in SETTINGS}
    found["private_subnets"] = take("private_subnets").split(",")
    write(HOME / ".project_params.yaml", MARK + yaml(dict(sorted(found.items()))))
    print("~/.project_params.yaml is written")


def sdk_file_is_theirs() -> bool:
    """Tell whether the person has SDK defaults of their own."""
    return SDK_FILE.exists() and not SDK_FILE.read_text().startswith(MARK)


def sagemaker() -> None:
    """Write the SDK's defaults: as the person's own file, or beside it when they have one."""
    theirs = sdk_file_is_theirs()
    write(SDK_BESIDE if theirs else SDK_FILE, MARK + ("" if theirs else KEPT) + yaml(defaults(volume_key=True)))
    # Instance types with local storage encrypt it themselves, and SageMaker refuses a volume key for them:
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
    # The other types need one here, and are what people take first; so the key is in the defaults, and this is the way out.
    write(STATE / "sagemaker-local-storage.yaml", MARK + yaml(defaults(volume_key=False)))
    print(f"the SDK's defaults are in {f'{SDK_BESIDE}; yours in {SDK_FILE} win' if theirs else SDK_FILE}")


def environment() -> None:
    """Write the environment, and have terminals and kernels read it."""
    found = variables()
    if sdk_file_is_theirs() and SDK_BESIDE.exists():
        found["SAGEMAKER_ADMIN_CONFIG_OVERRIDE"] = str(SDK_BESIDE)  # the SDK reads it before the person's own
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(found.items()))
    write(STATE / "environment", MARK + text + PATHS)
    write(HOME / ".ipython" / "profile_default" / "startup" / "00-mlops.py", MARK + KERNELS)
    # JupyterLab's terminals are login shells, which read the first of these; Code Editor's read ~/.bashrc.
    logins = [HOME / name for name in (".bash_profile", ".bash_login", ".profile")]
    for file in (HOME / ".bashrc", next((login for login in logins if login.exists()), logins[-1])):
        there = file.read_text() if file.exists() else ""
        if "# >>> mlops >>>" not in there:
            with file.open("a") as target:
                target.write(("\n" if there and not there.endswith("\n") else "") + TERMINALS)
    print("new terminals and kernels have it")


def check() -> None:
    """Say that these are the project's settings; that they are is seen before any step."""
    print("read")


def repository(name: str = "repository_url") -> None:
    """Say where the project's code is, and at which host git needs AWS's credentials."""
    url = take(name)
    print(url, url.split("/v1/", 1)[0])


def jobs() -> None:
    """Say where the pipeline's jobs are; nothing for a project from before there was `inv local`."""
    if "cicd_repository_url" in SETTINGS:
        repository("cicd_repository_url")


def command() -> None:
    """Write the command inv, whole or not at all; one of the person's own stays."""
    path = HOME / ".local" / "bin" / "inv"
    ours = (SHELL + MARK).encode()
    if os.path.lexists(path) and not (path.is_file() and path.read_bytes().startswith(ours)):
        print(f"{path} is your own and is kept; python3 ~/.mlops/cicd/local.py does what inv local would;")
        return
    write(path, SHELL + MARK + COMMAND, 0o755)


def profile() -> None:
    """Say whose space this is."""
    try:
        found = json.loads(pathlib.Path(METADATA).read_text()).get("UserProfileName", "")
    except (OSError, ValueError, AttributeError) as error:
        raise Refused(f"{METADATA} does not say whose space this is ({error}): {IDENTITY}") from error
    if not isinstance(found, str) or not re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}", found):
        raise Refused(f"{METADATA} names the profile {str(found)[:80]!r}: {IDENTITY}")
    print(found)


def index() -> None:
    """Say where packages come from; nothing when there is no index."""
    domain = take("pypi_domain")
    if domain != "none" and take("pypi_repository") != "none":
        print(domain, take("account_id"), take("pypi_repository"))


def pip(endpoint: str) -> None:
    """Put the index with its token into pip's configuration, and leave every other line there as it is."""
    token = os.environ["MLOPS_TOKEN"]
    there = urllib.parse.urlsplit(endpoint)
    if there.scheme != "https" or not there.hostname or there.username:
        raise Refused(f"CodeArtifact gave the endpoint {endpoint[:200]!r}: run this again")
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,8192}", token):
        raise Refused("CodeArtifact gave a token that can't stand in a URL: run this again")
    url = f"https://aws:{urllib.parse.quote(token, safe='')}@{there.netloc}{there.path.rstrip('/')}/simple/"
    path = CONFIG / "pip" / "pip.conf"
    text = path.read_text() if path.exists() else MARK + CAUTION
    theirs = urllib.parse.urlsplit(configured(text, path))
    ours = urllib.parse.urlsplit(url)
    if theirs.netloc and (theirs.hostname, theirs.path) != (ours.hostname, ours.path):
        print(f"{path} names an index of yours, which is kept; remove its line index-url to have the project's")
        return
    text = with_index(text, url)
    if configured(text, path) != url:
        raise Refused(f"{path} can't be changed safely: give it one section [global] with one line index-url at most")
    write(path, text, 0o600)
    print("pip has a token of the project's index for twelve hours")


def with_index(text: str, url: str) -> str:
    """Set index-url in the section [global], where it stands or at its head."""
    lines: list[str] = []
    section, head, put = "", None, False
    for line in text.splitlines():
        header = re.match(r"\[([^]]*)\]", line)
        section = header[1] if header else section
        if section == "global" and re.match(r"index[-_]url\s*[=:]", line):
            line, put = f"index-url = {url}", True
        lines.append(line)
        head = len(lines) if header and section == "global" else head
    if head is None:
        lines.append("[global]")
    if not put:
        lines.insert(len(lines) if head is None else head, f"index-url = {url}")
    return "\n".join(lines) + "\n"


def configured(text: str, path: pathlib.Path) -> str:
    """Read which index a pip configuration names; empty for none."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:  # whose text can hold the line with the token
        raise Refused(f"{path} is not as pip wants it: mend or remove it") from None
    return parser.get("global", "index-url", fallback=parser.get("global", "index_url", fallback=""))


PROJECT, METADATA, step, *arguments = sys.argv[1:]
MEND = "ask the data science admin to update the project"
IDENTITY = "tell git yourself with git config --global user.name and user.email"
ALL = (check, parameters, sagemaker, environment, repository, profile, index, pip, jobs, command)
STEPS = {one.__name__: one for one in ALL}
try:
    try:
        SETTINGS = json.loads(os.environ["MLOPS_SETTINGS"])
    except ValueError as error:
        raise Refused(f"the settings of the project can't be read ({error}): {MEND}") from error
    if not isinstance(SETTINGS, dict) or SETTINGS.get("project_name") != PROJECT:
        raise Refused(f"these settings are not those of the project {PROJECT}: {MEND}")
    STEPS[step](*arguments)
except Refused as error:
    sys.exit(str(error))
except (OSError, ValueError) as error:
    sys.exit(f"{error}: look at the file and its folder, then run this again")
PY
}

# Sets a key of ~/.gitconfig that belongs to the platform's host alone.
git_config() { [ "$(git config --global --get "$1")" = "$2" ] || git config --global --replace-all "$1" "$2"; }

sign_in() {
    # https://docs.aws.amazon.com/codecommit/latest/userguide/setting-up-https-unixes.html
    # shellcheck disable=SC2016 # for git to expand
    git_config "credential.$1.helper" '!aws codecommit credential-helper $@' && git_config "credential.$1.UseHttpPath" true
}

repository() {
    local url host folder="$HOME/$PROJECT" facts
    facts=$(tool repository) || return
    read -r url host <<<"$facts"
    sign_in "$host" || return
    if [ ! -e "$folder" ] && [ ! -L "$folder" ]; then
        # Beside, then moved: a clone that was cut off is never taken for a whole one.
        rm -rf "$STATE/clone"
        timeout --kill-after=5 80 git clone --quiet "$url" "$STATE/clone" || { echo "could not clone $url: $REACH"; return 1; }
        mv -T "$STATE/clone" "$folder" && echo "cloned to $folder"
    elif [ ! -e "$folder/.git" ] || [ "$(git -C "$folder" config --get remote.origin.url)" != "$url" ]; then
        echo "$folder is no clone of $url and is left alone: move it away, then run this again"
        return 1
    else
        timeout --kill-after=5 60 git -C "$folder" fetch --quiet origin || { echo "could not fetch from $url: $REACH"; return 1; }
        echo "fetched into $folder; your branches and files are as you left them"
    fi
}

# The pipeline's jobs, for inv local: the ML engineer's main, which the project may only read.
jobs() {
    local url host folder="$STATE/cicd" current=no facts
    facts=$(tool jobs) || return
    [ -n "$facts" ] || { echo "the project is of a platform without inv local: the next update of the project brings it"; return; }
    read -r url host <<<"$facts"
    tool command || return
    sign_in "$host" || return
    if pristine "$folder" "$url"; then
        timeout --kill-after=5 25 git -C "$folder" fetch --quiet origin || { echo "could not fetch from $url: $REACH"; return 1; }
        git -C "$folder" reset --quiet --hard origin/main && current=yes
    fi
    [ "$current" = yes ] || anew "$folder" "$url" || return
    if [ -f "$folder/local.py" ]; then
        echo "$folder is main of $url"
    else
        echo "main of $url has no local.py yet: the ML engineer merges the platform's pull request there"
    fi
}

# Tells whether a clone is as this script left it. What Python and Jupyter put beside a file that was opened is no change.
pristine() {
    local aside=(':(exclude,glob)**/__pycache__/**' ':(exclude,glob)**/.ipynb_checkpoints/**') said
    [ ! -L "$1" ] && [ -d "$1/.git" ] && [ "$(git -C "$1" config --get remote.origin.url)" = "$2" ] &&
        said=$(git -C "$1" --no-optional-locks status --porcelain --untracked-files=all -- . "${aside[@]}") && [ -z "$said" ] &&
        said=$(git -C "$1" rev-list --max-count=1 HEAD --all --not --remotes=origin) && [ -z "$said" ]
}

# Clones main, and keeps what stood in its place.
anew() {
    local folder=$1 url=$2 kept
    rm -rf "$STATE/clone"
    timeout --kill-after=5 25 git clone --quiet --branch main "$url" "$STATE/clone" ||
        { echo "could not clone main of $url: $REACH"; return 1; }
    if [ -e "$folder" ] || [ -L "$folder" ]; then
        kept="$folder-kept-$(date -u +%Y%m%dT%H%M%SZ)"
        mv -T "$folder" "$kept" || return
        echo "$folder was not as the last start left it; what was there is kept in $kept;"
    fi
    mv -T "$STATE/clone" "$folder"
}

identity() {
    local name
    if [ -z "$(known name)" ] || [ -z "$(known email)" ]; then
        name=$(tool profile) || return
        [ -n "$(known name)" ] || git config --global user.name "$name" || return
        # An address that no mail reaches, and that says so: https://www.rfc-editor.org/rfc/rfc2606
        [ -n "$(known email)" ] || git config --global user.email "$name@studio.invalid" || return
    fi
    echo "git calls you $(known name) <$(known email)>"
}

# What git knows of a person, wherever it stands.
known() { git -C "$HOME" config --get "user.$1"; }

index() {
    local domain owner name endpoint token facts
    facts=$(tool index) || return
    [ -n "$facts" ] || { echo "the platform has no package index: pip is left alone"; return; }
    read -r domain owner name <<<"$facts"
    endpoint=$(call codeartifact get-repository-endpoint --domain "$domain" --domain-owner "$owner" --repository "$name" \
        --format pypi --query repositoryEndpoint) || return
    token=$(call codeartifact get-authorization-token --domain "$domain" --domain-owner "$owner" \
        --query authorizationToken) || return
    # Not as an argument, which every process of the space could read.
    MLOPS_TOKEN=$token tool pip "$endpoint"
}

# Renews pip's token until the space ends. The lock is held as long as the process lives, and so never left behind.
renew() {
    local pause=$1 retry=$RETRY said
    exec 9>"$STATE/renewer.lock"
    flock --nonblock 9 || return 0
    echo "$$" >"$STATE/renewer.pid"
    # Nothing ever comes from here: a pause without a child, which would hold the lock when this is ended.
    exec 8<> <(:)
    while true; do
        read -r -t "$pause" -u 8
        if said=$({ SETTINGS=$(settings) && index; } 2>&1); then
            pause=$RENEW retry=$RETRY
            log "pip again: ${said//[^[:print:]]/ }"
        else
            pause=$retry retry=$((retry * 2 < 3600 ? retry * 2 : 3600))
            log "pip again FAILED, next in $pause s: ${said//[^[:print:]]/ }"
        fi
    done
}

packages() {
    local failed=0 pause=$RENEW
    index || { failed=1; pause=$RETRY; }
    [ -n "$(tool index 2>/dev/null)" ] || return "$failed"
    # In a session of its own: the loader's time limit ends this script's process group, not what renews.
    setsid bash "${BASH_SOURCE[0]}" "$PROJECT" --renew "$pause" </dev/null >>"$STATE/start.log" 2>&1 &
    return "$failed"
}

step() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        DONE+=("$name")
        log "$name: ${said//[^[:print:]]/ }"
    else
        FAILED+=("$name")
        log "$name FAILED: ${said//[^[:print:]]/ }"
    fi
}

summary() {
    if [ ${#FAILED[@]} = 0 ]; then
        log "all done for project $PROJECT in $SECONDS s"
        return 0
    fi
    log "done: ${DONE[*]:-nothing}; FAILED: ${FAILED[*]}. What each says stands above. Again: bash ~/.mlops/start.sh $PROJECT"
    return 1
}

main() {
    mkdir -p "$STATE"
    if ! [[ $PROJECT =~ ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ ]]; then
        log "which project? Usage: bash start.sh PROJECT"
        return 2
    fi
    if [ "${2:-}" = --renew ]; then
        renew "${3:-$RENEW}"
        return
    fi
    # Apart from its errors, which go to the log: a warning is no part of the settings.
    if SETTINGS=$(settings); then
        step settings tool check
    else
        FAILED=(settings)
        log "settings FAILED: project $PROJECT has none, its role may not read them, or SSM can't be reached"
    fi
    if [ ${#FAILED[@]} = 0 ]; then
        # What needs no network first, the longest last: the loader ends this after some minutes.
        step parameters tool parameters
        step sagemaker tool sagemaker
        step environment tool environment
        step identity identity
        step pip packages
        step repository repository
        step jobs jobs
    fi
    summary
}

main "$@"
