"""SQL sessions that read and write through the extension, and tell what they
did in the form of journal.h."""
import os
import random
import re
import subprocess
import threading
import time

from nodes import TOP, Trouble

BUCKET = "fault"
SIBLING = 0  # enum dyn_history_mode
FIRST_CLIENT = 100000  # behind those of the load generator
OWN_KEYS = 40
SILENCE_S = 1.2        # whatever takes so long was sent to somebody else, too
ALPHABET = "abcdefghijklmnopqrstuvwxyz" * 2600


class Postgres:
    """A private server for all rounds (tests/lib/pg.sh)."""

    def __init__(self):
        script = os.path.join(TOP, "tests/fault/pg.sh")
        self.process = subprocess.Popen(["bash", script], text=True,
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        words = line.split()
        if len(words) != 4 or words[0] != "ready":
            raise Trouble("no PostgreSQL: " + line
                          + self.process.stdout.read())
        self.psql = [words[1] + "/psql", "-X", "-q", "-A", "-t", "-h",
                     words[2], "-p", words[3], "-U", "postgres", "-d",
                     "postgres"]
        self.log = words[2] + "/data/log"
        self.sql("CREATE EXTENSION dynamo_fdw")
        self.tables = 0

    def sql(self, text):
        done = subprocess.run(self.psql + ["-v", "ON_ERROR_STOP=1", "-c", text],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(done.stderr)
        return done.stdout

    def new_table(self, addresses, timeout_ms):
        self.tables += 1
        name = "t%d" % self.tables
        self.sql("""
            CREATE SERVER s_%s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS
                (nodes '%s', timeout '%d', connect_timeout '1000');
            CREATE FOREIGN TABLE %s (key text, value text, vclock vclock,
                                     context vclock)
                SERVER s_%s OPTIONS (bucket '%s')"""
                 % (name, addresses, timeout_ms, name, name, BUCKET))
        return name

    def restarted(self):
        with open(self.log, errors="replace") as log:
            return any("terminated by signal" in line or "PANIC" in line
                       for line in log)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def make_value(key, name, fill):
    """As value.c makes it."""
    start = int(name.split(".")[1]) % 26
    return "k%04d c%s %d %s" % (key, name, fill, ALPHABET[start:start + fill])


def name_in(value, key):
    """Who made it; 4294967295.4294967295, which is nobody, when it is not
    exactly what its head says."""
    words = value.split(" ")
    try:
        name, fill = words[1][1:], int(words[2])
        if value == make_value(key, name, fill):
            return name
    except (IndexError, ValueError):
        pass
    return "4294967295.4294967295"


class Session(threading.Thread):
    """One psql: a statement at a time, each a transaction."""

    def __init__(self, postgres, table, index, key_count, seed, directory,
                 delete_rate):
        super().__init__(daemon=True)
        self.psql = postgres.psql
        self.table = table
        self.client = FIRST_CLIENT + index
        self.key_count = key_count
        self.delete_rate = delete_rate
        self.random = random.Random("%s sql %d" % (seed, index))
        self.journal_path = os.path.join(directory, "sql%d.journal" % index)
        self.journal = open(self.journal_path, "w", buffering=1)
        self.errors = open(os.path.join(directory, "sql%d.errors" % index), "w")
        self.count = 0
        self.done = threading.Event()
        self.process = None
        self.states = {}
        self.acknowledged = 0
        self.moved = 0  # statements that had to wait for somebody else
        self.reads = 0
        self.read_us = 0  # when the last one began

    # ------------------------------------------------------------------ psql

    def open(self):
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", *self.psql, "-F", "\t"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def ask(self, statement):
        """(SQLSTATE, rows changed, rows); None for the state when the
        session broke."""
        rows = []
        if self.process is None or self.process.poll() is not None:
            self.open()
        begin = time.monotonic()
        try:
            self.process.stdin.write(
                statement + ";\n\\echo --done-- :SQLSTATE :ROW_COUNT\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("--done-- "):
                    state, count = line.split()[1:3]
                    self.states[state] = self.states.get(state, 0) + 1
                    self.moved += time.monotonic() - begin > SILENCE_S
                    return state, int(count), rows
                rows.append(line.rstrip("\n").split("\t"))
        except (BrokenPipeError, ValueError):
            pass
        self.process.wait()
        self.process = None
        return None, 0, []

    # --------------------------------------------------------------- journal

    def say(self, *words):
        self.journal.write(" ".join(str(word) for word in words) + "\n")

    @staticmethod
    def now():
        return time.monotonic_ns() // 1000

    def next_name(self):
        self.count += 1
        return "%d.%d" % (self.client, self.count)

    def end_write(self, name, state, changed=1):
        if state == "00000" and changed > 0:
            self.acknowledged += 1
            self.say("O", name, self.now(), "-", "-")
        elif state is None or state == "08007":
            self.say("U", name, self.now())
        else:
            # Any other error says that nothing is stored; and a DELETE that
            # met no row has not written.
            self.say("N", name, self.now())

    # ------------------------------------------------------------ operations

    def read(self, key):
        """Rows (name, vclock, context), None when it failed."""
        name = self.next_name()
        self.read_us = self.now()
        self.say("G", name, key, 2, self.read_us)
        state, _, rows = self.ask(
            "SELECT value, vclock, context FROM %s WHERE key = 'k%04d'"
            % (self.table, key))
        if state != "00000":
            self.say("N", name, self.now())
            return None
        self.reads += 1
        rows = [(name_in(row[0], key), row[1], row[2]) for row in rows]
        self.say("O", name, self.now(), "-",
                 ",".join(row[0] for row in rows) or "-")
        return rows

    def scan(self):
        """Ten keys by their prefix: a read of each of them."""
        first = self.random.randrange(max(1, self.key_count // 10)) * 10
        keys = range(first, min(first + 10, self.key_count))
        names = {key: self.next_name() for key in keys}
        for key in keys:
            self.say("G", names[key], key, 2, self.now())
        state, _, rows = self.ask(
            "SELECT key, value FROM %s WHERE key LIKE 'k%03d%%'"
            % (self.table, first // 10))
        found = {key: [] for key in keys}
        for row in rows if state == "00000" else []:
            key = int(row[0][1:])
            found[key].append(name_in(row[1], key))
        for key in keys:
            if state != "00000":
                self.say("N", names[key], self.now())
            else:
                self.say("O", names[key], self.now(), "-",
                         ",".join(found[key]) or "-")

    def write(self, key, rows):
        """On all rows, on one, or beside them."""
        name = self.next_name()
        value = make_value(key, name, self.random.randrange(64))
        lot = self.random.random()
        seen = beside = "-"
        clock = "NULL"
        context = None
        if rows and lot < 0.4:
            row = self.random.choice(rows)
            seen, clock, context = row[0], "'%s'" % row[1], row[1]
            beside = ",".join(r[0] for r in rows)
        elif rows and lot < 0.85 or len(rows) > 5:
            seen = ",".join(row[0] for row in rows)
            clock, context = "'%s'" % rows[0][2], rows[0][2]
        self.say("P", name, key, SIBLING, 2, 2, self.now(), seen, beside)
        if context is not None:
            self.say("X", name, self.read_us, context)
        state, _, _ = self.ask(
            "INSERT INTO %s (key, value, vclock) VALUES ('k%04d', '%s', %s)"
            % (self.table, key, value, clock))
        self.end_write(name, state)

    def delete(self, key, rows):
        """One row, by its clock."""
        name = self.next_name()
        row = self.random.choice(rows)
        self.say("D", name, key, SIBLING, 2, 2, self.now(), row[0],
                 ",".join(r[0] for r in rows))
        self.say("X", name, self.read_us, row[1])
        state, changed, _ = self.ask(
            "DELETE FROM %s WHERE key = 'k%04d' AND vclock = '%s'"
            % (self.table, key, row[1]))
        self.end_write(name, state, changed)

    def step(self):
        if self.random.random() < 0.05:
            self.scan()
            return
        key = (self.random.randrange(8) if self.random.random() < 0.25
               else self.random.randrange(self.key_count))
        rows = self.read(key)
        if rows is None or self.random.random() < 0.3:
            return
        if rows and self.random.random() < self.delete_rate:
            self.delete(key, rows)
        else:
            self.write(key, rows)

    def run(self):
        while not self.done.is_set():
            self.step()
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
        self.journal.close()
        self.errors.close()

    def finish(self, seconds=30):
        self.done.set()
        self.join(seconds)
        if self.is_alive():
            self.process.kill()
            self.join(10)


class Owner(Session):
    """One psql with keys that nobody else writes: it inserts many at once,
    updates them and deletes them again, at once, and so also what was only
    written when it had been sent for the second time."""

    def __init__(self, postgres, table, index, first_key, seed, directory):
        super().__init__(postgres, table, index, first_key, seed, directory, 0)
        self.keys = range(first_key, first_key + OWN_KEYS)
        self.batch = []
        # By key, what was acknowledged last: what a write may have replaced of
        # which nobody was told what it met.
        self.left = {key: [] for key in self.keys}
        self.known = {key: set() for key in self.keys}

    def keys_are(self, keys):
        return "key IN (%s)" % ", ".join("'k%04d'" % key for key in keys)

    def begin_write(self, kind, begin, key, rows, read_us):
        """Its name. Rows (name, vclock) that it replaces, and when they were
        read."""
        name = self.next_name()
        self.say(kind, name, key, SIBLING, 2, 2, begin,
                 ",".join(row[0] for row in rows) or "-", "-")
        for row in rows:
            self.say("X", name, read_us, row[1])
        return name

    def note_names(self, key, rows):
        """A retry's name (an actor's first event, of epoch 0) that a row's
        clock is the first to show is this row's: what it stands on was in the
        rows that were replaced, and nobody else writes the key."""
        for name, clock in rows:
            for start in re.findall(r"(?<![0-9a-f.])([0-9a-f]{1,16})\.0:1\b", clock):
                if start not in self.known[key]:
                    self.known[key].add(start)
                    self.say("V", name, start)

    def look(self, keys):
        """By key, rows (name, vclock); None when it failed."""
        names = {key: self.next_name() for key in keys}
        for key in keys:
            self.say("G", names[key], key, 2, self.now())
        state, _, rows = self.ask("SELECT key, value, vclock FROM %s WHERE %s"
                                  % (self.table, self.keys_are(keys)))
        found = self.by_key(keys, rows)
        for key in keys:
            if state != "00000":
                self.say("N", names[key], self.now())
            else:
                self.say("O", names[key], self.now(), "-",
                         ",".join(row[0] for row in found[key]) or "-")
                self.left[key] = found[key]
        self.reads += state == "00000"
        return found if state == "00000" else None

    def by_key(self, keys, rows):
        found = {key: [] for key in keys}
        for key, value, clock in rows:
            key = int(key[1:])
            found[key].append((name_in(value, key), clock))
        for key, some in found.items():
            self.note_names(key, some)
        return found

    def change(self, statement):
        """As ask(): at once, or read now and written at COMMIT a little later,
        so that it is the writing that meets somebody who says nothing."""
        if self.random.random() < 0.4:
            return self.ask(statement)
        self.ask("BEGIN")
        process = self.process
        state, changed, rows = self.ask(statement)
        if state != "00000":
            self.ask("ROLLBACK")
            return state, changed, rows
        time.sleep(self.random.uniform(0, 0.2))
        if process is None or self.process is not process \
                or process.poll() is not None:
            return None, changed, rows  # there is nothing to commit any more
        return self.ask("COMMIT")[0], changed, rows

    def insert(self, keys):
        """Beside whatever is there."""
        begin = self.now()
        names = {key: self.begin_write("P", begin, key, [], begin) for key in keys}
        state, _, _ = self.change("INSERT INTO %s (key, value) VALUES %s" % (
            self.table, ", ".join("('k%04d', '%s')" % (
                key, make_value(key, names[key], self.random.randrange(64)))
                for key in keys)))
        for key in keys:
            self.end_write(names[key], state)
            if state == "00000":
                self.left[key] = self.left[key] + [(names[key], "{}")]

    def update(self, found, read_us):
        """Of each key the one row that was read then."""
        begin = self.now()
        names = {key: self.begin_write("P", begin, key, rows, read_us)
                 for key, rows in found.items()}
        state, changed, _ = self.change(
            "UPDATE %s SET value = CASE key %s END WHERE %s AND vclock IN (%s)"
            % (self.table, " ".join("WHEN 'k%04d' THEN '%s'" % (
                key, make_value(key, names[key], self.random.randrange(64)))
                for key in found),
               self.keys_are(found),
               ", ".join("'%s'" % rows[0][1] for rows in found.values())))
        # Whose row it did not find again is not told.
        if state == "00000" and changed != len(found):
            state = None
        for key in found:
            self.end_write(names[key], state)
            if state == "00000":
                self.left[key] = [(names[key], "{}")]

    def delete_all(self, keys):
        """Whatever it finds, and says that it has found."""
        begin = self.now()
        state, _, rows = self.change(
            "DELETE FROM %s WHERE %s RETURNING key, value, vclock"
            % (self.table, self.keys_are(keys)))
        found = self.by_key(keys, rows)
        for key in keys:
            met = found[key]
            if state != "00000" and not rows:
                met = [(name, "{}") for name, _ in self.left[key]]
            name = self.begin_write("D", begin, key, met, begin)
            self.end_write(name, state, len(met))
            if state == "00000":
                self.left[key] = []

    def step(self):
        lot = self.random.random()
        if not self.batch or lot < 0.25:
            self.batch = self.random.sample(self.keys,
                                            self.random.randrange(1, 11))
        # What it has left itself it need not look at, most of the time.
        empty = [key for key in self.batch if not self.left[key]]
        if empty and lot < 0.9:
            self.insert(empty)
        elif lot > 0.6:
            self.delete_all(self.batch)
        else:
            self.look_and_change()

    def look_and_change(self):
        begin = self.now()
        found = self.look(self.batch)
        if found is None:
            return
        one = {key: rows for key, rows in found.items() if len(rows) == 1}
        none = [key for key, rows in found.items() if not rows]
        many = [key for key, rows in found.items() if len(rows) > 1]
        if many:
            self.delete_all(many)
        if none:
            self.insert(none)
        if one:
            self.update(one, begin)
