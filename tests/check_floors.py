#!/usr/bin/env python3
"""Fail when a file of dynnode/core uses one that stands above it, or files of
one floor use each other in a circle.

    tests/check_floors.py          the tree, then whether the gate bites
    tests/check_floors.py --debt   print all that is wrong, as lines of debt

Which floor a file stands on, and what a floor may use, stands in
tests/lib/floors.txt.  Looked at are #include lines and, in the objects of the last
build, which file defines the symbols that another one uses; calls through
pointers and inline functions are seen by neither.  What is known and not mended
yet stands in tests/lib/floors_debt.txt, which may only become shorter: a line that
no longer holds fails, too.
"""
import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, os.environ.get("B", "build"))
FLOORS = os.path.join(TOP, "tests/lib/floors.txt")
DEBT = os.path.join(TOP, "tests/lib/floors_debt.txt")
INCLUDE = re.compile(r'^\s*#\s*include\s*"core/(?:\w+/)*(\w+)\.h"', re.M)


def lines_of(path):
    with open(path, encoding="utf-8") as text:
        for line in text:
            line = line.split("#")[0].strip()
            if line:
                yield line


def read_floors(path):
    """(floor of each file, floors that each floor may use)"""
    floor_of, may_use = {}, {}
    for line in lines_of(path):
        name, _, rest = line.partition(":")
        if name.startswith("floor "):
            name = name.split()[1]
            may_use[name] = {name, *rest.split()}
        else:
            floor_of.update((word, name) for word in rest.split())
    return floor_of, may_use


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def nm(option, objects):
    """(file, kind, symbol) of each line"""
    out = subprocess.run(["nm", "-A", option, *objects], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        yield stem(path), words[-2], words[-1]


def calls(objects):
    """(user, definer, symbol) of each use of another file's symbol"""
    definer = {symbol: name for name, kind, symbol
               in nm("--defined-only", objects) if kind in "TRDB"}
    for name, _, symbol in nm("-u", objects):
        if definer.get(symbol, name) != name:
            yield name, definer[symbol], symbol


def includes(sources):
    """(user, header) of each include of another file's header"""
    for path in sources:
        with open(path, encoding="utf-8") as text:
            for header in INCLUDE.findall(text.read()):
                if header != stem(path):
                    yield stem(path), header


def in_circles(pairs):
    """Those pairs (user, definer) whose definer leads back to the user."""
    uses = collections.defaultdict(set)
    for user, definer in pairs:
        uses[user].add(definer)

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            new = uses[todo.pop()] - seen
            seen |= new
            todo += new
        return seen
    return {(user, definer) for user, definer in pairs if user in reach(definer)}


def faults(floors, sources, objects, cut=frozenset()):
    """All that is wrong, as lines of debt; cut: pairs that are known circles."""
    floor_of, may_use = floors
    found, within = set(), set()

    def look(kind, user, used, *symbol):
        for name in (user, used):
            if name not in floor_of:
                found.add("unknown " + name)
        if user not in floor_of or used not in floor_of:
            return
        if floor_of[used] not in may_use[floor_of[user]]:
            found.add(" ".join((kind, user, used, *symbol)))
        elif kind == "call" and floor_of[user] == floor_of[used]:
            within.add((user, used))
    for user, definer, symbol in calls(objects):
        look("call", user, definer, symbol)
    for user, header in includes(sources):
        look("include", user, header)
    known = within & cut
    for user, definer in known | in_circles(within - known):
        found.add("circle %s %s" % (user, definer))
    return found


def tree():
    """Sources, and their objects: not those of files that are no more."""
    sources = sorted(glob.glob(os.path.join(TOP, "dynnode/core/**/*.[ch]"),
                               recursive=True))
    objects = [os.path.join(BUILD, os.path.relpath(path, TOP)[:-1] + "o")
               for path in sources if path.endswith(".c")]
    return sources, [path for path in objects if os.path.exists(path)]


PLANTED = {
    "low": '#include "core/high.h"\nint low(void) { return 1; }\n',
    "lower": "int high(void);\nint lower(void) { return high(); }\n",
    "high": "int low(void);\nint high(void) { return low(); }\n",
    "ring": "int round(void);\nint ring(void) { return round(); }\n",
    "round": "int ring(void);\nint round(void) { return ring(); }\n",
}


def planted(folder):
    """What the gate says of a folder with three faults."""
    os.mkdir(os.path.join(folder, "core"))
    open(os.path.join(folder, "core/high.h"), "w", encoding="utf-8").close()
    sources = [os.path.join(folder, "core", name + ".c") for name in PLANTED]
    objects = [source[:-1] + "o" for source in sources]
    for source, made, text in zip(sources, objects, PLANTED.values()):
        with open(source, "w", encoding="utf-8") as out:
            out.write(text)
        subprocess.run(["gcc", "-fno-builtin", "-I" + folder, "-c", "-o", made,
                        source], check=True)
    floors = ({"low": "below", "lower": "below", "high": "above",
               "ring": "above", "round": "above"},
              {"below": {"below"}, "above": {"above", "below"}})
    return faults(floors, sources, objects)


def check_bite():
    wanted = {"include low high", "call lower high high",
              "circle ring round", "circle round ring"}
    with tempfile.TemporaryDirectory() as folder:
        found = planted(folder)
    for fault in sorted(wanted ^ found):
        print("the gate does not bite: planted and found differ in:", fault)
    return wanted == found


def main():
    sources, objects = tree()
    if not objects:
        sys.exit("no objects: run make")
    debt = set(lines_of(DEBT))
    cut = {tuple(line.split()[1:]) for line in debt if line.startswith("circle ")}
    floors = read_floors(FLOORS)
    if sys.argv[1:] == ["--debt"]:
        print("\n".join(sorted(faults(floors, sources, objects))))
        return
    found = faults(floors, sources, objects, cut)
    for fault in sorted(found - debt):
        print("wrong:", fault)
    for line in sorted(debt - found):
        print("no longer in debt, take the line away:", line)
    print("%d files, %d in debt" % (len(objects), len(debt)))
    sys.exit(not (check_bite() and found == debt))


main()
