#!/usr/bin/env python3
"""The blocks of a document, for the tests that run what documents show.

    blocks.py FILE DIRECTORY    writes each as DIRECTORY/NNNN.KIND, NNNN = its line
    blocks.py --same WANT GOT   is the output GOT what the document shows in WANT?

Kinds: sh (commands), sql (statements), text (what the block before it prints),
conf (a file; a test that knows what it is for takes it up).
A block of another kind, an indented one, and a text without a block before it
are errors: a reader cannot tell whether it is to be typed, nor can a test.
"""
import os
import re
import sys

KINDS = ("sh", "sql", "text", "conf")
ACTOR = re.compile(r"\b[0-9a-f]{16}\.\d+")
RULER = re.compile(r"^[-+]+$")


def blocks(lines):
    """(line, kind, text), in order; raises ValueError with the line."""
    kind, start, text, before = None, 0, [], None
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\n")
        if kind is not None and line == "```":
            yield start, kind, "\n".join(text) + "\n"
            kind, before, text = None, kind, []
        elif kind is not None:
            text.append(line)
        elif line.startswith("```"):
            kind, start = line[3:], number
            if kind not in KINDS:
                raise ValueError("%d: a block of kind '%s'" % (number, kind))
            if kind == "text" and before not in ("sh", "sql"):
                raise ValueError("%d: whose output is this?" % number)
        elif re.match(r" {4}|\t", line):
            raise ValueError("%d: an indented block: say ```sh, ```sql or ```text"
                             % number)
    if kind is not None:
        raise ValueError("%d: the block does not end" % start)


def plain(text):
    """What counts of an output: not the widths of columns, nor whose id an actor
    has, but whether two are the same."""
    names = {}

    def name(match):
        return names.setdefault(match.group(), "actor%d" % (len(names) + 1))

    lines = [" ".join(ACTOR.sub(name, line).split()) for line in text.split("\n")]
    return [line for line in lines if line and not RULER.match(line)]


def main(arguments):
    if arguments[0] == "--same":
        want, got = (open(path, encoding="utf-8").read() for path in arguments[1:])
        if plain(want) == plain(got):
            return 0
        print("the document shows:\n%s\nit prints:\n%s" % (want, got))
        return 1
    path, directory = arguments
    count = 0
    try:
        with open(path, encoding="utf-8") as document:
            for line, kind, text in blocks(document):
                name = os.path.join(directory, "%04d.%s" % (line, kind))
                with open(name, "w", encoding="utf-8") as out:
                    out.write(text)
                count += 1
    except ValueError as error:
        print("%s:%s" % (path, error))
        return 1
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
