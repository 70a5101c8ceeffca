#!/bin/sh
# Fail when the documents and the programs have drifted apart: every option,
# setting, command and column role must be told where a reader looks for it.
cd "$(dirname "$0")/.." || exit 2
B=${B:-build}
bad=0

# told NAME WHERE WHAT
told() {
    grep -qF -- "$1" "$2" && return
    echo "$2 does not tell of $3 $1" >&2
    bad=1
}

names() {
    sed -n "/$1/,/};/s/^[[:space:]]*{\"\\([a-z_]*\\)\".*/\\1/p" fdw/option.c
}

options=$(names 'option_table\[\]')
[ -n "$options" ] || { echo "no options found in fdw/option.c" >&2; bad=1; }
for name in $options; do
    told "\`$name\`" docs/sql.md "the option"
done
settings=$(sed -n 's/.*Define.*Variable("\(dynamo_fdw\.[a-z_]*\)".*/\1/p' fdw/option.c)
[ -n "$settings" ] || { echo "no settings found in fdw/option.c" >&2; bad=1; }
for name in $settings; do
    told "\`$name\`" docs/sql.md "the setting"
done
for role in $(sed -n 's/.*\[DYNAMO_ROLE_[A-Z_]*\] = "\([a-z_]*\)".*/\1/p' fdw/option.c); do
    [ "$role" = none ] || told "\`$role\`" docs/sql.md "the column role"
done
if [ -x "$B/dynnode/dynnode" ]; then
    for flag in $("$B/dynnode/dynnode" --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
        case $flag in
            n | r | w) told "BR n \", \" r \", \" w" dynnode/dynnode.8 "the settings" ;;
            *) told ".BI $flag" dynnode/dynnode.8 "the setting" ;;
        esac
    done
    for command in $("$B/dynnode/dynctl" --help | sed -n 's/^  dynctl \([a-z]*\).*/\1/p'); do
        grep -qE "^\\.(B|BI) $command( |\$)" dynnode/dynctl.1 || {
            echo "dynnode/dynctl.1 does not tell of the command $command" >&2
            bad=1
        }
    done
fi
# Every file that the documents link to is there.
for document in README.md docs/*.md dynnode/ARCHITECTURE.md dynnode/PROTOCOL.md; do
    for target in $(grep -oE '\]\([^)#:]+\)' "$document" | sed 's/](\(.*\))/\1/'); do
        [ -e "$(dirname "$document")/$target" ] || {
            echo "$document links to $target, which is not there" >&2
            bad=1
        }
    done
done
# Every test that an invariant names is there: a file, a function or scenario
# of the tests, a planted bug, or a family of them (`lww_*`).
named() {
    case $1 in
        build/*) return 0 ;;
        */*) [ -e "$1" ] || [ -e "dynnode/$1" ] ;;
        *\*)
            grep -rq -- "\"${1%\*}" tests/sim || ls tests/sim/planted | grep -q "^${1%\*}" ;;
        test_*) [ -e "tests/unit/$1.c" ] || [ -e "tests/io/$1.c" ] ;;
        *) [ -e "tests/sim/planted/$1.patch" ] || grep -rqw -- "$1" tests dynnode/core dynnode/io ;;
    esac
}
set -f
for name in $(sed -n '/^## Invariants/,/^## /p' dynnode/ARCHITECTURE.md |
    grep -oE '`[^`]+`' | tr -d '`' | sed 's/ .*//' | sort -u); do
    named "$name" || {
        echo "dynnode/ARCHITECTURE.md names the test $name, which is not there" >&2
        bad=1
    }
done
set +f
# Every sentence of what is promised, and of what is not, names its invariants.
for number in $(cat docs/promises.md docs/operations.md | grep -oE '\[[0-9, ]+\]' | tr -d '[],'); do
    grep -q "^$number\. " dynnode/ARCHITECTURE.md || {
        echo "docs/ points to invariant $number, which is not there" >&2
        bad=1
    }
done
exit $bad
