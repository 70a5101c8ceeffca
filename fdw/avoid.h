/*-------------------------------------------------------------------------
 *
 * avoid.h
 *		Nodes that come last, because asking them has cost time.
 *
 * A node that was silent comes last for a while, or until something comes
 * from it.  For a read that is soon said, and each backend says it for itself.
 * Writes that look at what is there must meet at one coordinator, so for them
 * it takes a node that is mute: that has left a write or HELLO without an
 * answer until it was given up.
 *
 * An owner whose store lacks records of a partition answers its READ and SCAN
 * with BUILDING (dynnode/core/building.h), which counts for nothing: another
 * owner has to be asked, in another round trip.  So it comes last for reads of
 * that partition, in this backend.  If one partition is building, others of
 * the node probably are: with the first such answer the node is asked for all
 * of them (STATUS), and again from time to time as long as any is.  That is
 * the only thing it is asked meanwhile, beside what a statement asks of
 * others; nobody waits for the answer, and when it says that the partition is
 * filled, the node is an owner like any other.
 *
 * A preference only: nobody is left out because of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYNFDW_AVOID_H
#define DYNFDW_AVOID_H

#include "connection.h"

extern void dynfdw_node_silent(DynamoCluster *cluster, int node);
extern void dynfdw_node_mute(DynamoCluster *cluster, int node);
extern bool dynfdw_node_is_mute(DynamoCluster *cluster, int node);
extern bool dynfdw_node_suspect(DynamoCluster *cluster, int node);

/* It has answered a read of the partition with BUILDING. */
extern void dynfdw_node_building(DynamoCluster *cluster, int node,
								 uint16 partition);

/* Shall others be asked first for what the partition holds? */
extern bool dynfdw_reads_elsewhere(DynamoCluster *cluster, int node,
								   uint16 partition);

/* Before owners are chosen: take over what nodes have told of their
 * partitions, and ask those who may be filled by now.  Waits for nothing. */
extern void dynfdw_ask_building(DynamoCluster *cluster);

#endif
