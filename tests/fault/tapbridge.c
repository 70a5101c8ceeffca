/*
 * tapbridge: a network of its own for each node, and a switch between them
 * that loses, delays, doubles and cuts as it is told.
 *
 *     tapbridge COUNT NET      NET is 198.18.7: node I is at NET.I, we at NET.100
 *
 * Needs root and /dev/net/tun, nothing else: the namespaces are made here and
 * vanish with this process.  It prints "ready PID FD1 .. FDn": node I enters
 * with `nsenter --net=/proc/PID/fd/FDi`.  Port 0 is this machine.
 *
 * Commands on standard input, one a line; ports are 0 to COUNT:
 *
 *     cut A B         nothing goes from A to B (not: from B to A)
 *     lossy L D J P   of a million frames L are lost and P doubled; each is
 *                     held for D to D + J microseconds (so they overtake)
 *     heal            all as at the beginning
 *     count           prints "counts forwarded lost doubled cut"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "tests/sim/simrandom.h"

enum
{
	PORTS_MAX = 17,
	FRAME_SIZE_MAX = 2048,
	HELD_MAX = 8192, /* frames on their way; beyond, they are lost */
	OWN_HOST = 100
};

struct port
{
	int tap;
	int namespace;
	uint8_t hardware[6];
};

struct held
{
	uint64_t due_us;
	int to;
	size_t size;
	uint8_t frame[FRAME_SIZE_MAX];
};

static struct port ports[PORTS_MAX];
static int port_count;
static bool cuts[PORTS_MAX][PORTS_MAX];
static uint32_t loss;
static uint32_t doubling;
static uint64_t delay_us;
static uint64_t jitter_us;
static struct held *heap[HELD_MAX]; /* the earliest first */
static int held_count;
static uint64_t forwarded_count;
static uint64_t lost_count;
static uint64_t doubled_count;
static uint64_t cut_count;
static struct dyn_simrandom randomness;

static void
die(const char *what)
{
	fprintf(stderr, "tapbridge: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* -------------------------------------------------------------------- ports */

static void
bring_up(const char *device, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *) &request.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	in->sin_family = AF_INET;
	if (address != NULL)
	{
		if (inet_pton(AF_INET, address, &in->sin_addr) != 1 ||
			ioctl(fd, SIOCSIFADDR, &request) != 0)
			die(address);
		inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
		if (ioctl(fd, SIOCSIFNETMASK, &request) != 0)
			die("netmask");
	}
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		die(device);
	close(fd);
}

/* In the network namespace that we are in. */
static void
open_port(struct port *port, const char *address)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	port->tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "dynfault%%d");
	if (port->tap < 0 || ioctl(port->tap, TUNSETIFF, &request) != 0)
		die("/dev/net/tun");
	bring_up(request.ifr_name, address);
	port->namespace = open("/proc/self/ns/net", O_RDONLY);
	if (port->namespace < 0)
		die("/proc/self/ns/net");
}

static void
open_ports(const char *net)
{
	char address[64];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	snprintf(address, sizeof(address), "%s.%d", net, OWN_HOST);
	open_port(&ports[0], address);
	for (int i = 1; i <= port_count; i++)
	{
		if (unshare(CLONE_NEWNET) != 0)
			die("a network namespace");
		bring_up("lo", NULL);
		snprintf(address, sizeof(address), "%s.%d", net, i);
		open_port(&ports[i], address);
	}
	if (setns(home, CLONE_NEWNET) != 0)
		die("back to the first namespace");
	printf("ready %ld", (long) getpid());
	for (int i = 1; i <= port_count; i++)
		printf(" %d", ports[i].namespace);
	printf("\n");
	fflush(stdout);
}

/* ------------------------------------------------------------------- frames */

static void
deliver(int to, const uint8_t *frame, size_t size)
{
	if (write(ports[to].tap, frame, size) == (ssize_t) size)
		forwarded_count++;
	else
		lost_count++;
}

static void
swap(int a, int b)
{
	struct held *other = heap[a];

	heap[a] = heap[b];
	heap[b] = other;
}

static void
hold(int to, const uint8_t *frame, size_t size)
{
	struct held *held;
	int at = held_count;

	if (held_count == HELD_MAX || (held = malloc(sizeof(*held))) == NULL)
	{
		lost_count++;
		return;
	}
	held->due_us = dyn_clock_us(CLOCK_MONOTONIC) + delay_us +
				   dyn_simrandom_below(&randomness, jitter_us + 1);
	held->to = to;
	held->size = size;
	memcpy(held->frame, frame, size);
	heap[held_count++] = held;
	for (; at > 0 && heap[(at - 1) / 2]->due_us > heap[at]->due_us;
		 at = (at - 1) / 2)
		swap(at, (at - 1) / 2);
}

static void
release_first(void)
{
	struct held *held = heap[0];
	int at = 0;

	heap[0] = heap[--held_count];
	for (;;)
	{
		int least = at;

		for (int child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < held_count && heap[child]->due_us < heap[least]->due_us)
				least = child;
		if (least == at)
			break;
		swap(at, least);
		at = least;
	}
	deliver(held->to, held->frame, held->size);
	free(held);
}

static void
send_to(int from, int to, const uint8_t *frame, size_t size)
{
	if (cuts[from][to])
	{
		cut_count++;
		return;
	}
	if (dyn_simrandom_chance(&randomness, loss))
	{
		lost_count++;
		return;
	}
	for (int times = dyn_simrandom_chance(&randomness, doubling) ? 2 : 1;
		 times > 0; times--)
	{
		doubled_count += times == 2;
		if (delay_us + jitter_us > 0)
			hold(to, frame, size);
		else
			deliver(to, frame, size);
	}
}

/* A switch: who has an address is learnt from what he sends. */
static void
forward(int from)
{
	uint8_t frame[FRAME_SIZE_MAX];
	ssize_t size = read(ports[from].tap, frame, sizeof(frame));

	if (size < 14)
		return;
	memcpy(ports[from].hardware, frame + 6, 6);
	for (int to = 0; to <= port_count; to++)
		if (to != from && memcmp(ports[to].hardware, frame, 6) == 0)
		{
			send_to(from, to, frame, (size_t) size);
			return;
		}
	for (int to = 0; to <= port_count; to++)
		if (to != from)
			send_to(from, to, frame, (size_t) size);
}

/* ----------------------------------------------------------------- commands */

static void
obey(char *line)
{
	unsigned a;
	unsigned b;
	unsigned c;
	unsigned d;

	if (sscanf(line, "cut %u %u", &a, &b) == 2 && a <= (unsigned) port_count &&
		b <= (unsigned) port_count)
		cuts[a][b] = true;
	else if (sscanf(line, "lossy %u %u %u %u", &a, &b, &c, &d) == 4)
	{
		loss = a;
		delay_us = b;
		jitter_us = c;
		doubling = d;
	}
	else if (strncmp(line, "heal", 4) == 0)
	{
		memset(cuts, 0, sizeof(cuts));
		loss = doubling = 0;
		delay_us = jitter_us = 0;
	}
	else if (strncmp(line, "count", 5) != 0)
	{
		fprintf(stderr, "tapbridge: not understood: %s\n", line);
		return;
	}
	printf("counts %llu %llu %llu %llu\n", (unsigned long long) forwarded_count,
		   (unsigned long long) lost_count, (unsigned long long) doubled_count,
		   (unsigned long long) cut_count);
	fflush(stdout);
}

static void
take_commands(void)
{
	static char text[4096];
	static size_t size;
	ssize_t got = read(STDIN_FILENO, text + size, sizeof(text) - 1 - size);
	char *end;

	if (got <= 0)
		exit(0);
	size += (size_t) got;
	text[size] = 0;
	while ((end = strchr(text, '\n')) != NULL)
	{
		*end = 0;
		obey(text);
		size -= (size_t) (end + 1 - text);
		memmove(text, end + 1, size + 1);
	}
}

static int
wait_ms(void)
{
	uint64_t now = dyn_clock_us(CLOCK_MONOTONIC);

	if (held_count == 0)
		return -1;
	return heap[0]->due_us > now ? (int) ((heap[0]->due_us - now + 999) / 1000)
								 : 0;
}

int
main(int argc, char **argv)
{
	struct pollfd items[PORTS_MAX + 1] = { { STDIN_FILENO, POLLIN, 0 } };

	port_count = argc == 3 ? atoi(argv[1]) : 0;
	if (port_count < 1 || port_count >= PORTS_MAX)
	{
		fprintf(stderr, "usage: tapbridge COUNT NET\n");
		return 2;
	}
	randomness = dyn_simrandom_stream(dyn_clock_us(CLOCK_MONOTONIC), 1);
	open_ports(argv[2]);
	for (int i = 0; i <= port_count; i++)
		items[i + 1] = (struct pollfd){ ports[i].tap, POLLIN, 0 };
	for (;;)
	{
		if (poll(items, (nfds_t) port_count + 2, wait_ms()) < 0)
			die("poll");
		if (items[0].revents != 0)
			take_commands();
		for (int i = 0; i <= port_count; i++)
			if (items[i + 1].revents & POLLIN)
				forward(i);
		while (held_count > 0 &&
			   heap[0]->due_us <= dyn_clock_us(CLOCK_MONOTONIC))
			release_first();
	}
}
