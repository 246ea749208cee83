#!/usr/bin/env bash
# completion - what bash, zsh and fish complete of sluice's command line, in the shells themselves
#
# Each shell reads the script the build made and is asked to complete. Neither daemon nor network: a program named sluice, first
# in PATH, answers `list --json` as the daemon does.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$root/build}
"$root/.ci/install" zsh fish >&2 || exit 1
tmp=$(mktemp -d) status=0
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/sluice" <<'STUB'
#!/bin/sh
[ "$*" = 'list --json' ] || { echo "ARGS:$*:END"; exit; }
echo '[{"name": "data", "device": "/dev/ublkb0"}, {"name": "scratch", "device": null}]'
STUB
chmod +x "$tmp/sluice"
export PATH=$tmp:$PATH

claim() { # name, expected, got
    if [ "$2" = "$3" ]; then
        echo "ok $1"
    else
        echo "not ok $1"
        printf 'expected: %s\ngot: %s\n' "$2" "$3" >&2
        status=1
    fi
}

in_bash() { # words…: prints what the last one becomes, sorted, in one line
    bash -c '. "$1"; shift; COMP_WORDS=(sluice "$@"); COMP_CWORD=$#; _sluice; printf "%s\n" "${COMPREPLY[@]}"' _ \
        "$BUILD/cli/completion/sluice" "$@" | sort | paste -sd' '
}

in_fish() { # command line
    # shellcheck disable=SC2016 # fish expands it
    HOME=$tmp fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$BUILD/cli/completion/sluice.fish" "$1" |
        cut -f1 | sort | paste -sd' '
}

# zsh completes on a terminal only: the line that stands there after TAB is run, and the program says with what arguments.
in_zsh() { # command line up to TAB
    HOME=$tmp timeout 60 zsh -f -c '
        zmodload zsh/zpty
        zpty z zsh -f
        zpty -w z "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; print REA""DY"
        zpty -r z line "*READY*"
        zpty -w z "$2"$'"'\t'"'
        zpty -r z line "*ARGS:*:END*"
        print -r -- ${${line##*ARGS:}%%:END*}' _ "$BUILD/cli/completion" "$1"
}

commands=$("$BUILD/cli/sluice" -h | sed -n '/^usage/,/^ *--json/s/^  \([a-z]*\) .*/\1/p' | sort | paste -sd' ')
claim bash_completes_every_command "$commands" "$(in_bash '')"
claim bash_completes_a_command 'detach' "$(in_bash det)"
claim bash_completes_after_global_options 'detach' "$(in_bash --socket /x det)"
claim bash_completes_words 'explain leaks' "$(in_bash reserve '')"
claim bash_completes_a_single_word 'all' "$(in_bash drops '')"
claim bash_completes_options '--save --socket' "$(in_bash detach --s)"
claim bash_completes_values 'fail hold' "$(in_bash attach --on-dead '')"
claim bash_completes_volumes 'data scratch' "$(in_bash detach '')"
claim fish_completes_every_command "$commands" "$(in_fish 'sluice ')"
claim fish_completes_words 'explain leaks' "$(in_fish 'sluice reserve ')"
claim fish_completes_options '--save --socket' "$(in_fish 'sluice detach --s')"
claim fish_completes_values 'fail hold' "$(in_fish 'sluice attach --on-dead ')"
claim fish_completes_volumes 'data scratch' "$(in_fish 'sluice detach ')"
claim zsh_completes_a_command detach "$(in_zsh 'sluice det')"
claim zsh_completes_words 'reserve explain' "$(in_zsh 'sluice reserve ex')"
claim zsh_completes_options 'detach --force' "$(in_zsh 'sluice detach --fo')"
claim zsh_completes_values 'attach --on-dead=hold' "$(in_zsh 'sluice attach --on-dead=h')"
claim zsh_completes_volumes 'detach scratch' "$(in_zsh 'sluice detach sc')"
exit $status
