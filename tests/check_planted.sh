#!/bin/sh
# Fail when a planted bug does not fit the tree exactly: with some lines of
# context gone it may be planted somewhere else, and be caught for that.
cd "$(dirname "$0")/.." || exit 2
bad=0

for file in tests/*/planted/*.patch; do
    if ! patch --dry-run -s -p1 --fuzz=0 <"$file" >/dev/null; then
        echo "$file: does not fit"
        bad=1
    fi
done
exit $bad
