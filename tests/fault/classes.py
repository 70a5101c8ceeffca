"""What can break.  A class is a function that breaks something of a running
cluster (round_.cluster) while clients read and write, and may look at what
that does; whatever it leaves broken is healed after it.

What a class may lose: nothing.  `must_fail`: the other way round, a class that
no store can survive, to see that the checker would notice.  After round_.relax()
strict reads may miss writes, because a replica has gone back in time.
"""
import os
import re
import shutil
import socket
import subprocess

from nodes import (POWER_CUT, PROGRAMS, STORE_FAILED, Node, Trouble,
                   copy_data)

CLASSES = {}
# How long somebody is away whose clients go to others after a second and a half
LATE_S = ((0.1, 1.6), (1.6, 2.5), (1.6, 2.5), (2.5, 5), (2.5, 5), (5, 8))
CGROUP = "/sys/fs/cgroup/memory"


class Class:
    def __init__(self, function, **options):
        self.name = function.__name__
        self.run = function
        self.preload = options.pop("preload", False)
        self.network = options.pop("network", False)
        self.root = options.pop("root", False) or self.network
        self.prepare = options.pop("prepare", None)
        self.load = options.pop("load", [])
        self.keys = options.pop("keys", 200)
        self.flags = options.pop("flags", [])
        self.missing = options.pop("missing", lambda: None)
        self.size = options.pop("size", 5)  # nodes
        # SQL sessions that change at once what they have written.
        self.owners = options.pop("owners", 0)
        # Of the SQL sessions' writes.
        self.delete_rate = options.pop("delete_rate", 0.15)
        # Must everything that was deleted be gone from all disks at the end?
        self.reaped = options.pop("reaped", False)
        self.must_fail = options.pop("must_fail", None)
        # How a node may end: by our hand (kill -9, SIGTERM), or as the class
        # makes it.  None: LMDB itself may do what it likes.
        self.ends = options.pop("ends", ())
        assert not options

    def why_not(self):
        """Why this machine cannot run it; None when it can."""
        if self.root and os.geteuid() != 0:
            return "needs root"
        if self.network and not os.path.exists("/dev/net/tun"):
            return "needs /dev/net/tun"
        return self.missing()


def fault_class(**options):
    def add(function):
        CLASSES[function.__name__] = Class(function, **options)
        return function
    return add


# ------------------------------------------------------------------- processes

@fault_class()
def kill_one(round_):
    """kill -9 of one node, which is away for a while: no SQL statement fails."""
    round_.after(round_.check_statements)
    for _ in range(2):
        node = round_.pick()
        round_.say("kill -9 of %s" % node)
        node.kill()
        round_.sleep(0.2, 2.0)
        node.start()
        round_.check(round_.cluster.wait_whole(10),
                     "the cluster is not whole 10 s after kill -9 of one")
        round_.sleep(0.2, 1.0)


@fault_class()
def kill_two(round_):
    """kill -9 of two nodes, at once or one after the other."""
    for node in round_.pick(2):
        round_.say("kill -9 of %s" % node)
        node.kill()
        round_.sleep(0, 0.5)
    round_.sleep(0.5, 2.5)


@fault_class()
def kill_all(round_):
    """kill -9 of all nodes at the same moment, twice."""
    for _ in range(2):
        round_.say("kill -9 of all")
        for node in round_.cluster.nodes:
            node.signal(9)
        for node in round_.cluster.nodes:
            node.wait_ended()
        round_.sleep(0, 0.3)
        for node in round_.cluster.nodes:
            node.spawn()
        round_.check(round_.cluster.wait_whole(10),
                     "the cluster is not whole 10 s after kill -9 of all")
        round_.sleep(0.5, 1.5)


@fault_class(owners=4)
def pause(round_):
    """SIGSTOP of one or two nodes, then SIGCONT."""
    for _ in range(2):
        nodes = round_.pick(round_.random.choice((1, 1, 2)))
        round_.say("SIGSTOP of %s" % ", ".join(map(str, nodes)))
        for node in nodes:
            node.pause()
        round_.sleep(0.3, 4.0)
        for node in nodes:
            node.resume()
        round_.sleep(0.2, 1.0)


@fault_class(owners=8, size=3)
def late_pause(round_):
    """SIGSTOP of one of three nodes, which finds writes in its socket when it
    goes on, while what was written elsewhere meanwhile is replaced and deleted.
    As long as DURATION says."""
    while round_.time_is_left():
        node = round_.pick()
        round_.say("SIGSTOP of %s" % node)
        node.pause()
        round_.sleep(*round_.random.choice(LATE_S))
        node.resume()
        round_.sleep(0.5, 1.5)


# -------------------------------------------------------------------- networks

def some_side(round_, count):
    """Ports of COUNT nodes, and of the others."""
    few = [node.index for node in round_.pick(count)]
    return few, [node.index for node in round_.cluster.nodes
                 if node.index not in few]


def cut_both(network, a, b):
    network.cut(a, b)
    network.cut(b, a)


@fault_class(network=True, owners=4)
def isolate(round_):
    """One node hears nobody and is heard by nobody, clients or not."""
    few, many = some_side(round_, 1)
    clients = [0] if round_.random.random() < 0.5 else []
    round_.say("isolate %s%s" % (few, " from clients too" if clients else ""))
    cut_both(round_.cluster.network, few, many + clients)
    round_.sleep(2, 5)


@fault_class(network=True, owners=4)
def halves(round_):
    """Two nodes here, three there; clients reach both halves."""
    few, many = some_side(round_, 2)
    round_.say("halves %s | %s" % (few, many))
    cut_both(round_.cluster.network, few, many)
    round_.sleep(2, 5)


@fault_class(network=True, owners=4)
def one_way(round_):
    """Frames get from some nodes to the others, but not back."""
    few, many = some_side(round_, round_.random.choice((1, 2)))
    if round_.random.random() < 0.5:
        few, many = many, few
    round_.say("one way: nothing from %s to %s" % (few, many))
    round_.cluster.network.cut(few, many)
    round_.sleep(2, 5)


@fault_class(network=True, owners=4)
def bridge(round_):
    """Two halves that only one node in the middle can talk to."""
    few, many = some_side(round_, 2)
    middle = many.pop()
    round_.say("bridge %s | %d | %s" % (few, middle, many))
    cut_both(round_.cluster.network, few, many)
    round_.sleep(2, 5)


@fault_class()
def partition(round_):
    """One of isolate, halves, one_way, bridge, by lot."""


# A node that does not know yet that it is alone lets its client wait, until the
# client goes to another one.
UNAWARE = ["--heartbeat-ms", "1500", "--silence-ms", "5000"]


def late_cuts(round_):
    """As long as DURATION says."""
    network = round_.cluster.network
    while round_.time_is_left():
        few, many = some_side(round_, 1)
        lot = round_.random.random()
        if lot < 0.2:
            round_.say("nothing from %s to the others" % few)
            network.cut(few, many)
        elif lot < 0.8:
            round_.say("nothing between %s and the others" % few)
            cut_both(network, few, many)
        else:
            round_.say("nothing between %s and clients" % few)
            cut_both(network, few, [0])
        round_.sleep(*round_.random.choice(LATE_S))
        network.say("heal")
        round_.sleep(0.5, 1.5)


@fault_class(network=True, owners=8, size=3, flags=UNAWARE)
def late_cut(round_):
    """One of three nodes is cut off, from the others but not from clients or
    the other way round, while what was written elsewhere meanwhile is replaced
    and deleted.  As long as DURATION says."""
    late_cuts(round_)


# Whoever remembers the id of a request forgets it half a minute and this after
# it was begun.
FORGETFUL = ["--request-timeout-ms", "2500"]


@fault_class(network=True, owners=8, size=3, flags=UNAWARE + FORGETFUL)
def late_long(round_):
    """One of three nodes is stopped, or cut off from the others, for longer
    than the ids of requests are remembered.  A minute, or as long as DURATION
    says."""
    while True:
        few, many = some_side(round_, 1)
        if round_.random.random() < 0.4:
            round_.say("SIGSTOP of node %d" % few[0])
            round_.cluster.nodes[few[0] - 1].pause()
        else:
            round_.say("nothing between %s and the others" % few)
            cut_both(round_.cluster.network, few, many)
        round_.sleep(36, 45)
        round_.cluster.heal()
        round_.sleep(1, 5)
        if not round_.time_is_left():
            break


@fault_class(network=True)
def lossy(round_):
    """Frames are late, out of order, doubled and lost."""
    loss = round_.random.choice((2000, 20000, 80000))
    delay_us = round_.random.choice((0, 2000, 20000))
    jitter_us = round_.random.choice((1000, 10000, 40000))
    doubling = round_.random.choice((0, 50000))
    round_.say("of a million frames lose %d, double %d; hold %d us + %d us"
               % (loss, doubling, delay_us, jitter_us))
    round_.cluster.network.say("lossy %d %d %d %d"
                               % (loss, delay_us, jitter_us, doubling))
    round_.sleep(3, 5)
    counts = round_.cluster.network.say("heal")
    round_.say("forwarded %d, lost %d, doubled %d" % tuple(counts[:3]))
    round_.check(counts[1] > 0, "the network lost nothing")


# ----------------------------------------------------------------------- disks

def small_disks(round_):
    """A small disk for two nodes; with what is written it never gets full."""
    round_.victims = round_.pick(2)
    for node in round_.victims:
        round_.cluster.tmpfs(node, 48)


@fault_class(root=True, prepare=small_disks, keys=1000,
             load=["--fill", "30000", "--large", "1", "--clients", "24"])
def full_disk(round_):
    """A disk fills up: writes are refused, reads served; with room again it
    recovers without a restart."""
    for node in round_.victims[:round_.random.choice((1, 2))]:
        path = os.path.join(node.data, "filler")
        round_.say("fill the disk of %s" % node)
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        full = round_.wait_until(
            30, lambda: (node.status() or {"writable": True})["writable"] is False)
        round_.check(full, "%s does not say that it is full" % node)
        before = node.counter("read_ops")
        round_.sleep(0.5, 1.0)
        round_.check(node.counter("read_ops") > before,
                     "%s with a full disk serves no reads" % node)
        os.unlink(path)
        round_.say("room for %s again" % node)
        round_.check(
            round_.wait_until(15, lambda: (node.status() or {}).get("writable")),
            "%s does not recover when there is room" % node)
    for node in round_.victims:
        round_.check(not node.exit_codes, "%s has ended" % node)


def break_stores(round_, name, values):
    """Make the store of some nodes fail; they must end, and say why."""
    nodes = round_.pick(round_.random.choice((1, 2, 3, 5)))
    round_.say("%s of %s" % (name, ", ".join(map(str, nodes))))
    for node in nodes:
        node.control.set(name, round_.random.choice(values))
    round_.wait_until(5, lambda: all([node.reap() for node in nodes]))
    for node in nodes:
        # The last of them may have nobody to write with, and so no write.
        if node.control.get(name) and not node.reap():
            round_.say("%s has not written" % node)
            node.control.heal()
            continue
        ended = node.wait_ended(10)
        if not round_.check(ended, "%s goes on with a broken store" % node):
            continue
        round_.check(node.exit_codes[-1] == STORE_FAILED
                     and "the store failed" in node.log_text(),
                     "%s ended with code %d and did not say why"
                     % (node, node.exit_codes[-1]))
    round_.sleep(0, 1.0)
    for node in nodes:
        node.spawn()
    round_.sleep(0.5, 1.0)


@fault_class(preload=True, ends=(STORE_FAILED,))
def failing_sync(round_):
    """A sync fails and what it should have written is gone: the node ends."""
    for _ in range(2):
        break_stores(round_, "sync_error", (1,))


@fault_class(preload=True, ends=(STORE_FAILED,))
def failing_write(round_):
    """A write to the store fails, whole or in the middle: the node ends."""
    for _ in range(2):
        break_stores(round_, "write_error", (1, 2))


@fault_class(preload=True, ends=(POWER_CUT,))
def power_cut(round_):
    """The power fails, for all nodes or some: unsynced writes are gone."""
    for _ in range(2):
        nodes = round_.pick(round_.random.choice((1, 3, 5, 5)))
        round_.say("power cut of %s" % ", ".join(map(str, nodes)))
        for node in nodes:
            node.cut_power()
        for node in nodes:
            node.end_power_cut(0.5)
        round_.sleep(0.5, 1.5)


@fault_class(preload=True, ends=(POWER_CUT,), must_fail="C1 ")
def lying_disks(round_):
    """Syncs of all nodes do nothing, then the power fails: acknowledged
    writes are lost, and the checker must say so."""
    for node in round_.cluster.nodes:
        node.control.set("sync_lie", 1)
    round_.say("all disks lie")
    round_.sleep(1, 1.5)
    for node in round_.cluster.nodes:
        node.cut_power()
    for node in round_.cluster.nodes:
        node.end_power_cut()
    round_.sleep(0.3, 0.5)


@fault_class(preload=True)
def slow_sync(round_):
    """Every sync of some nodes takes long."""
    nodes = round_.pick(round_.random.choice((1, 2, 5)))
    delay_ms = round_.random.choice((20, 100, 400))
    round_.say("syncs of %s take %d ms" % (", ".join(map(str, nodes)), delay_ms))
    for node in nodes:
        node.control.set("sync_delay_ms", delay_ms)
    round_.sleep(3, 5)
    for node in nodes:
        round_.check(not node.reap(), "%s has ended" % node)


# ---------------------------------------------------------------------- limits

def idle_connections(address, count):
    host, port = address.rsplit(":", 1)
    sockets = []
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((host, int(port)))
        sockets.append(s)
    return sockets


@fault_class()
def few_fds(round_):
    """Two nodes may have hardly more descriptors than they have, strangers'
    connections take them, and a neighbour that comes back wants some."""
    sockets = []
    victims = round_.pick(2)
    for node in victims:
        limit = node.descriptor_count() + round_.random.choice((0, 1, 2, 5, 20))
        round_.say("%s may have %d descriptors, and gets 400 idle connections"
                   % (node, limit))
        node.limit_descriptors(limit)
        sockets += idle_connections(node.address, 400)
    round_.sleep(0.5, 1.0)
    other = round_.random.choice([node for node in round_.cluster.nodes
                                  if node not in victims])
    round_.say("kill -9 of %s" % other)
    other.kill()
    other.start()
    round_.sleep(1.5, 3)
    for s in sockets:
        s.close()
    for node in victims:
        if not round_.check(not node.exit_codes and not node.reap(),
                            "%s has ended without descriptors" % node):
            continue
        node.limit_descriptors(1024)
        round_.check(round_.wait_until(10, node.status),
                     "%s takes no connections when there is room" % node)


def little_memory(round_):
    """A control group of 64 MiB for one node."""
    node = round_.pick()
    group = os.path.join(CGROUP, "dynfault-%d" % os.getpid())
    os.makedirs(group, exist_ok=True)
    round_.at_end(lambda: os.rmdir(group))
    with open(os.path.join(group, "memory.limit_in_bytes"), "w") as file:
        file.write(str(64 << 20))
    node.prefix += ["sh", "-c", 'echo $$ >%s/cgroup.procs; exec "$@"' % group,
                    "sh"]
    round_.victims = [node]
    round_.group = group


@fault_class(root=True, prepare=little_memory,
             load=["--fill", "60000", "--large", "2", "--clients", "200"],
             missing=lambda: None if os.path.isdir(CGROUP)
             else "needs a cgroup v1 memory controller")
def little_memory_left(round_):
    """A node with 64 MiB under load: it may refuse, it is not killed."""
    round_.sleep(3, 5)
    node = round_.victims[0]
    with open(os.path.join(round_.group, "memory.max_usage_in_bytes")) as file:
        round_.say("%s took up to %d KiB" % (node, int(file.read()) >> 10))
    round_.check(not node.exit_codes and not node.reap(),
                 "%s was killed for its memory" % node)


# ----------------------------------------------------------------------- clocks

@fault_class(preload=True)
def clock_jump(round_):
    """Wall clocks jump, forth and back, by seconds and by years."""
    for _ in range(6):
        node = round_.pick()
        seconds = round_.random.choice((-3600, -5, 5, 3600, 86400 * 3650,
                                        -86400 * 3650))
        round_.say("the clock of %s is %d s off" % (node, seconds))
        node.control.set("clock_offset_ms", seconds * 1000)
        round_.sleep(0.3, 0.8)
    for node in round_.cluster.nodes:
        round_.check(not node.exit_codes, "%s has ended" % node)


# ------------------------------------------------------- what a disk can become

VALUE = re.compile(rb"k(\d{4}) c(\d+\.\d+) (\d+) [a-z]{3,}")


def flip_values(path, random_, count):
    """Damage the values of some keys wherever they stand; which keys."""
    with open(path, "r+b") as file:
        text = bytearray(file.read())
        places = {}
        for match in VALUE.finditer(text):
            places.setdefault(match.group(1), []).append(match.end() - 2)
        keys = random_.sample(sorted(places), min(count, len(places)))
        for key in keys:
            for at in places[key]:
                text[at] ^= 1 << random_.randrange(8)
        file.seek(0)
        file.write(text)
    return ["k" + key.decode() for key in keys]


@fault_class()
def corrupt_records(round_):
    """Bits of a stopped node's records flip: never "not found", repaired."""
    node = round_.pick()
    held = node.own_keys()
    node.kill()
    keys = flip_values(os.path.join(node.data, "data.mdb"), round_.random, 40)
    round_.say("damaged the records of %d keys of %s" % (len(keys), node))
    round_.check(keys, "nothing to damage")
    round_.check(node.start(), "%s does not start" % node)
    # Of others a value may stand in the file, though it was never committed,
    # or as a hint.
    round_.say("%d of them held" % len(set(keys) & held))
    for key in set(keys) & held:
        told = node.own_word(key)
        round_.check(told != "NOT_FOUND", "%s says that there is no %s, whose "
                     "record is damaged" % (node, key))
    round_.sleep(1.5, 2.5)
    round_.after(lambda: round_.check(
        node.counter("records_unreadable") > 0,
        "%s has not noticed any damage" % node))


def corrupt_pages(path, random_, count):
    """Overwrite 64 bytes in each of some pages that were ever used."""
    with open(path, "r+b") as file:
        text = file.read()
        used = [at for at in range(2 * 4096, len(text), 4096)
                if text[at:at + 4096].strip(b"\0")]
        for at in random_.sample(used, min(count, len(used))):
            file.seek(at + random_.randrange(4096 - 64))
            file.write(random_.randbytes(64))


@fault_class(ends=None)
def corrupt_page(round_):
    """Pages of a stopped node's file are overwritten.  LMDB has no checksums
    of pages, so the node may end; then its disk counts as lost."""
    node = round_.pick()
    node.kill()
    round_.relax()
    count = round_.random.choice((1, 4, 16))
    corrupt_pages(os.path.join(node.data, "data.mdb"), round_.random, count)
    round_.say("overwrote %d pages of %s" % (count, node))
    started = node.start()
    round_.sleep(1, 2)
    if not started or node.reap():
        round_.say("%s ended (%s): its disk is replaced"
                   % (node, node.exit_codes[-1:]))
        round_.damaged(node)
    round_.suspects.append(node)


def check_built(round_, node):
    round_.check(round_.wait_until(30, node.is_built),
                 "%s is not built up after 30 s" % node)


@fault_class()
def emptied(round_):
    """A node's disk is lost and replaced by an empty one, twice: nothing is
    lost, and no read misses anything while it is filled."""
    for _ in range(2):
        node = round_.pick()
        round_.say("empty the disk of %s" % node)
        node.replace_disk()
        round_.sleep(0, 0.5)
        round_.check(node.start(), "%s does not start on an empty disk" % node)
        check_built(round_, node)
        round_.check(node.counter("buildings_done") > 0,
                     "%s has not been built up" % node)
        round_.sleep(0.5, 1)


@fault_class()
def emptied_without_id(round_):
    """An emptied node that is not told whose place it takes stays outside,
    says how to go on, and is then let in."""
    node = round_.pick()
    round_.say("empty the disk of %s" % node)
    node.kill()
    shutil.rmtree(node.data)
    node.start()
    round_.check(round_.wait_until(10, lambda: "--node-id " + node.id
                                   in node.log_text()),
                 "%s does not say how it gets its place back" % node)
    round_.check(not (node.status() or {"formed": False})["formed"],
                 "%s is in the cluster without a word" % node)
    node.replace_disk()
    round_.check(node.start(), "%s does not start" % node)
    check_built(round_, node)


@fault_class()
def rolled_back(round_):
    """An old copy of a node's disk is put back: it notices, and is filled
    before it answers."""
    node = round_.pick()
    copy = os.path.join(node.dir, "copy")
    node.stop()
    copy_data(node.data, copy)
    node.start()
    round_.sleep(2, 3)
    node.kill()
    round_.say("put an old copy of the disk of %s back" % node)
    copy_data(copy, node.data)
    round_.check(node.start(), "%s does not start" % node)
    check_built(round_, node)
    round_.check(node.counter("rollbacks") > 0,
                 "%s has not noticed that it went back" % node)


@fault_class()
def cloned(round_):
    """A copy of a node's disk is started beside it: it must end."""
    node = round_.pick()
    cluster = round_.cluster
    clone = Node(len(cluster.nodes) + 1,
                 os.path.join(cluster.dir, "clone"),
                 "127.0.0.1:%d" % cluster.spare_port)
    node.kill()
    copy_data(node.data, clone.data)
    node.start()
    clone.flags = [flag.replace(node.address, clone.address)
                   for flag in node.flags]
    cluster.extra.append(clone)
    round_.relax()
    round_.say("a clone of %s at %s" % (node, clone.address))
    clone.spawn()
    refused = round_.wait_until(15, clone.reap)
    if round_.check(refused, "a clone is not refused"):
        round_.say("the clone ended with code %d" % clone.exit_codes[-1])
        round_.check(clone.exit_codes[-1] > 0 and "copy" in clone.log_text(),
                     "the clone does not say why")
    round_.check(not node.reap() and len(node.exit_codes) == 1,
                 "%s itself has ended" % node)
    round_.sleep(0.3, 0.5)


# ------------------------------------------------------------ what is left behind

def hints(node, *words):
    """How many objects it keeps for others (hints.c)."""
    done = subprocess.run([os.path.join(PROGRAMS, "hints"), node.data, *words],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble("hints of %s: %s" % (node, done.stderr))
    return int(done.stdout)


@fault_class()
def hints_lost(round_):
    """What stand-ins keep for a dead node is thrown away: anti-entropy alone
    brings it what it has missed."""
    victim = round_.pick()
    round_.say("kill -9 of %s" % victim)
    victim.kill()
    round_.sleep(2, 3)
    # Every write is on an owner, too, when the others have taken what was
    # under way to them.
    round_.end_load()
    round_.sleep(1, 1.5)
    for node in round_.cluster.nodes:
        node.kill()
    counts = [hints(node, "drop") for node in round_.cluster.nodes]
    round_.say("threw %d hints away" % sum(counts))
    round_.check(sum(counts) > 0, "there were no hints")
    for node in round_.cluster.nodes:
        node.spawn()

    def look():
        round_.check(round_.result["hints_delivered"] == 0,
                     "a hint was delivered")
        round_.check(round_.result["exchange_keys_repaired"] > 0,
                     "anti-entropy repaired nothing")
    round_.after(look)


HAS_NETWORK = os.geteuid() == 0 and os.path.exists("/dev/net/tun")


def lose_some_hints(round_):
    """A node misses what another one keeps for it; the others, to whom
    nothing happens, have all of it."""
    cluster = round_.cluster
    if not round_.check(cluster.wait_whole(20)
                        and round_.wait_until(20, lambda: not any(
                            hints(node) for node in cluster.nodes)),
                        "hints are not delivered within 20 s of peace"):
        return
    victim, other = round_.pick(2)
    victim.kill()
    round_.sleep(0.5, 1.5)
    other.kill()
    round_.say("kill -9 of %s, and of %s with %d hints thrown away"
               % (victim, other, hints(other, "drop")))
    cluster.heal()


def break_for_a_while(round_):
    """One thing, of processes or (where there can be one) of the network."""
    network = round_.cluster.network
    node, other = round_.pick(2)
    few, many = some_side(round_, round_.random.choice((1, 2)))
    steps = [
        ("kill -9 of %s" % node, node.kill),
        ("kill -9 of %s and %s" % (node, other),
         lambda: (node.kill(), other.kill())),
        ("SIGTERM to %s" % node, node.stop),
        ("SIGSTOP of %s" % node, node.pause),
    ]
    if network is not None:
        steps += [
            ("partition %s | %s" % (few, many),
             lambda: cut_both(network, few, many)),
            ("nothing from %s to %s" % (few, many),
             lambda: network.cut(few, many)),
            ("frames are late, lost and doubled",
             lambda: network.say("lossy 20000 %d %d 20000" % (
                 round_.random.choice((1000, 100000)),
                 round_.random.choice((10000, 400000))))),
        ]
    name, act = round_.random.choice(steps)
    round_.say(name)
    act()
    round_.sleep(0.2, 3)
    round_.cluster.heal()


@fault_class(network=HAS_NETWORK, keys=800, load=["--deletes", "45"],
             delete_rate=0.5, reaped=True,
             flags=["--tombstone-grace-ms", "500", "--reap-ms", "100",
                    "--anti-entropy-ms", "3000"])
def deletes(round_):
    """Keys are deleted and made again while nodes and networks fail, and
    tombstones are reaped as soon as they may be: nothing deleted comes back,
    and at the end no tombstone is left.  As long as DURATION says."""
    reaped = 0
    while True:
        if round_.random.random() < 0.5:
            lose_some_hints(round_)
        else:
            break_for_a_while(round_)
        # Reaping wants all members: let it begin, or not.
        if round_.random.random() < 0.8:
            round_.check(round_.cluster.wait_whole(20),
                         "the cluster is not whole 20 s after it healed")
        before = round_.cluster.count("reaped")
        round_.sleep(0, 4)
        reaped += max(0, round_.cluster.count("reaped") - before)
        if not round_.time_is_left():
            break
    round_.say("%d records were reaped while clients wrote" % reaped)


# ------------------------------------------------- disks, beside everything else

def back_up(round_, copies):
    """Copy the disks of some nodes, stopped ones and such that stand still."""
    for node in round_.cluster.nodes:
        if node in copies and round_.random.random() < 0.7:
            continue
        copies[node] = os.path.join(node.dir, "copy")
        shutil.rmtree(copies[node], ignore_errors=True)
        if round_.random.random() < 0.5:
            node.stop()
            copy_data(node.data, copies[node])
            node.start()
        else:
            node.pause()
            copy_data(node.data, copies[node])
            node.resume()


def lose_disk(round_, node, copy):
    """It is empty, or as it was once."""
    node.kill()
    if round_.random.random() < 0.5:
        round_.say("empty the disk of %s" % node)
        node.replace_disk()
    else:
        round_.say("put an old copy of the disk of %s back" % node)
        copy_data(copy, node.data)
    round_.sleep(0, 1)
    node.start()


def restart(nodes):
    """kill -9 of all of them at the same moment."""
    for node in nodes:
        node.resume()
        node.signal(9)
    for node in nodes:
        node.wait_ended()
    for node in nodes:
        node.spawn()


def disturb(round_, node, others):
    """One more thing, while it is built up."""
    network = round_.cluster.network
    other = round_.random.choice(others)
    steps = [
        ("kill -9 of all", lambda: restart([node] + others)),
        ("kill -9 of all but %s" % node, lambda: restart(others)),
        ("kill -9 of %s" % node, lambda: restart([node])),
        ("kill -9 of %s" % other, lambda: restart([other])),
        ("SIGSTOP of %s" % other, other.pause),
    ]
    if network is not None:
        steps += [
            ("nothing between %s and %s" % (node, other),
             lambda: cut_both(network, [node.index], [other.index])),
            ("frames are late, lost and doubled",
             lambda: network.say("lossy 20000 1000 20000 20000")),
        ]
    name, act = round_.random.choice(steps)
    round_.say(name)
    act()
    round_.sleep(0, 2)


@fault_class(network=HAS_NETWORK, keys=400, load=["--deletes", "45"],
             delete_rate=0.5, reaped=True,
             flags=["--tombstone-grace-ms", "500", "--reap-ms", "100",
                    "--anti-entropy-ms", "3000"])
def disks(round_):
    """Disks are lost, or go back to copies from before deletes that are
    reaped, one at a time, while others are away or fail too: nothing is
    lost, nothing deleted comes back, and all are built up.  As long as
    DURATION says."""
    cluster = round_.cluster
    copies = {}
    while True:
        back_up(round_, copies)
        cluster.wait_whole(20)
        round_.sleep(1, 6)
        node = round_.pick()
        others = [n for n in cluster.nodes if n is not node]
        if round_.random.random() < 0.6:
            disturb(round_, round_.random.choice(others), [node])
        lose_disk(round_, node, copies[node])
        for _ in range(round_.random.randrange(4)):
            disturb(round_, node, others)
        cluster.heal()
        if not round_.check(cluster.wait_whole(60), "the cluster is not whole "
                            "and built up 60 s after it healed"):
            break
        if not round_.time_is_left():
            break


# ---------------------------------------------------------------- all together

def storm_step(round_, node, other):
    """One more thing breaks, or is mended."""
    network = round_.cluster.network
    control = node.control
    steps = [
        ("kill -9 of %s" % node, node.kill),
        ("start %s" % node, node.spawn),
        ("SIGSTOP of %s" % node, node.pause),
        ("SIGCONT of %s" % node, node.resume),
        ("nothing from %s to %s" % (node, other),
         lambda: network.cut([node.index], [other.index])),
        ("nothing between %s and the others" % node,
         lambda: cut_both(network, [node.index],
                          [n.index for n in round_.cluster.nodes])),
        ("the network is well", lambda: network.say("heal")),
        ("the network loses, holds and doubles",
         lambda: network.say("lossy 20000 1000 20000 20000")),
        ("a sync of %s fails" % node, lambda: control.set("sync_error", 1)),
        ("a write of %s fails" % node, lambda: control.set("write_error", 2)),
        ("syncs of %s are slow" % node,
         lambda: control.set("sync_delay_ms", 100)),
        ("the clock of %s is off" % node,
         lambda: control.set("clock_offset_ms", 86400000)),
        ("power cut of %s" % node,
         lambda: (node.resume(), node.cut_power(), node.end_power_cut(0.5))),
        ("%s is well" % node,
         lambda: (node.resume(), control.heal(), node.spawn())),
    ]
    name, act = round_.random.choice(steps)
    round_.say(name)
    act()


@fault_class(network=True, preload=True, ends=(STORE_FAILED, POWER_CUT))
def storm(round_):
    """Whatever processes, networks, syncs and clocks can do, at once."""
    for _ in range(16):
        storm_step(round_, *round_.pick(2))
        round_.sleep(0.05, 0.6)
        # Some of the nodes at least shall work.
        while len(round_.cluster.running()) < 3:
            round_.pick().spawn()
            round_.sleep(0.1, 0.2)


# What `make check` runs: together they must stay below three minutes.
DEFAULT = ["kill_one", "kill_two", "kill_all", "pause", "late_pause",
           "partition", "late_cut", "lossy",
           "full_disk", "failing_sync", "power_cut", "clock_jump",
           "corrupt_records", "emptied", "rolled_back", "hints_lost",
           "deletes", "lying_disks"]
PARTITIONS = ["isolate", "halves", "one_way", "bridge"]
