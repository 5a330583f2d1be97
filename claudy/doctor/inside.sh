# What doctor asks from inside a sandbox: one run, everything side by side, a line per answer.
#
#   sh -c TEXT claudy-doctor TOKEN SENTINEL NAME HOSTNAME ANSWER
#
# TOKEN     random word; every line of the answer starts with it
# SENTINEL  name of a file in /workspace that the host has written, if it could
# NAME      name for a sibling container
# HOSTNAME  a name that the host can resolve, empty if it resolves none
# ANSWER    name of the file to make in /workspace, which nobody in it can know before
#
# Needs a POSIX shell alone: whatever is missing is an answer too.
token=$1 sentinel=$2 name=$3 hostname=$4 answer=$5
say() { printf '%s %s %s\n' "$token" "$1" "$(printf '%s' "$2" | tr '\r\n' '  ')"; }
within() { if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi; }
socket=/var/run/docker.sock
box=$(mktemp -d 2>/dev/null) || { say broken 'no directory for temporary files'; exit 0; }

about() {
    say user "$(id -u):$(id -g) $(id -G)"
    say name "$(whoami 2>&1)"
    say socket "$(stat -L -c '%F,%u,%g,%a' $socket 2>/dev/null)"
    say disk "$(df -Pk / 2>/dev/null | tail -n 1)"
    if [ -n "$hostname" ]; then
        if address=$(within 4 getent hosts "$hostname" 2>&1); then
            say dns "$address"
        elif command -v getent >/dev/null; then
            say no-dns "$hostname"
        fi
    fi
    for proxy in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
        eval "value=\${$proxy-}"
        [ -z "$value" ] || say "proxy-$proxy" "$value"
    done
}
workspace() {
    # Whatever else runs in the project may have put a pipe there by now, or a link to what never ends.
    if [ -f "/workspace/$sentinel" ] && [ ! -L "/workspace/$sentinel" ]; then
        say sentinel "$(within 4 head -c 99 "/workspace/$sentinel" 2>&1)"
    fi
    if problem=$( (printf '%s' "$token" >"/workspace/$answer") 2>&1); then
        say written "$(stat -c '%u:%g' "/workspace/$answer" 2>/dev/null)"
    else
        say unwritten "$problem"
    fi
}
ping() {
    [ -e $socket ] || return 0
    if command -v curl >/dev/null; then
        answer=$(within 6 curl -sS --max-time 5 -i --unix-socket $socket http://docker/_ping 2>&1)
        say ping "$answer"
    fi
}
tool() {
    key=$1
    shift
    if out=$(within 6 "$@" 2>&1); then say "$key" "$out"; else say "no-$key" "$out"; fi
}
# docker asks each plugin for its version by running it, and lists those that answer: one command
# for all of them. What it can't say of the engine does not matter.
plugins() {
    found=$(within 6 docker info -f \
        '{{range .ClientInfo.Plugins}}{{if not .Err}}{{.Name}} {{.Version}}{{println}}{{end}}{{end}}' 2>&1)
    for plugin in compose buildx; do
        version=$(printf '%s\n' "$found" | sed -n "s/^$plugin //p")
        if [ -n "$version" ]; then say $plugin "$version"; else say no-$plugin "docker has: $found"; fi
    done
}
# A sibling as `docker run -p` makes it: its port must be at localhost, its name known.
sibling() {
    [ -e $socket ] || return 0
    command -v docker >/dev/null && command -v perl >/dev/null || return 0
    server='$s = IO::Socket::INET->new(Listen => 5, LocalPort => 8080) or die; alarm 30;
        while ($c = $s->accept) { sysread $c, $_, 999; print $c "HTTP/1.0 200 OK\r\n\r\n", $ENV{TOKEN}; last }'
    image=$CLAUDY_DOCTOR_IMAGE
    if ! out=$(within 10 docker run -d --rm --name "$name" --user 65534 \
        -e TOKEN="$token" -p 127.0.0.1::8080 --entrypoint perl "$image" -MIO::Socket::INET -e "$server" 2>&1)
    then
        say no-sibling "$out"
        return 0
    fi
    # As `docker inspect` does, which takes longer to start than to ask.
    port=$(within 5 curl -sS --unix-socket $socket "http://docker/containers/$name/json" 2>&1 |
        sed -n 's/.*"8080\/tcp":\[{[^]]*"HostPort":"\([0-9]*\)".*/\1/p')
    say sibling-port "$port"
    tries=0
    while [ $tries -lt 100 ]; do
        answer=$(curl -sS --max-time 3 "http://localhost:$port/" 2>&1) && break
        tries=$((tries + 1))
        sleep 0.03
    done
    say sibling "$answer"
}

# Before anything runs side by side: what is in the background has no terminal on its input.
say size "$(stty size 2>/dev/null)"
about >"$box/1" 2>&1 &
workspace >"$box/2" 2>&1 &
ping >"$box/3" 2>&1 &
sibling >"$box/4" 2>&1 &
if [ -e $socket ]; then
    tool docker docker version --format '{{.Client.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}}' >"$box/5" 2>&1 &
fi
plugins >"$box/6" 2>&1 &
wait
cat "$box"/*
say end end
rm -rf "$box"
