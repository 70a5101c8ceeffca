"""A cluster of dynnodes whose machines can be broken: processes, disks,
clocks and networks."""
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("B", "build"))
DYNNODE = os.path.join(BUILD, "dynnode/dynnode")
DYNCTL = os.path.join(BUILD, "dynnode/dynctl")
PROGRAMS = os.path.join(BUILD, "tests/fault")
FAILING_DISK = os.path.join(PROGRAMS, "failing_disk.so")

STORE_FAILED = 3  # dynnode's exit code
POWER_CUT = 137   # failing_disk.c's

# Whatever happens to us, no node is left behind.
LEASH = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


class Trouble(Exception):
    """The harness itself cannot go on."""


def free_ports(count, step=10):
    """The first of COUNT blocks of three free ports, STEP apart."""
    def is_free(port):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    for _ in range(1000):
        base = random.SystemRandom().randrange(12000, 32000 - count * step)
        if all(is_free(base + step * i + j)
               for i in range(count) for j in range(3)):
            return base
    raise Trouble("no free ports")


def wait_for(seconds, condition):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class Control:
    """What failing_disk.c maps: its struct control."""
    LAYOUT = {"sync_error": ("I", 0), "sync_delay_ms": ("I", 4),
              "write_error": ("I", 8), "power_cut": ("I", 12),
              "clock_offset_ms": ("q", 16), "sync_errors_done": ("I", 24),
              "write_errors_done": ("I", 28), "syncs": ("I", 32),
              "undone": ("I", 36), "sync_lie": ("I", 40),
              "power_cuts_done": ("I", 44)}
    SIZE = 48

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(self.SIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), self.SIZE)

    def set(self, name, value):
        kind, at = self.LAYOUT[name]
        struct.pack_into(kind, self.map, at, value)

    def get(self, name):
        kind, at = self.LAYOUT[name]
        return struct.unpack_from(kind, self.map, at)[0]

    def heal(self):
        for name in ("sync_error", "sync_delay_ms", "write_error", "power_cut",
                     "clock_offset_ms", "sync_lie"):
            self.set(name, 0)


class Node:
    def __init__(self, index, directory, address):
        self.index = index
        self.dir = directory
        self.address = address
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "log")
        self.ready = os.path.join(directory, "ready")
        self.process = None
        self.exit_codes = []  # of all its lives but this one
        self.prefix = []      # commands that run it
        self.flags = []
        self.paused = False
        self.id = None        # once the cluster stands
        os.makedirs(directory)
        self.control = Control(os.path.join(directory, "control"))

    def __str__(self):
        return "node %d" % self.index

    def spawn(self):
        """Begin to start it."""
        self.reap()
        if self.process is not None:
            return
        if os.path.exists(self.ready):
            os.unlink(self.ready)
        command = LEASH + self.prefix + [DYNNODE, "--data", self.data, "--listen",
                                 self.address, "--ready-file",
                                 self.ready] + self.flags
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.paused = False

    def start(self, seconds=15):
        """True when it listens."""
        self.spawn()
        wait_for(seconds, lambda: os.path.exists(self.ready) or self.reap())
        return self.process is not None and os.path.exists(self.ready)

    def reap(self):
        """Has it ended?"""
        if self.process is None:
            return True
        code = self.process.poll()
        if code is None:
            return False
        self.exit_codes.append(code)
        self.process = None
        return True

    def signal(self, number):
        if not self.reap():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait_ended()

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait_ended()

    def wait_ended(self, seconds=20):
        return wait_for(seconds, self.reap)

    def cut_power(self):
        """From its next write on. Ended by end_power_cut."""
        self.cuts = self.control.get("power_cuts_done")
        self.control.set("power_cut", 1)

    def end_power_cut(self, seconds=2):
        """Start it again. One that has nothing to write for so long has
        everything on disk, unless its disk lies."""
        done = wait_for(seconds, lambda: self.control.get("power_cuts_done")
                        > self.cuts)
        self.kill()
        self.control.heal()
        self.spawn()
        return done

    def replace_disk(self):
        """By an empty one; it comes back in its own place."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        self.take_place()

    def take_place(self):
        if "--node-id" not in self.flags:
            self.flags = self.flags + ["--node-id", self.id]

    def is_built(self):
        status = self.status()
        return (status is not None and status["formed"]
                and status["building"] == 0 and not status["in_doubt"])

    def pause(self):
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def descriptor_count(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def limit_descriptors(self, count):
        """Of the running process."""
        number = resource.RLIMIT_NOFILE
        hard = resource.prlimit(self.process.pid, number)[1]
        resource.prlimit(self.process.pid, number, (count, hard))

    def ask(self, *words):
        """dynctl's answer in JSON, None when there is none."""
        done = subprocess.run([DYNCTL, *words, "--node", self.address,
                               "--timeout", "1000", "--json"],
                              capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def own_keys(self):
        """Keys of which it has a record of its own."""
        done = subprocess.run([DYNCTL, "scan", "fault", "--replica",
                               "--keys-only", "--node", self.address],
                              capture_output=True, text=True)
        return set(re.findall(r"\bk\d{4}\b", done.stdout))

    def own_word(self, key):
        """The status of its own record of a key; OK also for a deleted one."""
        done = subprocess.run([DYNCTL, "get", "fault", key, "--replica",
                               "--node", self.address, "--timeout", "1000"],
                              capture_output=True, text=True)
        found = re.match(r"dynctl: get: ([A-Z_]+):", done.stderr)
        return found.group(1) if found else "OK"

    def status(self):
        return self.ask("status")

    def counter(self, name):
        status = self.status()
        return status["counters"].get(name, 0) if status else 0

    def log_text(self):
        with open(self.log, errors="replace") as file:
            return file.read()


class Network:
    """Namespaces and a switch between them (tapbridge.c)."""

    def __init__(self, count):
        self.net = "198.18.%d" % random.SystemRandom().randrange(1, 255)
        self.process = subprocess.Popen(
            [os.path.join(PROGRAMS, "tapbridge"), str(count), self.net],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, bufsize=1)
        words = self.process.stdout.readline().split()
        if len(words) != count + 2 or words[0] != "ready":
            raise Trouble("no network: " + self.process.stderr.read())
        self.pid, self.descriptors = words[1], words[2:]

    def prefix(self, index):
        return ["nsenter", "--net=/proc/%s/fd/%s"
                % (self.pid, self.descriptors[index - 1])]

    def say(self, line):
        """Its answer: frames forwarded, lost, doubled, cut."""
        self.process.stdin.write(line + "\n")
        return [int(word) for word in self.process.stdout.readline().split()[1:]]

    def cut(self, sources, targets):
        for a in sources:
            for b in targets:
                if a != b:
                    self.say("cut %d %d" % (a, b))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Cluster:
    def __init__(self, directory, size=5, n=3, r=2, w=2, network=False,
                 preload=False, flags=()):
        self.dir = directory
        self.n, self.r, self.w = n, r, w
        self.network = Network(size) if network else None
        self.nodes = []
        self.extra = []  # clones
        self.mounts = []
        base = free_ports(size + 1)
        for i in range(1, size + 1):
            address = ("%s.%d:7001" % (self.network.net, i) if network
                       else "127.0.0.1:%d" % (base + 10 * (i - 1)))
            node = Node(i, os.path.join(directory, "node%d" % i), address)
            if network:
                node.prefix += self.network.prefix(i)
            if preload:
                # Sanitizers want to be the first library, but need not be.
                node.prefix += ["env", "LD_PRELOAD=" + FAILING_DISK,
                                "ASAN_OPTIONS=verify_asan_link_order=0",
                                "FAULT_CONTROL=" + node.control.path]
            self.nodes.append(node)
        self.spare_port = base + 10 * size
        seeds = ",".join(node.address for node in self.nodes)
        for node in self.nodes:
            # Anti-entropy at a quicker pace than the usual one: a round is
            # short.
            node.flags = ["--seeds", seeds, "--cluster-name", "fault",
                          "--n", str(n), "--r", str(r), "--w", str(w),
                          "--partitions", "64", "--anti-entropy-ms", "500",
                          *flags]
            if network:
                node.flags.append("--insecure-listen")

    @property
    def addresses(self):
        return ",".join(node.address for node in self.nodes)

    def running(self):
        return [node for node in self.nodes if not node.reap()]

    def start(self):
        for node in self.nodes:
            node.spawn()
        done = wait_for(30, lambda: self.is_whole()
                        or any(node.reap() for node in self.nodes))
        for node in self.nodes:
            if node.reap():
                raise Trouble("%s does not start: %s"
                              % (node, node.log_text()[-300:]))
        if not done:
            raise Trouble("the cluster does not start: "
                          + self.nodes[0].log_text()[-300:])
        for node in self.nodes:
            node.id = node.status()["node"]

    def is_whole(self):
        """Do all see all, take writes, and answer reads?"""
        expected = len(self.nodes) - 1
        for node in self.nodes:
            status = node.status()
            if (status is None or not status["formed"]
                    or not status["writable"] or status["building"] != 0
                    or status["in_doubt"]
                    or sum(peer["up"] for peer in status["peers"]) < expected):
                return False
        return True

    def count(self, name):
        """A counter of all that run now."""
        return sum(node.counter(name) for node in self.nodes)

    def wait_whole(self, seconds):
        return wait_for(seconds, self.is_whole)

    def tmpfs(self, node, megabytes):
        """Give a node a small disk of its own. Needs root."""
        os.makedirs(node.data, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=0700" % megabytes,
                        "tmpfs", node.data], check=True)
        self.mounts.append(node.data)

    def heal(self):
        """Everything that was broken works again, but for lost data."""
        if self.network is not None:
            self.network.say("heal")
        for node in self.nodes:
            node.control.heal()
            if node.paused:
                node.resume()
            if node.reap():
                node.spawn()

    def close(self):
        for node in self.nodes + self.extra:
            if not node.reap():
                node.process.kill()
                node.wait_ended()
        for path in self.mounts:
            subprocess.run(["umount", "-l", path], check=False)
        if self.network is not None:
            self.network.close()


def copy_data(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
