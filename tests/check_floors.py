#!/usr/bin/env python3
"""Fail when a file of dynnode/core uses one that stands above it, when files of
one floor, of dynnode/io or of fdw use each other in a circle, or when somebody
includes what is the store's own (dynnode/io/store, all but its face).

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


def nm(option, objects, name_of):
    """(file, kind, symbol) of each line"""
    out = subprocess.run(["nm", "-A", option, *objects], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    for line in out.splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        yield name_of(path), words[-2], words[-1]


def calls(objects, name_of=stem):
    """(user, definer, symbol) of each use of another file's symbol"""
    definer = {symbol: name for name, kind, symbol
               in nm("--defined-only", objects, name_of) if kind in "TRDB"}
    for name, _, symbol in nm("-u", objects, name_of):
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


def below(top):
    """A file's name by its path below top, without its ending."""
    return lambda path: os.path.splitext(os.path.relpath(path, top))[0]


def circles(top, objects, cut=frozenset()):
    """Those who use each other in a circle, as lines of debt."""
    pairs = {(user, definer) for user, definer, _ in calls(objects, below(top))}
    known = pairs & cut
    return {"circle %s %s" % pair for pair in known | in_circles(pairs - known)}


STORE = "io/store/"
STORE_INCLUDE = re.compile(r'^\s*#\s*include\s*"(%s\w+)\.h"' % STORE, re.M)


def trespasses(top, sources):
    """Includes of the store's own headers from outside, as lines of debt."""
    for path in sources:
        user = below(top)(path)
        with open(path, encoding="utf-8") as text:
            for header in STORE_INCLUDE.findall(text.read()):
                if not user.startswith(STORE) and header != STORE + "store":
                    yield "include %s %s" % (user, header)


def sources_in(folder, ending):
    return sorted(glob.glob(os.path.join(TOP, folder, "**/*." + ending),
                            recursive=True))


def objects_of(folder, build=BUILD):
    """Of sources that are there: an earlier build may have left others."""
    return [os.path.join(build, below(TOP)(source) + ".o")
            for source in sources_in(folder, "c")]


def tree():
    return sources_in("dynnode/core", "[ch]"), objects_of("dynnode/core")


def elsewhere(cut):
    """What is wrong in io and fdw, whose files stand on no floors."""
    dynnode = os.path.join(TOP, "dynnode")
    return (circles(os.path.join(BUILD, "dynnode"), objects_of("dynnode/io"), cut) |
            circles(TOP, objects_of("fdw", TOP), cut) |
            set(trespasses(dynnode, sources_in("dynnode", "[ch]"))) |
            set(trespasses(TOP, sources_in("fdw", "[ch]"))))


PLANTED = {
    "low": '#include "core/high.h"\nint low(void) { return 1; }\n',
    "lower": "int high(void);\nint lower(void) { return high(); }\n",
    "high": "int low(void);\nint high(void) { return low(); }\n",
    "ring": "int round(void);\nint ring(void) { return round(); }\n",
    "round": "int ring(void);\nint round(void) { return ring(); }\n",
}


PLANTED_IN_IO = {
    "io/store/store.h": "int store(void);\n",
    "io/store/inner.h": "int inner(void);\n",
    "io/store/inner.c": '#include "io/store/inner.h"\n'
                        '#include "io/store/store.h"\n'
                        "int inner(void) { return store(); }\n",
    "io/store/store.c": '#include "io/store/store.h"\n'
                        "int loop(void);\n"
                        "int store(void) { return loop(); }\n",
    "io/loop.c": '#include "io/store/store.h"\n'
                 "int loop(void) { return store(); }\n",
    "ctl/look.c": '#include "io/store/inner.h"\n'
                  "int look(void) { return inner(); }\n",
}


def plant(folder, files):
    """Write them, compile those that are C; (sources, objects)"""
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
    sources = [os.path.join(folder, name) for name in files
               if name.endswith(".c")]
    objects = [source[:-1] + "o" for source in sources]
    for source, made in zip(sources, objects):
        subprocess.run(["gcc", "-fno-builtin", "-I" + folder, "-c", "-o", made,
                        source], check=True)
    return sources, objects


def planted(folder):
    """What the gate says of a folder with three faults in the core, and two
    in io."""
    files = {"core/%s.c" % name: text for name, text in PLANTED.items()}
    sources, objects = plant(folder, {"core/high.h": "", **files})
    floors = ({"low": "below", "lower": "below", "high": "above",
               "ring": "above", "round": "above"},
              {"below": {"below"}, "above": {"above", "below"}})
    found = faults(floors, sources, objects)
    sources, objects = plant(folder, PLANTED_IN_IO)
    return (found | circles(folder, objects) |
            set(trespasses(folder, sources)))


def check_bite():
    wanted = {"include low high", "call lower high high",
              "circle ring round", "circle round ring",
              "circle io/loop io/store/store", "circle io/store/store io/loop",
              "include ctl/look io/store/inner"}
    with tempfile.TemporaryDirectory() as folder:
        found = planted(folder)
    for fault in sorted(wanted ^ found):
        print("the gate does not bite: planted and found differ in:", fault)
    return wanted == found


def main():
    sources, objects = tree()
    looked_at = objects + objects_of("dynnode/io") + objects_of("fdw", TOP)
    for path in looked_at:
        if not os.path.exists(path):
            sys.exit("no %s: run make" % path)
    debt = set(lines_of(DEBT))
    cut = {tuple(line.split()[1:]) for line in debt if line.startswith("circle ")}
    floors = read_floors(FLOORS)
    if sys.argv[1:] == ["--debt"]:
        print("\n".join(sorted(faults(floors, sources, objects) |
                               elsewhere(frozenset()))))
        return
    found = faults(floors, sources, objects, cut) | elsewhere(cut)
    for fault in sorted(found - debt):
        print("wrong:", fault)
    for line in sorted(debt - found):
        print("no longer in debt, take the line away:", line)
    print("%d files, %d lines of debt" % (len(looked_at), len(debt)))
    sys.exit(not (check_bite() and found == debt))


main()
