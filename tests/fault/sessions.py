"""SQL sessions that read and write through the extension, and tell what they
did in the form of journal.h."""
import os
import random
import subprocess
import threading
import time

from nodes import TOP, Trouble

BUCKET = "fault"
SIBLING = 0  # enum dyn_history_mode
FIRST_CLIENT = 100000  # behind those of the load generator
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

    def new_table(self, addresses):
        self.tables += 1
        name = "t%d" % self.tables
        self.sql("""
            CREATE SERVER s_%s FOREIGN DATA WRAPPER dynamo_fdw OPTIONS
                (nodes '%s', timeout '1500', connect_timeout '1000');
            CREATE FOREIGN TABLE %s (key text, value text, vclock vclock,
                                     context vclock)
                SERVER s_%s OPTIONS (bucket '%s')"""
                 % (name, addresses, name, name, BUCKET))
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
        self.reads = 0

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
        try:
            self.process.stdin.write(
                statement + ";\n\\echo --done-- :SQLSTATE :ROW_COUNT\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("--done-- "):
                    state, count = line.split()[1:3]
                    self.states[state] = self.states.get(state, 0) + 1
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
        self.say("G", name, key, 2, self.now())
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
        if rows and lot < 0.4:
            row = self.random.choice(rows)
            seen, clock = row[0], "'%s'" % row[1]
            beside = ",".join(r[0] for r in rows)
        elif rows and lot < 0.85 or len(rows) > 5:
            seen = ",".join(row[0] for row in rows)
            clock = "'%s'" % rows[0][2]
        self.say("P", name, key, SIBLING, 2, 2, self.now(), seen, beside)
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
