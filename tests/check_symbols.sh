#!/bin/sh
# Fail when the extension exports what it should not, or when a banned function
# is called.
#
# Exported: the module's magic, _PG_init and the functions that SQL names; a
# name of model/ that got out would meet another library's in the backend.
cd "$(dirname "$0")/.." || exit 2
B=${B:-build}
bad=0

if [ -f dynamo_fdw.so ]; then
    # pg_finfo_x belongs to x; x must be named by the extension's script.
    for symbol in $(nm -D --defined-only dynamo_fdw.so | awk '{print $3}'); do
        case $symbol in
            Pg_magic_func | _PG_init | _PG_fini) continue ;;
        esac
        function=${symbol#pg_finfo_}
        if ! grep -qw "$function" fdw/dynamo_fdw--*.sql &&
            ! nm -D dynamo_fdw.so | grep -qw "pg_finfo_$function"; then
            case $function in
                # Shared between the files of the extension, by these prefixes.
                dynfdw_* | dynamo*) continue ;;
            esac
            echo "dynamo_fdw.so exports $symbol" >&2
            bad=1
        fi
    done
else
    echo "no dynamo_fdw.so: run make" >&2
    bad=1
fi

# Function and why.  Comments are taken out before looking.
banned='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|rand|srand|rand_r|strtok|alloca|tmpnam|mktemp'
hits=$(find dynnode fdw -name '*.[ch]' -exec awk -v banned="$banned" '
    {
        line = $0
        gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
        out = ""
        while (line != "") {
            if (comment) {
                at = index(line, "*/")
                if (at == 0) break
                line = substr(line, at + 2)
                comment = 0
            } else {
                at = index(line, "/*")
                if (at == 0) { out = out line; break }
                out = out substr(line, 1, at - 1)
                line = substr(line, at + 2)
                comment = 1
            }
        }
        if (out ~ "(^|[^A-Za-z0-9_.>])(" banned ")[ \t]*\\(")
            print FILENAME ":" FNR ": " $0
    }' {} \;)
if [ -n "$hits" ]; then
    printf 'banned functions (no bounds, no errors, or hidden state):\n%s\n' "$hits" >&2
    bad=1
fi

# Clock and chance enter a node as events and effects only.  (uthash names
# exit too, but its allocator in core/memory.h never returns NULL.)
hits=$(nm -u "$B"/libcore.a "$B"/libmodel.a 2>/dev/null |
    awk '$1 == "U" {print $2}' | sort -u |
    grep -xE 'time|clock_gettime|gettimeofday|getrandom|random|rand|getenv|printf|puts|read|write|open|socket|pthread_.*')
if [ -n "$hits" ]; then
    printf 'core/ or model/ calls the world:\n%s\n' "$hits" >&2
    bad=1
fi
exit $bad
