/*-------------------------------------------------------------------------
 *
 * counters.h
 *      What a node counts about itself, as STATUS and dynctl show it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_CORE_COUNTERS_H
#define DYN_CORE_COUNTERS_H

/* X(name) */
#define DYN_COUNTER_MAP(X)                                                     \
	X(frames_received) /* whatever they were */                                \
	X(frames_bad)      /* dropped: no frame of ours, or damaged */             \
	X(frames_refused)  /* answered or dropped: not for this socket */          \
	X(frames_other_cluster)                                                    \
	X(put_ops) /* coordinated here */                                          \
	X(put_ops_forwarded)                                                       \
	X(put_ops_unknown) /* answered UNKNOWN */                                  \
	X(puts_mended)     /* all owners read first: the own record was damaged */ \
	X(put_ops_repeated) /* known request ids: no new version */                \
	X(puts_late)        /* nobody waited for them any more: not done */        \
	X(retries_refused) /* the key knows of too many others */                  \
	X(get_ops)          /* coordinated here */                                 \
	X(get_ops_diverged) /* owners held different objects */                    \
	X(read_ops)         /* this replica's own view */                          \
	X(replicate_ops)                                                           \
	X(scan_pages)                                                              \
	X(scan_hashes) /* asked for alone */                                       \
	X(bucket_changes)                                                          \
	X(lww_discarded) /* versions lost: the writer had not read them */         \
	X(lww_unseeded)  /* puts whose context could not be looked up */           \
	X(stamps_ahead)  /* ... that had to exceed a stamp far in the future */    \
	X(repairs_sent)                                                            \
	X(repairs_applied)                                                         \
	X(hedges)            /* another owner asked: the first was slow */         \
	X(quorums_failed)    /* fewer owners than R or W can be reached */         \
	X(timeouts)          /* operations whose time ran out */                   \
	X(overloads)         /* requests refused: bounds reached */                \
	X(objects_too_large) /* merges left undone: no frame would hold them */    \
	X(frames_too_large)  /* not sent */                                        \
	X(commits)                                                                 \
	X(commits_aborted)                                                         \
	X(records_committed)                                                       \
	X(records_unreadable) /* loads that found a damaged record */              \
	X(siblings_refused)                                                        \
	X(siblings_many)   /* puts that left more than DYN_SIBLINGS_WARN */        \
	X(epochs)          /* fresh actors made */                                 \
	X(amnesia)         /* somebody knew more of my writes than I */            \
	X(replies_late)    /* nobody waited any more */                            \
	X(replies_bad)     /* from the wrong peer, or malformed */                 \
	X(peers_lost)      /* disconnected or silent */                            \
	X(peers_suspected) /* for requests that nobody answered */                 \
	X(lags)            /* this node stood still for a while */                 \
	X(clocks_apart)    /* times that a peer's went off by more than 1 s */     \
	X(scrub_records)   /* read and checked */                                  \
	X(scrub_damaged)   /* of them, and sent to be mended */                    \
	X(scrub_misnamed)  /* of them, under damaged keys (misnamed.h) */          \
	X(scrub_suspects)  /* cells that others could not read for damage */       \
	X(scrub_failures)                                                          \
	X(scrub_passes)    /* through everything */                                \
	X(hints_written)   /* objects taken for a slot whose owner is away */      \
	X(hints_refused)   /* no room for more */                                  \
	X(hints_delivered) /* confirmed by the owner */                            \
	X(hint_slices)     /* pages of them sent */                                \
	X(credit_oversize) /* objects larger than what was granted, sent alone */  \
	X(hints_damaged)   /* unreadable, and dropped */                           \
	X(put_fallbacks)   /* a fallback was asked to stand in for a slot */       \
	X(read_fallbacks)                                                          \
	X(put_ops_stood_in) /* coordinated here, as no owner was reachable */      \
	X(exchanges)        /* rounds of anti-entropy begun */                     \
	X(exchanges_given_up)                                                      \
	X(exchange_answers)     /* to others' rounds */                            \
	X(exchange_roots_equal) /* partitions found equal */                       \
	X(exchange_roots_differing)                                                \
	X(exchange_cells_differing)  /* at the second look */                      \
	X(exchange_leaves_differing) /* at the second look */                      \
	X(exchange_keys_differing)   /* as listed */                               \
	X(exchange_keys_repaired)                                                  \
	X(exchange_keys_equal)   /* false alarms: equal when read again */         \
	X(exchange_keys_moved)   /* written meanwhile, and left alone */           \
	X(exchange_bytes)        /* sent to compare */                             \
	X(exchange_object_bytes) /* fetched and sent to repair */                  \
	X(rollbacks) /* others knew a later life of this node's store */           \
	X(buildings) /* partitions that had to be built up again */                \
	X(buildings_done)                                                          \
	X(reads_building) /* that such a partition did not answer */               \
	X(fill_pages)     /* of other owners' records, taken over */               \
	X(fill_objects)                                                            \
	X(fill_bytes)                                                              \
	X(fill_damaged)  /* records that the other owner could not read */         \
	X(fill_failures) /* pages that could not be taken, and are asked again */  \
	X(copy_pages)    /* told to owners that fill up */                         \
	X(discarded)     /* records removed, as they may be older than deletes */  \
	X(fenced)        /* objects refused: older than what was removed */        \
	X(hints_fenced)  /* hints dropped: delivered in a forgotten life */        \
	X(fence_behind)  /* others knew of removals that the store forgot */       \
	X(reap_rounds)   /* begun here, to ask other owners */                     \
	X(reap_blocked)  /* ... that a member said no to, or could not answer */   \
	X(reap_refused)  /* keys that were not the same at all owners */           \
	X(reaped)        /* records of deleted and expired keys, removed here */   \
	X(pruned)        /* contexts made shorter here */                          \
	X(ring_changes)

enum dyn_counter
{
#define DYN_COUNTER_ENUM(name) DYN_COUNT_##name,
	DYN_COUNTER_MAP(DYN_COUNTER_ENUM)
#undef DYN_COUNTER_ENUM
		DYN_COUNTER_COUNT
};

#endif
