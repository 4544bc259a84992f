#!/usr/bin/env bash
# Execute the Dockerfile's steps in Debian roots made by mmdebstrap, and run what comes out.
#
#   sudo scripts/image_check.sh [EMPTY_DIRECTORY]
#
# Needs root, mmdebstrap, git, 8 GB and the package indexes of Debian and Python. What the steps
# may see of this machine besides, such as /usr/local/share/ca-certificates and the pip configuration
# of a mirror, is named in IMAGE_CHECK_BIND, separated by spaces; they cannot write to it.
# IMAGE_CHECK_ARGS replaces values of ARG, as NAME=VALUE separated by spaces.
#
# Not covered: the base image itself (the root is Debian's minimal one, of the same release), layers
# and their cache, Docker's seccomp and capabilities, its network, the interval of the health check
# (it is executed once), .dockerignore (what git tracks is the context), other architectures.
# Understood are the instructions that the Dockerfile uses; any other ends the check.
set -euo pipefail

source_root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
[ -z "$(ls -A "$work")" ] || { echo "$work is not empty: name another directory" >&2; exit 78; }
[ "$(id -u)" = 0 ] || { echo "not root: run it with sudo" >&2; exit 78; }
command -v mmdebstrap >/dev/null || { echo "no mmdebstrap: apt-get install mmdebstrap" >&2; exit 78; }
base=$work/base context=$work/context
declare -A arguments=() environment=()
root="" user=root folder=/ health="" entry=""

say() { printf '== %s\n' "$*"; }

# Run a command in a root as the stage's user; mounts end with its namespace.
inside() { # NETWORK ROOT COMMAND...
    local network=$1 where=$2 pairs=() name
    shift 2
    for name in "${!environment[@]}"; do pairs+=("$name=${environment[$name]}"); done
    local isolate=(--mount --pid --fork --kill-child)
    [ "$network" = online ] || isolate+=(--net)
    BINDS="${IMAGE_CHECK_BIND:-}" NETWORK=$network WHERE=$where ACCOUNT=$user FOLDER=$folder \
        unshare "${isolate[@]}" bash -c '
        set -e
        mount -t proc proc "$WHERE/proc"
        mount -t tmpfs tmpfs "$WHERE/tmp"
        mount -t tmpfs tmpfs "$WHERE/dev"
        mkdir -m 1777 "$WHERE/dev/shm"
        ln -s /proc/self/fd "$WHERE/dev/fd"
        for node in null zero full random urandom tty; do
            : > "$WHERE/dev/$node"
            mount --bind "/dev/$node" "$WHERE/dev/$node"
        done
        if [ "$NETWORK" = online ]; then
            cp --remove-destination /etc/resolv.conf "$WHERE/etc/resolv.conf"
            for path in $BINDS; do
                if [ -d "$path" ]; then mkdir -p "$WHERE$path"; else
                    mkdir -p "$(dirname "$WHERE$path")"; [ -e "$WHERE$path" ] || : > "$WHERE$path"
                fi
                # A package that writes its configuration would else write it on this machine.
                mount --bind "$path" "$WHERE$path"
                mount -o remount,bind,ro "$WHERE$path"
                [ ! -w "$WHERE$path" ] || { echo "$path stays writable" >&2; exit 78; }
            done
        else
            ip link set lo up
        fi
        account=$(chroot "$WHERE" id -u "$ACCOUNT"):$(chroot "$WHERE" id -g "$ACCOUNT")
        exec chroot --userspec="$account" "$WHERE" /usr/bin/env -i HOME=/tmp "$@"
    ' bash "${pairs[@]}" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
}

expand() { # replace ${NAME} by the argument of that name
    local text=$1 name
    for name in "${!arguments[@]}"; do text=${text//"\${$name}"/${arguments[$name]}}; done
    printf '%s' "$text"
}

words() { # a JSON list as one word a line
    python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$1"
}

begin_stage() { # BASE [AS NAME]
    local name=${3:-final}
    case $1 in
        debian:bookworm-slim*) ;;
        *) echo "the check makes a root of Debian bookworm, not $1" >&2; exit 78 ;;
    esac
    root=$work/$name user=root folder=/
    environment=([PATH]=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    cp --archive --reflink=auto "$base" "$root"
}

copy() { # [--from=STAGE] SOURCE... TARGET
    local from=$context
    if [[ $1 == --from=* ]]; then from=$work/${1#--from=}; shift; fi
    local target=${*: -1} sources=("${@:1:$#-1}") one
    [[ $target == /* ]] || target=$folder/$target
    for one in "${sources[@]}"; do
        if [ -d "$from/$one" ]; then
            mkdir -p "$root/$target"
            cp --archive "$from/$one/." "$root/$target/"
        else
            case $target in
                */ | */.) mkdir -p "$root/$target" ;;
                *) mkdir -p "$root/$(dirname "$target")" ;;
            esac
            cp --archive "$from/$one" "$root/$target"
        fi
    done
}

step() { # INSTRUCTION REST
    say "$1 ${2:0:100}"
    local rest=$2 pair
    case $1 in
        FROM) read -ra parts <<<"$(expand "$rest")"; begin_stage "${parts[@]}" ;;
        ARG)
            arguments[${rest%%=*}]=${rest#*=}
            for pair in ${IMAGE_CHECK_ARGS:-}; do
                [ "${pair%%=*}" != "${rest%%=*}" ] || arguments[${pair%%=*}]=${pair#*=}
            done
            [ -z "$root" ] || environment[${rest%%=*}]=${arguments[${rest%%=*}]}
            ;;
        ENV) for pair in $rest; do environment[${pair%%=*}]=${pair#*=}; done ;;
        WORKDIR) folder=$rest; mkdir -p "$root/$folder" ;;
        USER) user=$rest ;;
        COPY) read -ra parts <<<"$rest"; copy "${parts[@]}" ;;
        RUN) inside online "$root" /bin/sh -c "$rest" ;;
        HEALTHCHECK) health=${rest#*CMD } ;;
        ENTRYPOINT) entry=$rest ;;
        CMD) ;;
        *) echo "the check does not know $1" >&2; exit 78 ;;
    esac
}

say "context: what git tracks"
mkdir -p "$context"
git -C "$source_root" ls-files -z | tar -C "$source_root" --null -T - -c | tar -C "$context" -x
say "mmdebstrap bookworm"
mmdebstrap --quiet --variant=minbase bookworm "$base" http://deb.debian.org/debian

line=""
while IFS= read -r text || [ -n "$text" ]; do
    [[ $text =~ ^[[:space:]]*(#|$) ]] && continue
    line+=$text
    if [[ $line == *\\ ]]; then line=${line%\\}; continue; fi
    step "${line%% *}" "${line#* }"
    line=""
done <"$source_root/Dockerfile"

say "the health check, as $user and without a network"
mapfile -t command < <(words "$health")
inside offline "$root" "${command[@]}"
say "its user is not root, and no key is in the image"
[ "$(inside offline "$root" id -u)" != 0 ]
if find "$root/opt/flocknode" "$root/data" \( -name '*.key' -o -name 'onion.json' \) | grep .; then
    exit 1
fi
say "a demo of two rounds in an empty directory, without a network"
mapfile -t command < <(words "$entry")
inside offline "$root" "${command[@]}" demo --rounds 2 --trainers 3 --columns 2 --seats 1 \
    --chain pyevm --keep run
say "done: $root, $(du -sh "$root" | cut -f1)"
