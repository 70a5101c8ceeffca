#!/usr/bin/env python3
"""Random SQL on a foreign table and on a heap table with the same rows: the
answers must be equal.

    differential.py --nodes HOST:PORT,... [--seed N] [--queries N]
                    [--transactions N] [--bucket NAME] -- psql [its options]

Prints TAP, without its plan. A failing case prints the statements that show
it; the same seed makes the same statements again. Databases are made here: one
for each default collation and encoding that matters.
"""
import argparse
import random
import re
import subprocess
import sys

SETUP = """
CREATE EXTENSION dynamo_fdw;
CREATE SERVER store FOREIGN DATA WRAPPER dynamo_fdw
    OPTIONS (nodes '%(nodes)s', connect_timeout '60000', timeout '60000');
CREATE FUNCTION stable_text(text) RETURNS text LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN $1; END';
CREATE FUNCTION volatile_text(text) RETURNS text LANGUAGE plpgsql VOLATILE
    AS 'BEGIN RETURN $1; END';
CREATE FUNCTION look(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
    AS 'BEGIN RETURN length($1) %% 2 = 0; END';
CREATE DOMAIN text_domain AS text;
CREATE TABLE outside (k text, n int);
"""

ICU_SETUP = """
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2',
                           deterministic = false);
"""


class Variant:
    """One type of the key column; all foreign tables are of one bucket."""

    def __init__(self, name, key_type, is_bytes=False, deterministic=True,
                 meets_names=True):
        self.name = name
        self.key_type = key_type
        self.is_bytes = is_bytes
        self.deterministic = deterministic
        # Else the collations of key and name conflict: an error.
        self.meets_names = meets_names


VARIANTS = [
    Variant("plain", "text"),
    Variant("c", 'text COLLATE "C"'),
    Variant("limited", "varchar(440)"),
    Variant("domain", "text_domain"),
    Variant("bytes", "bytea", is_bytes=True),
]
ICU_VARIANTS = [
    Variant("icu", 'text COLLATE "und-x-icu"', meets_names=False),
    Variant("caseless", "text COLLATE caseless", deterministic=False,
            meets_names=False),
]


def literal(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


class Random(random.Random):
    def chance(self, percent):
        return self.randrange(100) < percent

    def one_of(self, *choices):
        return self.choice(choices)


class Words:
    """Keys that meet the corners of collations, patterns and sizes."""

    def __init__(self, rng, letters):
        self.rng = rng
        self.letters = letters
        self.keys = sorted({self.make() for _ in range(260)})
        self.keys += ["x" * 440, "x" * 439 + "y", "x" * 438]

    def make(self):
        return "".join(self.rng.choice(self.letters)
                       for _ in range(self.rng.randint(1, 4)))

    def any(self):
        """Mostly one that exists."""
        roll = self.rng.randrange(100)
        if roll < 70:
            return self.rng.choice(self.keys)
        if roll < 90:
            return self.make()
        return self.rng.one_of("", "x" * 441, "x" * 440, "~", "\x01")


class Queries:
    def __init__(self, rng, words, variant):
        self.rng = rng
        self.words = words
        self.variant = variant
        self.parameters = []

    # -- what the key is compared with: $n where it is a parameter

    def typed(self, text):
        """A literal of the key's type."""
        if not self.variant.is_bytes:
            return literal(text)
        if text is None:
            return "NULL::bytea"
        return "'\\x%s'::bytea" % text.encode().hex()

    def operand(self):
        rng = self.rng
        text = None if rng.chance(4) else self.words.any()
        value = self.typed(text)
        kind = rng.randrange(11)
        if kind < 3:
            return value
        if kind == 3:
            self.parameters.append(value)
            return "$%d" % len(self.parameters)
        if kind == 4:
            return "(SELECT %s)" % (value if self.variant.is_bytes
                                    else value + "::text")
        if self.variant.is_bytes:
            if kind < 8 and text is not None:
                return "convert_to(%s, 'UTF8')" % literal(text)
            return value
        if kind == 5:
            return "stable_text(%s)" % value
        if kind == 6:
            return "volatile_text(%s)" % value
        if (kind == 7 and text is not None and len(text) < 60
                and self.variant.meets_names):
            return value + "::name"
        if kind == 8:
            return value + "::varchar"
        if kind == 9 and text is not None:
            return "(%s || %s)" % (literal(text[:1]), literal(text[1:]))
        return value

    def array(self):
        rng = self.rng
        members = [self.typed(None if rng.chance(10) else self.words.any())
                   for _ in range(rng.one_of(0, 1, 2, 3, 8, 40))]
        members += [rng.choice(members)] * rng.randrange(2) if members else []
        kind = "bytea" if self.variant.is_bytes else "text"
        array = "ARRAY[%s]::%s[]" % (", ".join(members), kind)
        roll = rng.randrange(8)
        if roll == 0:
            array = "NULL::%s[]" % kind
        elif roll == 1 and not self.variant.is_bytes:
            return "ARRAY(SELECT k FROM outside WHERE n < 9)"
        elif roll == 2:
            return "(SELECT %s)" % array
        elif roll == 3 and members:
            return None, ", ".join(members)
        if rng.chance(40):
            self.parameters.append(array)
            return "$%d" % len(self.parameters)
        return array

    # -- predicates

    def collation(self):
        if self.variant.is_bytes or self.rng.chance(60):
            return ""
        choices = ['"C"', '"POSIX"']
        if ICU:
            choices += ['"und-x-icu"', "caseless"]
        return " COLLATE " + self.rng.choice(choices)

    def comparison(self, key):
        operator = self.rng.one_of("=", "=", "=", "<", "<=", ">", ">=", "<>")
        left, right = key, self.operand()
        collation = self.collation()
        if self.rng.chance(20):
            left, right = right, left
        if left.startswith("$") or left == "NULL":
            left, right = right, left
        return "%s %s %s%s" % (left, operator, right, collation)

    def membership(self, key):
        array = self.array()
        if isinstance(array, tuple):
            return "%s %sIN (%s)" % (key, self.rng.one_of("", "", "NOT "),
                                     array[1])
        if array.startswith("(SELECT"):
            array += "::%s[]" % ("bytea" if self.variant.is_bytes else "text")
        return "%s %s (%s)" % (key, self.rng.one_of("= ANY", "= ANY", "= ANY",
                                                    "<> ALL", "= ALL",
                                                    "> ANY", "< ALL"), array)

    def pattern(self, key):
        rng = self.rng
        text = self.words.any()[:3].rstrip("\\")
        word = rng.choice(self.words.keys).replace("\\", "b")[:9]
        hole = rng.randrange(len(word))
        pattern = rng.one_of(text + "%", text + "_", "%" + text, text,
                             text[:1] + "%" + text[1:], text + "\\%",
                             "\\" + text + "%", text + "\\\\", "%", "",
                             word[:hole] + "_" + word[hole + 1:],
                             word[:-1] + "_", word[:-1] + "_",
                             word[:hole] + "%" + word[hole + 1:],
                             word[:hole] + "\\" + word[hole:])
        form = rng.randrange(9)
        if form < 3 or form == 8:
            return "%s LIKE %s" % (key, literal(pattern))
        if form == 3:
            self.parameters.append(literal(pattern))
            return "%s LIKE $%d" % (key, len(self.parameters))
        if form == 4:
            return "%s NOT LIKE %s" % (key, literal(pattern))
        if form == 5:
            return "%s ILIKE %s" % (key, literal(pattern))
        if form == 6:
            return "%s ^@ %s" % (key, literal(text))
        return "starts_with(%s, stable_text(%s))" % (key, literal(text))

    def atom(self, alias):
        rng = self.rng
        key = alias + ".key"
        roll = rng.randrange(100)
        if roll < 36:
            return self.comparison(key)
        if roll < 50:
            return self.membership(key)
        if roll < 72 and not self.variant.is_bytes and self.variant.deterministic:
            return self.pattern(key)
        if roll < 80:
            return "%s BETWEEN %s AND %s" % (key, self.typed(self.words.any()),
                                             self.operand())
        if roll < 84:
            return "%s IS %sNULL" % (key, rng.one_of("", "NOT "))
        if roll < 88:
            return "(%s, %s.value) %s (%s, 'v')" % (
                key, alias, rng.one_of("<", ">=", "="),
                self.typed(self.words.any()))
        if roll < 91 and not self.variant.is_bytes:
            return "look(%s)" % key
        if roll < 94 and not self.variant.is_bytes:
            return "%s = upper(%s)" % (key, key)
        return "%s.value %s %s" % (alias, rng.one_of("<", ">", "="),
                                   literal("v%d" % rng.randrange(400)))

    def predicate(self, alias, depth=0):
        rng = self.rng
        roll = rng.randrange(100)
        if depth > 2 or roll < 50:
            return self.atom(alias)
        if roll < 75:
            return "(%s AND %s)" % (self.predicate(alias, depth + 1),
                                    self.predicate(alias, depth + 1))
        if roll < 92:
            return "(%s OR %s)" % (self.predicate(alias, depth + 1),
                                   self.predicate(alias, depth + 1))
        return "(NOT %s)" % self.predicate(alias, depth + 1)

    # -- statements; @ is the table; True: in order

    def columns(self):
        return self.rng.one_of("t.key, t.value", "t.key", "t.value", "1", "t",
                               "count(*)", "count(*), min(t.value)", "*",
                               "t.key, t.value")

    def outer_key(self):
        key = self.rng.one_of("o.k", "o.k", "o.k::varchar", "o.k || ''",
                              "stable_text(o.k)")
        return "convert_to(%s, 'UTF8')" % key if self.variant.is_bytes else key

    def statement(self):
        rng = self.rng
        self.parameters = []
        shape = rng.randrange(17)
        where = self.predicate("t")
        order = 't.key%s, t.value' % ("" if self.variant.is_bytes
                                      else ' COLLATE "C"')
        outer = self.outer_key()
        if shape < 5:
            return "SELECT %s FROM @ t WHERE %s" % (self.columns(), where), False
        if shape == 5:
            return ("SELECT t.key, t.value FROM @ t WHERE %s ORDER BY %s "
                    "LIMIT %d OFFSET %d" % (where, order, rng.randrange(12),
                                            rng.randrange(4))), True
        if shape == 6:
            return ("SELECT count(*) FROM (SELECT FROM @ t WHERE %s LIMIT %d) s"
                    % (where, rng.randrange(9))), False
        if shape == 7:
            return ("SELECT o.n, %s FROM outside o %s JOIN @ t ON t.key = %s "
                    "AND o.n %% 3 <> 1 WHERE %s" % (
                        rng.one_of("t.key, t.value", "t.key", "o.k", "t"),
                        rng.one_of("", "", "LEFT", "RIGHT"), outer,
                        rng.one_of("true", "o.n < 20", where))), False
        if shape == 8:
            return ("SELECT o.n FROM outside o WHERE o.k %s (SELECT %s FROM @ t "
                    "WHERE %s)" % (rng.one_of("IN", "NOT IN"),
                                   "encode(t.key, 'escape')"
                                   if self.variant.is_bytes else "t.key",
                                   where)), False
        if shape == 9:
            return ("SELECT o.n FROM outside o WHERE %sEXISTS (SELECT FROM @ t "
                    "WHERE t.key = %s AND (%s))" % (
                        rng.one_of("", "NOT "), outer, where)), False
        if shape == 10:
            return ("SELECT o.n, (SELECT count(*) FROM @ t WHERE t.key %s %s) "
                    "FROM outside o WHERE o.n < 6" % (
                        rng.one_of("=", "<", ">="), outer)), False
        if shape == 11:
            return ("SELECT o.n, s.* FROM outside o, LATERAL (SELECT t.key, "
                    "t.value FROM @ t WHERE t.key %s %s ORDER BY %s LIMIT 2) s "
                    "WHERE o.n < 8" % (rng.one_of("=", "=", ">", "<="), outer,
                                        order)), False
        if shape == 12:
            return ("SELECT count(*), max(u.value) FROM @ t JOIN @ u ON t.key "
                    "%s u.key WHERE %s" % (rng.one_of("=", "=", "<"), where)), False
        if shape == 13:
            return ("SELECT t.key, count(*), max(t.value) FROM @ t WHERE %s "
                    "GROUP BY t.key" % where) + (
                        "" if self.variant.deterministic else ", t.value"), False
        if shape == 14:
            return ("WITH s AS MATERIALIZED (SELECT * FROM @ t WHERE %s) SELECT "
                    "count(*) FROM s, s r WHERE s.value = r.value" % where), False
        if shape == 15:
            return ("SELECT t.key FROM @_parent t WHERE %s" % where), False
        return ("SELECT t.key, t.value FROM @_view t WHERE %s" % where), False

    def both(self):
        """The statement on both tables, in some way of executing it."""
        rng = self.rng
        text, ordered = self.statement()
        before = []
        after = []
        if "JOIN" in text or "EXISTS" in text or " IN (SELECT" in text:
            for setting in ("hashjoin", "mergejoin", "nestloop", "memoize",
                            "material"):
                # Scans that are repeated for each outer row take long.
                if "< u.key" not in text and rng.chance(30):
                    before.append("SET enable_%s = off;" % setting)
                    after.append("RESET enable_%s;" % setting)
        if rng.chance(15):
            before.append("SET enable_sort = off;")
            after.append("RESET enable_sort;")
        execute = text + ";"
        if self.parameters:
            types = ", ".join(
                ("bytea" if self.variant.is_bytes else "text")
                + ("[]" if re.search(r"\[\]$", value) else "")
                for value in self.parameters)
            mode = rng.one_of("force_generic_plan", "force_custom_plan")
            values = ", ".join(value for value in self.parameters)
            execute = ("SET plan_cache_mode = %s; PREPARE p(%s) AS %s; "
                       "EXECUTE p(%s); EXECUTE p(%s); DEALLOCATE p; "
                       "RESET plan_cache_mode;" % (mode, types, text, values,
                                                   values))
        elif rng.chance(12) and text.startswith("SELECT"):
            execute = ("BEGIN; DECLARE c SCROLL CURSOR FOR %s; FETCH 3 c; MOVE "
                       "BACKWARD ALL c; FETCH ALL c; COMMIT;" % text)
            # The first three are any three, but for an order.
            if not ordered:
                execute = execute.replace("FETCH 3 c", "MOVE 3 c")
        return Case(" ".join(before), execute, " ".join(after), ordered)


class Case:
    def __init__(self, before, text, after="", ordered=False):
        self.before = before
        self.text = text
        self.after = after
        self.ordered = ordered
        self.answers = {}

    def on(self, table):
        # ^@ is an operator.
        text = re.sub(r"(?<!\^)@(_\w+)?",
                      lambda m: table + (m.group(1) or ""), self.text)
        return "%s %s %s" % (self.before, text, self.after)


class Server:
    def __init__(self, psql):
        self.psql = psql

    def run(self, script, database):
        """Lines of standard output and errors as they come."""
        done = subprocess.run(
            self.psql + ["-X", "-q", "-A", "-t", "-d", database], text=True,
            input="\\set VERBOSITY sqlstate\n" + script, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        if done.returncode == 2:
            raise SystemExit("psql lost the server:\n" + done.stdout[-2000:])
        return done.stdout.split("\n")[:-1]

    def ask(self, cases, tables, database):
        """Each case on each table, answers sorted when the order is free.
        Every other scan compares trees first, however few rows there are."""
        script = []
        for number, case in enumerate(cases):
            script.append("SET dynamo_fdw.compare_trees = '%s';" % (
                "on" if number % 2 else "auto"))
            for table in tables:
                script.append("\\echo @@@ %d %s" % (number, table))
                script.append(case.on(table))
        case = table = None
        for line in self.run("\n".join(script) + "\n", database):
            if line.startswith("@@@ "):
                _, number, table = line.split(" ")
                case = cases[int(number)]
                case.answers[table] = []
            elif case is not None:
                line = re.sub(r"^psql:.*?: ", "", line)
                case.answers[table].append(line)
        for case in cases:
            if not case.ordered:
                for answer in case.answers.values():
                    answer.sort()


class Tap:
    count = 0
    failed = 0

    def test(self, name, passed, story=()):
        self.count += 1
        print("%sok %d - %s" % ("" if passed else "not ", self.count, name))
        if not passed:
            self.failed += 1
            for line in story:
                print("#   " + line)
        sys.stdout.flush()


TAP = Tap()
ICU = False


def show(case, foreign, heap):
    yield case.on(foreign)
    for table in (foreign, heap):
        answer = case.answers.get(table, [])
        yield "%s: %d lines" % (table, len(answer))
        other = case.answers.get(heap if table == foreign else foreign, [])
        for line in [x for x in answer if x not in other][:5]:
            yield "    only here: " + line[:200]


def judge(name, cases, foreign, heap):
    """Equal, and enough of them say something."""
    wrong = [case for case in cases
             if case.answers.get(foreign) != case.answers.get(heap)]
    story = []
    for case in wrong[:5]:
        story += list(show(case, foreign, heap))
    TAP.test("%s: %d statements answer alike" % (name, len(cases)),
             not wrong, story)
    errors = sum(any(line.startswith("ERROR") for line in case.answers[heap])
                 for case in cases)
    full = sum(any(line and not line.startswith("ERROR")
                   for line in case.answers[heap]) for case in cases)
    TAP.test("%s: %d of them find something, %d are errors" %
             (name, full, errors), full * 3 > len(cases)
             and errors * 50 <= len(cases),
             [line for case in cases for line in case.answers[heap]
              if line.startswith("ERROR")][:9])


# ------------------------------------------------------------------- reading

def make_rows(rng, words):
    rows = []
    for key in words.keys:
        for _ in range(rng.one_of(1, 1, 1, 1, 2, 3)):
            rows.append((key, "v%d" % len(rows)))
    return rows


def load(server, database, rows, variants, rng, words, bucket):
    values = ",\n".join("(%s, %s)" % (literal(k), literal(v)) for k, v in rows)
    outside = ",\n".join("(%s, %d)" % (
        literal(None if rng.chance(10) else words.any()), n)
        for n in range(60))
    script = ["INSERT INTO outside VALUES %s;" % outside,
              "CREATE TABLE rows (key text, value text);",
              "INSERT INTO rows VALUES %s;" % values]
    for index, variant in enumerate(variants):
        f, h = "f_" + variant.name, "h_" + variant.name
        key = "convert_to(key, 'UTF8')" if variant.is_bytes else "key"
        script += [
            "CREATE FOREIGN TABLE %s (key %s, value text) SERVER store "
            "OPTIONS (bucket '%s');" % (f, variant.key_type, bucket),
            "CREATE TABLE %s (key %s, value text);" % (h, variant.key_type),
            "INSERT INTO %s SELECT %s, value FROM rows;" % (h, key)]
        for table in (f, h):
            script += [
                "CREATE VIEW %s_view WITH (security_barrier) AS SELECT * FROM "
                "%s WHERE value > 'v2';" % (table, table),
                "CREATE TABLE %s_parent (key %s, value text);" % (
                    table, variant.key_type),
                "INSERT INTO %s_parent SELECT * FROM h_%s LIMIT 5;" % (
                    table, variant.name)]
        script += [
            "CREATE FOREIGN TABLE %s_child () INHERITS (%s_parent) SERVER "
            "store OPTIONS (bucket '%s');" % (f, f, bucket),
            "CREATE TABLE %s_child () INHERITS (%s_parent);" % (h, h),
            "INSERT INTO %s_child SELECT * FROM %s;" % (h, h)]
        if index == 0:
            script.append("INSERT INTO %s SELECT key, value FROM rows;" % f)
    lines = server.run("\n".join(script), database)
    if lines:
        raise SystemExit("loading: " + "\n".join(lines[:20]))


def test_reading(server, database, variants, seed, count, bucket, letters):
    rng = Random(seed)
    words = Words(rng, letters)
    rows = make_rows(rng, words)
    load(server, database, rows, variants, rng, words, bucket)
    for variant in variants:
        queries = Queries(rng, words, variant)
        cases = [queries.both() for _ in range(count)]
        tables = ["f_" + variant.name, "h_" + variant.name]
        for start in range(0, len(cases), 500):
            server.ask(cases[start:start + 500], tables, database)
        judge("%s, key %s" % (database, variant.key_type), cases, *tables)


# -------------------------------------------------------------------- bounds

def size(text):
    return len(text.encode())


class Bounds:
    """Ranges and patterns of the key, together. They stay as filters, so an
    answer does not show when a scan fetches more than it must: rows that the
    filter removes do."""

    def __init__(self, rng, words, variant):
        self.queries = Queries(rng, words, variant)
        self.rng = rng
        self.keys = sorted((key for key in words.keys if len(key) < 9),
                           key=str.encode)
        self.variant = variant
        self.parameters = []

    def clauses(self):
        """(as asked, as it may be fetched) of each: a bound is inclusive, and
        of several prefixes the longest one counts."""
        rng = self.rng
        asked = []
        prefixes = []
        for _ in range(rng.randint(2, 5)):
            roll = rng.randrange(100)
            # Both ends often leave something between them.
            middle = len(self.keys) // 2
            low = rng.choice(self.keys[:middle])
            high = rng.choice(self.keys[middle:])
            if roll < 40:
                asked.append(("<", high if rng.chance(80) else low))
            elif roll < 80:
                asked.append((">", low if rng.chance(80) else high))
            elif self.variant.is_bytes:
                continue
            else:
                text = low[:rng.randint(1, 2)].translate(
                    {ord("\\"): "b", ord("%"): "c", ord("_"): "b"})
                if size(text) not in map(size, prefixes):
                    prefixes.append(text)
        longest = max(prefixes, key=size, default=None)
        for operator, text in asked:
            yield ("t.key %s %s" % (operator + rng.one_of("", "="),
                                    self.typed(text)),
                   "t.key %s= %s" % (operator, self.queries.typed(text)))
        for text in prefixes:
            yield (rng.one_of("t.key LIKE %s" % literal(text + "%"),
                              "t.key ^@ %s" % literal(text)),
                   "t.key ^@ %s" % literal(text) if text == longest
                   else "true")

    def typed(self, text):
        """As a literal, a parameter, or what a scan finds out as it begins."""
        value = self.queries.typed(text)
        form = self.rng.randrange(4)
        if form == 0:
            self.parameters.append(value)
            return "$%d" % len(self.parameters)
        if form == 1:
            return "(SELECT %s%s)" % (value, "" if self.variant.is_bytes
                                      else "::text")
        return value

    def case(self):
        """(what the scan of it says, how many rows it may fetch)"""
        self.parameters = []
        clauses = list(self.clauses())
        self.rng.shuffle(clauses)
        asked = "SELECT t.key FROM @ t WHERE " + " AND ".join(
            ["true"] + [clause for clause, _ in clauses])
        explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "
        if self.parameters:
            mode = self.rng.one_of("force_generic_plan", "force_custom_plan")
            told = "SET plan_cache_mode = " + mode + "; PREPARE p AS " + asked \
                + "; " + explain + "EXECUTE p(" + ", ".join(self.parameters) \
                + "); DEALLOCATE p; RESET plan_cache_mode;"
        else:
            told = explain + asked + ";"
        return Case("", told), Case(
            "", "SELECT count(*) FROM @ t WHERE " + " AND ".join(
                ["true"] + [fetched for _, fetched in clauses]) + ";")


def fetched_rows(lines):
    """By the scan of the foreign table: returned, and removed by the filter."""
    text = "\n".join(lines)
    found = re.search(r"Foreign Scan on \w+ t \(actual rows=(\d+)", text)
    removed = re.search(r"Rows Removed by Filter: (\d+)", text)
    if found is None:
        return None
    return int(found.group(1)) + (int(removed.group(1)) if removed else 0)


def test_bounds(server, database, variants, seed, count):
    """Scans fetch what lies between all bounds, and no more."""
    rng = Random("%s bounds" % seed)
    words = Words(Random(seed), LETTERS)
    for variant in variants:
        cases = [Bounds(rng, words, variant).case() for _ in range(count)]
        f, h = "f_" + variant.name, "h_" + variant.name
        server.ask([asked for asked, _ in cases], [f], database)
        server.ask([most for _, most in cases], [h], database)
        wrong = []
        fetched = []
        for asked, most in cases:
            rows = fetched_rows(asked.answers[f])
            limit = int(most.answers[h][0])
            fetched.append(limit)
            if rows is None or rows > limit:
                wrong += [asked.on(f), "%s rows fetched, %d lie within" % (
                    rows, limit)]
        TAP.test("%s, key %s: %d scans keep to all bounds" % (
            database, variant.key_type, count), not wrong, wrong[:10])
        rows = int(server.run("SELECT count(*) FROM %s;" % h, database)[0])
        some = sum(0 < limit < rows for limit in fetched)
        TAP.test("%s, key %s: %d of them are narrow" % (
            database, variant.key_type, some), some * 3 > count)


# ------------------------------------------------------------------- writing

class Transactions:
    """Statements whose outcome a heap table has too: `unique`, a table with
    insert_mode 'create' and one with a primary key; or else siblings, rows
    that are all different."""

    def __init__(self, rng, unique):
        self.rng = rng
        self.unique = unique
        self.keys = ["k%d" % i for i in range(14)]
        self.last = 0

    def value(self):
        self.last += 1
        return literal("v%d" % self.last)

    def row(self):
        return "(%s, %s)" % (literal(self.rng.choice(self.keys)), self.value())

    def where(self):
        rng = self.rng
        key = literal(rng.choice(self.keys))
        return rng.one_of(
            "key = " + key, "key = " + key,
            "key IN (%s, %s)" % (key, literal(rng.choice(self.keys))),
            "key > " + key, "key LIKE 'k1%'", "value LIKE '%4%'", "true",
            "key = %s AND value LIKE '%%2'" % key,
            "key IN (SELECT k FROM outside WHERE n < 30)")

    def change(self):
        rng = self.rng
        returning = rng.one_of("", " RETURNING key, value")
        roll = rng.randrange(100)
        if roll < 22:
            return "INSERT INTO @ VALUES %s%s;" % (self.row(), returning)
        if roll < 34:
            rows = ", ".join(self.row() for _ in range(rng.randint(2, 5)))
            return "INSERT INTO @ VALUES %s%s;" % (rows, returning)
        if roll < 44 and self.unique:
            rows = ", ".join(self.row() for _ in range(rng.randint(1, 6)))
            return ("INSERT INTO @ VALUES %s ON CONFLICT DO NOTHING%s;"
                    % (rows, returning))
        if roll < 52:
            self.last += 1
            return ("INSERT INTO @ SELECT %s, value || 'c%d' FROM @ WHERE %s "
                    "ORDER BY value COLLATE \"C\" LIMIT 3%s;"
                    % ("key || 'n'" if self.unique else "key", self.last,
                       self.where(), returning))
        if roll < 72:
            self.last += 1
            return "UPDATE @ SET value = value || '-%d' WHERE %s%s;" % (
                self.last, self.where(), returning)
        if roll < 77:
            self.last += 1
            return ("UPDATE @ t SET value = value || 'o%d' FROM outside o WHERE "
                    "t.key = o.k AND o.n < 40%s;" % (
                        self.last, returning and " RETURNING t.key, t.value"))
        if roll < 92:
            return "DELETE FROM @ WHERE %s%s;" % (self.where(), returning)
        return ("DELETE FROM @ t USING outside o WHERE t.key = o.k AND o.n < %d"
                "%s;" % (rng.randrange(12),
                         returning and " RETURNING t.key, t.value"))

    def caught(self):
        """In a subtransaction that may fail."""
        return ("DO $do$ BEGIN %s %s %s EXCEPTION WHEN unique_violation OR "
                "division_by_zero THEN NULL; END $do$;" % (
                    re.sub(" RETURNING.*;", ";", self.change()),
                    re.sub(" RETURNING.*;", ";", self.change()),
                    self.rng.one_of("", "PERFORM 1 / 0;")))

    def look(self):
        return self.rng.one_of(
            "SELECT key, value FROM @;",
            "SELECT key FROM @ WHERE %s;" % self.where(),
            "SELECT key, value FROM @ WHERE %s;" % self.where(),
            "SELECT count(*) FROM outside o LEFT JOIN @ t ON t.key = o.k;",
            # A scan that is run again.
            "SELECT g, s.* FROM generate_series(1, 4) g, LATERAL (SELECT key, "
            "value FROM @ WHERE key >= 'k' || g OFFSET 0) s;")

    def steps(self):
        """One transaction."""
        rng = self.rng
        text = ["BEGIN;"]
        savepoints = 0
        cursors = 0
        for _ in range(rng.randint(1, 9)):
            roll = rng.randrange(100)
            if roll < 55:
                text.append(self.change())
            elif roll < 62:
                text.append(self.caught())
            elif roll < 80:
                text.append(self.look())
            elif roll < 86:
                savepoints += 1
                text.append("SAVEPOINT s%d;" % savepoints)
            elif roll < 94 and savepoints:
                text.append("%s s%d;" % (
                    rng.one_of("ROLLBACK TO", "ROLLBACK TO", "RELEASE"),
                    savepoints))
            elif not cursors:
                cursors = 1
                text.append("DECLARE c CURSOR FOR SELECT key, value FROM @;")
                if rng.chance(50):
                    text.append("MOVE 0 c;")
        if cursors:
            text.append("FETCH ALL c;")
        text.append(self.look())
        text.append(rng.one_of("COMMIT;", "COMMIT;", "COMMIT;", "ROLLBACK;"))
        return text

    def cases(self, count, in_transactions):
        cases = []
        for number in range(count):
            steps = self.steps() if in_transactions else [self.change()]
            if number % 12 == 11:
                steps = ["DELETE FROM @;"]
            cases += [Case("", step) for step in steps]
            cases.append(Case("", "SELECT key, value FROM @;"))
        return cases


def test_writing(server, database, seed, count, bucket):
    for name, options, heap_key, unique, in_transactions in (
            ("unique", "insert_mode 'create'", "text PRIMARY KEY", True, True),
            ("siblings", "insert_mode 'sibling'", "text", False, True),
            ("guarded", "insert_mode 'create', conflict_mode 'error'",
             "text PRIMARY KEY", True, True),
            ("direct", "insert_mode 'create', write_at 'statement'",
             "text PRIMARY KEY", True, False)):
        rng = Random("%s %s" % (seed, name))
        f, h = "wf_" + name, "wh_" + name
        lines = server.run("""
            CREATE FOREIGN TABLE %s (key text, value text) SERVER store
                OPTIONS (bucket '%s_%s', %s);
            CREATE TABLE %s (key %s, value text);""" % (
                f, bucket, name, options, h, heap_key), database)
        if lines:
            raise SystemExit("\n".join(lines))
        cases = Transactions(rng, unique).cases(count, in_transactions)
        # A cursor that is open needs its own session for each table.
        for table in (f, h):
            server.ask(cases, [table], database)
        wrong = next((i for i, case in enumerate(cases)
                      if case.answers.get(f) != case.answers.get(h)), None)
        story = []
        if wrong is not None:
            begin = max([i for i in range(wrong + 1)
                         if cases[i].text == "BEGIN;"] or [0])
            story = ["-- %s" % case.on(f).strip() for case in cases[begin:wrong]]
            story += list(show(cases[wrong], f, h))
        TAP.test("%s: %d statements of %d transactions do alike" % (
            name, len(cases), count), wrong is None, story)
        errors = sum(any("ERROR" in line for line in case.answers[h])
                     for case in cases)
        TAP.test("%s: %d of them are errors" % (name, errors),
                 errors * 2 < len(cases))


# ---------------------------------------------------------------------- main

LETTERS = "abcABC%_\\ é߀Z1'-"


def databases(server):
    """(name, how to make it, letters of the keys, has it collations of ICU?)"""
    made = [("diff_c", "LOCALE 'C.UTF-8' ENCODING 'UTF8'", LETTERS, True),
            ("diff_latin1", "LOCALE 'C' ENCODING 'LATIN1'",
             "abcABC%_\\ éßÿZ1'-", False)]
    if int(server.run("SHOW server_version_num;", "postgres")[0]) >= 150000:
        made.append(("diff_icu", "LOCALE 'C.UTF-8' ENCODING 'UTF8' "
                     "LOCALE_PROVIDER icu ICU_LOCALE 'en'", LETTERS, True))
    return made


def main():
    global ICU
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=1,
                        help="the number of the first test")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--transactions", type=int, default=250)
    parser.add_argument("--bucket", default="differential",
                        help="the first part of the buckets' names")
    parser.add_argument("psql", nargs="+")
    options = parser.parse_args()
    TAP.count = options.first - 1
    server = Server(options.psql)
    # The catalog has one of ICU's even where PostgreSQL was built without.
    has_icu = server.run("CREATE COLLATION probe (provider = icu, locale = "
                         "'und'); DROP COLLATION probe;", "postgres") == []
    print("# seed %s" % options.seed)
    for name, how, letters, may_icu in databases(server):
        if "icu" in how and not has_icu:
            continue
        ICU = may_icu and has_icu
        lines = server.run("CREATE DATABASE %s TEMPLATE template0 %s;"
                           % (name, how), "postgres")
        lines += server.run(SETUP % {"nodes": options.nodes} +
                            (ICU_SETUP if ICU else ""), name)
        if lines:
            raise SystemExit("\n".join(lines))
        variants = VARIANTS + (ICU_VARIANTS if ICU else [])
        test_reading(server, name, variants, options.seed, options.queries,
                     options.bucket + "_" + name, letters)
        if name == "diff_c":
            # Those whose keys sort like bytes; others are bounded by nothing.
            test_bounds(server, name, [variant for variant in variants
                                       if variant.name in ("c", "bytes")],
                        options.seed, options.queries)
    # Some of them twice: then a join brings a row twice.
    server.run("INSERT INTO outside SELECT 'k' || n % 15, n FROM "
               "generate_series(0, 50) n;", "diff_c")
    test_writing(server, "diff_c", options.seed, options.transactions,
                 options.bucket + "_write")
    return 1 if TAP.failed else 0


if __name__ == "__main__":
    sys.exit(main())
