/*-------------------------------------------------------------------------
 *
 * faults.h
 *      The kinds of trouble, each counted: what was never done proves nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_FAULTS_H
#define DYN_TESTS_FAULTS_H

#define DYN_FAULT_MAP(X)                                                       \
	/* frames */                                                               \
	X(frame_dropped)                                                           \
	X(frame_doubled)                                                           \
	X(frame_damaged)                                                           \
	X(frame_delayed) /* far beyond the usual */                                \
	X(frame_blocked) /* by a partition */                                      \
	X(frame_clogged)                                                           \
	X(frame_retransmitted) /* by a kernel, when the cut was over */            \
	X(frame_in_socket)     /* of a stopped process */                          \
	X(frame_overflowed)    /* ... which was full */                            \
	X(frame_newer)         /* with fields and flags of a later version */      \
	X(frame_unknown)       /* of a type or version that does not exist yet */  \
	/* links */                                                                \
	X(link_clogged)                                                            \
	X(link_broken)                                                             \
	X(link_flapping)                                                           \
	X(partition_of_one)                                                        \
	X(partition_in_halves)                                                     \
	X(partition_of_links) /* each link by a coin */                            \
	X(partition_bridged)                                                       \
	X(partition_ring)                                                          \
	X(partition_of_one_link)                                                   \
	X(partition_of_clients)                                                    \
	X(partition_one_way)  /* of any shape */                                   \
	X(partition_of_plane) /* data or control frames only */                    \
	/* processes */                                                            \
	X(crash)                                                                   \
	X(crash_of_all)                                                            \
	X(crash_at_store) /* after a STORE left the core, before its commit */     \
	X(crash_at_send)  /* with that step's REPLICATE delivered, or not */       \
	X(crash_at_reply)                                                          \
	X(restart_storm)                                                           \
	X(pause)                                                                   \
	X(halt_with_put)    /* a pause, with a PUT in the socket */                \
	X(halt_at_load)     /* ... with a PUT's record on its way from disk */     \
	X(halt_at_store)    /* ... with its commit under way */                    \
	X(cut_off_with_put) /* from the other nodes, not from clients */           \
	X(clock_rate)       /* starts with a clock that is 10 % off or more */     \
	X(wall_jump)                                                               \
	X(wall_jump_back)                                                          \
	/* stores */                                                               \
	X(store_full)                                                              \
	X(store_failed) /* a sync failed: the node stops */                        \
	X(commit_aborted)                                                          \
	X(commit_refused) /* full */                                               \
	X(commit_slow)                                                             \
	X(read_failed)                                                             \
	X(record_damaged)                                                          \
	X(record_met_damaged) /* and a load found it */                            \
	X(store_emptied)                                                           \
	X(store_rolled_back)                                                       \
	X(store_cloned)                                                            \
	X(twin_refused)                                                            \
	X(record_reaped) /* no fault, but what faults must not prevent */          \
	X(context_pruned)                                                          \
	/* clients */                                                              \
	X(write_blind)                                                             \
	X(write_stale)                                                             \
	X(write_oversize)                                                          \
	X(retry)                                                                   \
	X(retry_late)                                                              \
	X(client_hung_up)                                                          \
	X(request_cancelled)                                                       \
	X(client_severed)   /* its connection broke */                             \
	X(attempt_given_up) /* by a client that acts as the extension */           \
	X(attempt_marked)                                                          \
	X(round_begun)  /* all owners were tried: again */                         \
	X(attempt_late) /* refused: its time was up */                             \
	X(handed_on)    /* to a node that owns nothing of the key */               \
	X(followed)     /* a client replaces what it has just written */

enum dyn_fault
{
#define DYN_FAULT_ENUM(name) DYN_FAULT_##name,
	DYN_FAULT_MAP(DYN_FAULT_ENUM)
#undef DYN_FAULT_ENUM
		DYN_FAULT_COUNT
};

const char *dyn_fault_name(enum dyn_fault fault);

#endif
