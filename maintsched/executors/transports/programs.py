"""What is run on a host to keep jobs there: programs for a POSIX shell, with their values as arguments.

Nothing has to be installed on a host: a shell, the usual small commands, `setsid` (util-linux or busybox) and /proc.

The folder of a job, `<jobs>/<name>/`:

    begun    a link whose text says who began: "<process> <its start> <boot>" of the runner, or "forbidden"
    exit     a link whose text is the exit code
    output   what the command printed
    command  its words, each ended by a NUL
    stdin    what it is to read, until it has opened it

There are two gates, and each lets one through whoever else tries, because the kernel makes a name once. *mkdir* of
the folder: whoever makes it may try to begin. The link *begun*: whoever makes it decides whether the job ever runs.
So a starter that died between the two leaves a job that has not begun and is absent; whoever forbids it makes the
link, and a runner that is only late then ends without having done anything.

Links, because the kernel makes a link with its text in one step, needs no block of data for it (a disk may be full),
and keeps name and text together where the host goes down: a file that was renamed may come back empty. What began is
on the disk before the command starts, so that a host that went down in that moment remembers it.
"""

PREPARED = r"""
set -f
kept=$1 name=$2
[ -n "$kept" ] || kept=${HOME:?}/.local/state/maintsched/jobs
place=$kept/$name
give_up() { printf '%s\n' "$*" >&2; exit 3; }
owned() {
    set -- $(LC_ALL=C ls -ldn -- "$kept")
    case ${1-} in drwx------*) ;; *) give_up "$kept has to be a folder that only its owner may enter: chmod 700" ;; esac
    [ "${3-}" = "$(id -u)" ] || give_up "$kept belongs to somebody else (user ${3-})"
}
there() { if [ -e "$kept" ] || [ -L "$kept" ]; then owned; [ -d "$place" ]; else false; fi; }
claimed() {
    [ -d "$kept" ] || (umask 077; mkdir -p -- "$kept") || give_up "$kept cannot be made"
    owned
    (umask 077; mkdir -- "$place") 2>/dev/null && return 0
    [ -d "$place" ] || give_up "$place cannot be made: is the disk full?"
    return 1
}
written() { sync "$place" "$kept" 2>/dev/null || sync; }
"""
"""Before each of the programs below. `kept`: the folder of the jobs, empty for the usual one; `name`: the job's."""

ENTERED = r"""
entered() {
    [ -z "$1" ] || cd -- "$1" || exit 127
    shift
    exec "$@"
}
"""
"""Become a command: its folder (empty: where one is), then its words."""

GROUP_MARK = "maintsched-group"
COMMAND = ENTERED + f'echo {GROUP_MARK} $$ >&2\nentered "$@"\n'
"""Run a command that is waited for. It says first which process group it is, so that it can be ended."""

RUNNER = (
    ENTERED
    + r"""
place=$1 kept=$2 boot=$3 bytes=$4 mask=$5; shift 5
set -f
id=
born() { set -- ${1##*") "}; shift 19; since=$1; }
read -r line <"/proc/$$/stat" && born "$line" || exit 3
read -r id rest <"$boot" || [ -n "$id" ] || exit 3
ln -s "$$ $since $id" "$place/begun" || exit 3
sync "$place" "$kept" 2>/dev/null || sync
(echo begun)
exec >&2
if [ "$bytes" -gt 0 ]; then exec <"$place/stdin"; rm -f -- "$place/stdin"; fi
umask "$mask"
(entered "$@")
ln -s "$?" "$place/exit"
sync "$place" 2>/dev/null || sync
"""
)
"""The process that a job is: it leads a session of its own, runs the command and writes down how it ended.

Whoever waits for its word may be gone: only the child that says it is then ended by the broken pipe.
"""

START = (
    PREPARED
    + r"""
boot=$3 bytes=$4 runner=$5; shift 5
claimed || { echo known; exit 0; }
mask=$(umask); umask 077
: >"$place/output" && (shift; printf '%s\0' "$@") >"$place/command" || give_up "$place cannot be written"
if [ "$bytes" -gt 0 ]; then
    cat >"$place/stdin" && [ "$(wc -c <"$place/stdin")" -eq "$bytes" ] || give_up "what $name is to read did not arrive"
fi
answer=$(setsid /bin/sh -c "$runner" maintsched "$place" "$kept" "$boot" "$bytes" "$mask" "$@" \
    </dev/null 2>>"$place/output" &)
[ "$answer" = begun ] && { echo begun; exit 0; }
[ "$(readlink "$place/begun")" != forbidden ] || { echo known; exit 0; }
give_up "$name could not begin: $(tail -n 1 -- "$place/output")"
"""
)
"""Begin a job: `boot` names the file with the boot's name, `bytes` how much stdin there is; then as `ENTERED`."""

LOOK = (
    PREPARED
    + r"""
boot=$3 most=$4
there || { echo absent; exit 0; }
begun=$(readlink "$place/begun") || begun=forbidden
[ "$begun" != forbidden ] || { echo absent; exit 0; }
told() { printf '%s\n' "$1"; tail -c "$most" -- "$place/output"; exit 0; }
ended() { if code=$(readlink "$place/exit"); then told "ended $code"; fi; }
stat_of() {
    line=
    while IFS= read -r part || [ -n "$part" ]; do line="$line$part "; done 2>/dev/null <"/proc/$1/stat" || return 1
    [ -n "$line" ]
}
fields() { set -- ${1##*") "}; condition=$1 session=$4; shift 19; since=$1; }
alive() { case $condition in Z | X) false ;; esac; }
ended
set -- $begun
id=
read -r id rest <"$boot" || [ -n "$id" ] || give_up "$boot cannot be read"
[ "$3" = "$id" ] || told vanished
leader=$1 born=$2
if stat_of "$leader" && fields "$line" && [ "$since" = "$born" ] && alive; then told running; fi
ended
set +f
for each in /proc/[0-9]*; do
    set -f
    if stat_of "${each#/proc/}" && fields "$line" && [ "$session" = "$leader" ] && alive; then told running; fi
done
ended
told vanished
"""
)
"""Say what became of a job; `most`: bytes of its output. Who ended without an exit code runs on in what it started."""

FORBID = (
    PREPARED
    + r"""
claimed || :
if ln -s forbidden "$place/begun" 2>/dev/null; then written; echo forbidden; exit 0; fi
begun=$(readlink "$place/begun") || give_up "$place cannot be written: is the disk full?"
[ "$begun" = forbidden ] && echo forbidden || echo known
"""
)
"""Take from a job the right to begin, unless it has begun."""

FORGET = (
    PREPARED
    + r"""
there || { echo forgotten; exit 0; }
mv -- "$place" "$kept/.$name.$$" && rm -rf -- "$kept/.$name.$$" || give_up "$place cannot be removed"
echo forgotten
"""
)
"""Remove what is kept of a job: in one step first, so that half of it is never found."""

BOOT = r"""
id=
read -r id rest <"$1" || [ -n "$id" ] || { echo "$1 cannot be read" >&2; exit 3; }
printf '%s\n' "$id"
"""
"""Say what names this start of the host."""
