#!/bin/sh
# Fail when the documents and the programs have drifted apart: every option,
# setting, command, column role, function, SQLSTATE and counter must be told where
# a reader looks for it, and every link must lead somewhere.
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
# some WHAT LIST: a list that the code is searched for must not be empty.
some() {
    [ -n "$2" ] || { echo "no $1 found" >&2; bad=1; }
}

functions=$(sed -n 's/^CREATE FUNCTION \(dynamo_[a-z_]*\)(.*/\1/p' fdw/dynamo_fdw--*.sql |
    grep -v '^dynamo_fdw_' | sort -u)
some functions "$functions"
for name in $functions vclock_merge; do
    told "$name(" docs/sql.md "the function"
done
set -f
for operator in $(sed -n 's/^CREATE OPERATOR \([^ ]*\) (.*/\1/p' fdw/dynamo_fdw--1.0.sql); do
    case $operator in
        '=' | '<>' | '<' | '<=' | '>' | '>=') ;; # told as "=" and sorting
        *) told "$operator" docs/sql.md "the operator" ;;
    esac
done
set +f
# The SQLSTATEs of all errors, by PostgreSQL's own list of names.  Classes are
# compared with, never raised.
names=$(cat fdw/*.c | grep -oE '\bERRCODE_[A-Z0-9_]+' |
    grep -vxE 'ERRCODE_(TO_CATEGORY|TRANSACTION_ROLLBACK|OPERATOR_INTERVENTION)' |
    sort -u)
some "SQLSTATEs in fdw/" "$names"
errcodes=$("${PG_CONFIG:-pg_config}" --includedir-server 2>/dev/null)/utils/errcodes.h
if [ -r "$errcodes" ]; then
    for name in $names; do
        code=$(sed -n "s/^#define $name MAKE_SQLSTATE(\(.*\))/\1/p" "$errcodes" | tr -d "',")
        some "SQLSTATE of $name" "$code"
        sed -n '/^## Errors/,$p' docs/sql.md | grep -qE "^\\|[^|]*$code" || {
            echo "docs/sql.md does not tell of the SQLSTATE $code ($name)" >&2
            bad=1
        }
    done
fi
counters=$(grep -o 'X([a-z_]*)' dynnode/core/counters.h | tr -d 'X()' | grep -vx name)
some "counters in dynnode/core/counters.h" "$counters"
for name in $counters; do
    told "\`$name\`" docs/operations.md "the counter"
done

if [ -x "$B/dynnode/dynnode" ]; then
    for flag in $("$B/dynnode/dynnode" --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
        case $flag in
            n | r | w) told "BR n \", \" r \", \" w" dynnode/dynnode.8 "the settings" ;;
            *) told ".BI $flag" dynnode/dynnode.8 "the setting" ;;
        esac
        told "\`$flag\`" docs/operations.md "the setting"
    done
    for command in $("$B/dynnode/dynctl" --help | sed -n 's/^  dynctl \([a-z]*\).*/\1/p'); do
        grep -qE "^\\.(B|BI) $command( |\$)" dynnode/dynctl.1 || {
            echo "dynnode/dynctl.1 does not tell of the command $command" >&2
            bad=1
        }
    done
fi
# Every file that the documents link to is there, and so is the heading: its
# words in small letters, joined by "-", without what is neither letter nor digit.
headings() {
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g;s/ /-/g'
}
documents="README.md CONTRIBUTING.md $(echo docs/*.md) dynnode/ARCHITECTURE.md dynnode/PROTOCOL.md"
for document in $documents; do
    for target in $(grep -oE '\]\([^) ]+\)' "$document" | sed 's/](\(.*\))/\1/' | grep -v '^https*:'); do
        file=$(dirname "$document")/${target%%#*}
        [ -n "${target%%#*}" ] || file=$document
        [ -e "$file" ] || {
            echo "$document links to $target, which is not there" >&2
            bad=1
            continue
        }
        case $target in
            *\#*) headings "$file" | grep -qxF -- "${target#*\#}" || {
                echo "$document links to $target, a heading which is not there" >&2
                bad=1
            } ;;
        esac
    done
done
# Whoever looks for a document finds it from the README.
for document in $documents; do
    [ "$document" = README.md ] || grep -qF "($document)" README.md CONTRIBUTING.md || {
        echo "neither README.md nor CONTRIBUTING.md leads to $document" >&2
        bad=1
    }
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
# The invariants that the documents name are there.
for number in $(cat docs/promises.md docs/operations.md | grep -oE '\[[0-9, ]+\]' | tr -d '[],'); do
    grep -q "^$number\. " dynnode/ARCHITECTURE.md || {
        echo "docs/ points to invariant $number, which is not there" >&2
        bad=1
    }
done
exit $bad
