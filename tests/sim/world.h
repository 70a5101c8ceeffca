/*-------------------------------------------------------------------------
 *
 * world.h
 *      One simulated run: nodes, network, disks, clients, time.
 *
 * Everything that happens is an event in one queue, handled one at a time in
 * one thread; all chance comes from streams of the seed.  So a run is a
 * function of its seed (or of its scenario), and `trace` is its fingerprint.
 *
 * The parts know each other through this header: simnet.c moves frames,
 * simnode.c runs the cores, simclient.c makes load, whitebox.c looks into
 * disks and stores, nemesis.c makes trouble, finish.c heals and judges,
 * world.c turns the wheel.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_WORLD_H
#define DYN_TESTS_WORLD_H

#include "core/node.h"
#include "model/message.h"
#include "tests/sim/checker.h"
#include "tests/sim/faults.h"
#include "tests/sim/history.h"
#include "tests/sim/simqueue.h"
#include "tests/sim/simrandom.h"
#include "tests/sim/simstore.h"
#include "tests/sim/swarm.h"

enum
{
	DYN_SIM_MEMBERS_MAX = 9,
	DYN_SIM_CLONE = DYN_SIM_MEMBERS_MAX, /* the node of a copied store */
	DYN_SIM_NODES_MAX,
	DYN_SIM_CLIENTS_MAX = 10,
	DYN_SIM_NEMESES_MAX = 16,
	DYN_SIM_KEYS_MAX = 8192,
	DYN_SIM_VALUE_MAX = 8192,
	DYN_SIM_ENDPOINTS_MAX = DYN_SIM_NODES_MAX + DYN_SIM_CLIENTS_MAX
};

enum dyn_world_event
{
	DYN_WORLD_FRAME,     /* data: a frame arrives */
	DYN_WORLD_WAKE,      /* who: node, whose deadline came */
	DYN_WORLD_LINK_TRY,  /* what: link; a connection is attempted */
	DYN_WORLD_LINK_LOST, /* what: link; its owner notices */
	DYN_WORLD_START,     /* who: node */
	DYN_WORLD_RESUME,    /* who: node, after a pause */
	DYN_WORLD_CLIENT,    /* who: client, whose time has come */
	DYN_WORLD_NEMESIS,   /* who: which kind of trouble */
	DYN_WORLD_CRASH,     /* who: node; what: how long it stays down */
	DYN_WORLD_SHOT,      /* who: node; what: its life when it was aimed at */
	DYN_WORLD_FLAP,      /* see dyn_nemesis_flap_again */
	DYN_WORLD_MEND,      /* who, what: see dyn_simnet_mend */
	DYN_WORLD_WOKEN,     /* who: node, after a pause: its socket */
	DYN_WORLD_RETRANSMIT /* what: see dyn_simnet_retransmit */
};

struct dyn_whitebox;
struct dyn_simnet;
struct dyn_simclient;
struct dyn_simwrite;

struct dyn_simnode
{
	char address[32];
	struct dyn_simdisk *disk;
	struct dyn_store *store; /* NULL while the node is down */
	struct dyn_node *node;
	struct dyn_effects effects;
	void *completion; /* of the store's callback */
	uint32_t life;    /* counts its starts */
	uint64_t wake_at_ms;
	uint64_t wake_serial; /* of the WAKE that counts */
	uint64_t paused_until_ms;
	uint64_t full_until_ms;
	uint64_t started_at_ms; /* of the world's time */
	uint64_t clock_base_ms; /* what its clock showed then */
	uint32_t clock_ppm;     /* its speed */
	uint64_t late_ms;       /* after a pause, its timers */
	int64_t wall_offset_ms;
	struct dyn_simrandom random;  /* of its starts */
	struct dyn_simdisk *snapshot; /* an older copy of its disk */
	uint32_t twin;                /* DYN_SIM_CLONE: whose disk it has */
	uint64_t lost_at_ms;          /* when its disk lost something; 0 = never */
	struct dyn_node_id id;        /* whose place a new disk takes; 0 = none */
	uint64_t damaged_ms[DYN_SIM_KEYS_MAX]; /* when each record was */
	uint64_t busy_ms;                      /* when it made so many steps */
	uint32_t busy_count;
	uint8_t snipe;        /* enum dyn_snipe: crash then */
	uint32_t snipe_count; /* ... at so many of these from now */
	uint64_t snipe_delay_ms;
	uint8_t halt; /* enum dyn_halt: stand still then */
	uint32_t halt_count;
	uint64_t halt_ms;
	bool hints_lost; /* behind its back */
	bool dying;      /* stop it when the step is over */
};

struct dyn_world
{
	uint64_t seed;
	struct dyn_swarm swarm;
	uint64_t now_ms;
	uint64_t wall_base_ms;
	struct dyn_simqueue queue;
	struct dyn_simrandom random; /* of the end of the run */
	struct dyn_simrandom nemeses[DYN_SIM_NEMESES_MAX]; /* by kind */
	struct dyn_simnode nodes[DYN_SIM_NODES_MAX];
	struct dyn_simnet *net;
	struct dyn_simclient *clients[DYN_SIM_CLIENTS_MAX];
	struct dyn_whitebox *whitebox;
	struct dyn_history history;
	struct dyn_simwrite *writes; /* by operation of the history */
	uint32_t write_capacity;

	bool calm;    /* no new faults: the end of the run */
	bool verbose; /* print each event */
	uint64_t trace;
	uint64_t step_count;
	uint64_t faults[DYN_FAULT_COUNT];
	uint64_t strike_count; /* of the nemesis */
	uint64_t action_count; /* of all clients */
	uint64_t converged_ms; /* how long it took after the end of all trouble */
	uint64_t crash_count;
	uint64_t *crashes_ms; /* when nodes went down */
	uint64_t violation_count;
	char first_violation[320];
	struct dyn_checker_counts counts;
};

struct dyn_world *dyn_world_new(uint64_t seed, const struct dyn_swarm *swarm,
								bool verbose);
void dyn_world_free(struct dyn_world **self);

/* An empty disk of the kind that this run has. */
struct dyn_simdisk *dyn_world_new_disk(const struct dyn_world *self);

/* Handle events until this time. */
void dyn_world_run_until(struct dyn_world *self, uint64_t until_ms);

/* A whole seed: load and faults, then heal, converge, check. */
void dyn_world_run(struct dyn_world *self);

/* A store that was full takes writes again, if its time has come. */
void dyn_world_end_full(struct dyn_world *self, uint32_t node);

/* ---- finish.c: the end of a run, for scenarios too ---- */
void dyn_world_finish(struct dyn_world *self);

void dyn_world_violation(struct dyn_world *self, const char *rule,
						 const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void dyn_world_say(const struct dyn_world *self, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void dyn_world_fault(struct dyn_world *self, enum dyn_fault fault);
/* The true time of day. */
uint64_t dyn_world_wall_ms(const struct dyn_world *self);
void dyn_world_mix(struct dyn_world *self, uint64_t value);
void dyn_world_push(struct dyn_world *self, uint64_t at_ms,
					enum dyn_world_event kind, uint32_t who, uint64_t what,
					void *data);

/* ---- simnode.c ---- */
void dyn_simnode_init(struct dyn_world *world, uint32_t index);
void dyn_simnode_destroy(struct dyn_world *world, uint32_t index);
bool dyn_simnode_is_up(const struct dyn_world *world, uint32_t index);
void dyn_simnode_start(struct dyn_world *world, uint32_t index);
/* Power off; it starts again after down_ms (UINT64_MAX = not by itself). */
void dyn_simnode_crash(struct dyn_world *world, uint32_t index,
					   uint64_t down_ms);
/* Something outside has changed: look again when it must wake. */
void dyn_simnode_plan(struct dyn_world *world, uint32_t index);
void dyn_simnode_wake(struct dyn_world *world, uint32_t index, uint64_t serial);
void dyn_simnode_take(struct dyn_world *world, uint32_t index,
					  struct dyn_event *event);
/* Its own clock at this moment. */
uint64_t dyn_simnode_clock(const struct dyn_world *world, uint32_t index);

#endif
