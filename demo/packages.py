#!/usr/bin/env python3
"""The machine's package index as rows for COPY: name, tab, jsonb.

    packages.py              the lists that apt keeps, or dpkg's status file
    packages.py --source     says which of the two, and ends

One row a package: of several versions the last one listed.
"""
import glob
import json
import os
import subprocess
import sys

HELPER = "/usr/lib/apt/apt-helper"
STATUS = "/var/lib/dpkg/status"
NUMBERS = {"Size", "Installed-Size"}


def apt_lists():
    """Packed or not, as apt's settings want it; the helper reads them all."""
    return [path for path in sorted(glob.glob("/var/lib/apt/lists/*_Packages*"))
            if not path.endswith(".diff_Index")]


def open_index():
    lists = apt_lists()
    if lists and os.access(HELPER, os.X_OK):
        process = subprocess.Popen([HELPER, "cat-file"] + lists,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        return process.stdout, "the package lists of apt"
    return open(STATUS, "rb"), "the status file of dpkg"


def records(lines):
    """Paragraphs of "Name: value" lines; a line that begins blank continues."""
    record, last = {}, None
    for line in lines:
        line = line.decode("utf-8", "replace").rstrip("\n")
        if not line:
            if "Package" in record:
                yield record
            record, last = {}, None
        elif line[0] in " \t":
            if last:
                record[last] += "\n" + line.strip()
        else:
            last, _, value = line.partition(":")
            record[last] = value.strip()
    if "Package" in record:
        yield record


def main():
    stream, source = open_index()
    if "--source" in sys.argv:
        print(source)
        return
    packages = {}
    for record in records(stream):
        for name in NUMBERS & record.keys():
            record[name] = int(record[name])
        packages[record.pop("Package")] = record
    for name, record in packages.items():
        value = json.dumps(record, ensure_ascii=False).replace("\\", "\\\\")
        sys.stdout.write("%s\t%s\n" % (name, value))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
