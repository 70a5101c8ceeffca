/*
 * One request at a time, run to its answer: scenarios and the end of a run.
 */
#include "tests/sim/simclient_state.h"
#include "tests/sim/simview.h"
#include "tests/sim/whitebox.h"

#include <stdlib.h>
#include <string.h>

enum
{
	SYNC_MS = 3000
};

void
dyn_sim_result_free(struct dyn_sim_result *self)
{
	free(self->vids.items);
	self->vids = (struct dyn_vids){ 0 };
}

static void
await(struct dyn_world *world, struct dyn_simclient *self,
	  const struct dyn_attempt *attempt, struct dyn_sim_result *result)
{
	uint64_t until_ms = world->now_ms + SYNC_MS + 500;

	self->awaited = attempt->correlation;
	self->done = false;
	self->result = result;
	result->status = DYN_STATUS_TIMEOUT;
	while (!self->done && world->now_ms < until_ms)
		dyn_world_run_until(world, world->now_ms + 1);
	self->awaited = 0;
}

struct dyn_sim_result
dyn_sim_do_put(struct dyn_world *world, uint32_t node,
			   const struct dyn_sim_put *put)
{
	struct dyn_simclient *self = dyn_simclient_of(world, DYN_SIM_OPERATOR);
	struct dyn_sim_result result = { 0 };
	struct dyn_slice context = { 0 };

	if (put->read != NULL)
		context = put->read->context;
	result.op =
		put->retry
			? put->retry_op
			: dyn_sim_new_write(world, self->index, put->key, put->mode,
								put->value_count, context,
								put->read ? &put->read->vids : NULL, put->w);
	await(world, self,
		  dyn_sim_send_put(world, self->index, &self->attempts, node,
						   &result.op, 1, SYNC_MS, NULL),
		  &result);
	dyn_sim_write_rest(world, result.op);
	return result;
}

struct dyn_sim_result
dyn_sim_do_get(struct dyn_world *world, uint32_t node, uint32_t key, uint8_t r)
{
	struct dyn_simclient *self = dyn_simclient_of(world, DYN_SIM_OPERATOR);
	struct dyn_sim_result result = { 0 };
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes;
	char text[32];

	request.bucket = dyn_bytes_of_slice(dyn_slice_of(DYN_SIM_BUCKET));
	request.r = r;
	request.n_keys = 1;
	request.keys = &bytes;
	bytes = dyn_bytes_of_slice(dyn_sim_key(key, text));
	result.op =
		dyn_history_read(&world->history, key, self->index,
						 r ? r : (uint8_t) world->swarm.r, true, world->now_ms);
	await(world, self,
		  dyn_sim_send(world, self->index, &self->attempts, node,
					   DYN_MESSAGE_GET, &request.base, SYNC_MS),
		  &result);
	return result;
}

static void
take_get(struct dyn_world *world, struct dyn_simclient *self,
		 const Dyn__GetReply *reply)
{
	struct dyn_sim_result *result = self->result;
	uint32_t op = result->op;
	uint32_t key = world->history.ops[op].key;
	const struct dyn_history_op *read;
	struct dyn_object object;
	struct dyn_row *rows;

	if (reply->n_results != 1)
		return;
	result->status = (enum dyn_status) reply->results[0]->status;
	if (result->status == DYN_STATUS_NOT_FOUND)
		dyn_history_end(&world->history, op, DYN_HISTORY_OK, world->now_ms);
	if (result->status != DYN_STATUS_OK ||
		!dyn_simread_note(world, self, key, op,
						  dyn_slice_of_bytes(reply->results[0]->object)))
		return;
	dyn_history_end(&world->history, op, DYN_HISTORY_OK, world->now_ms);
	read = &world->history.ops[op];
	for (uint32_t i = 0; i < read->seen.count; i++)
		dyn_vids_add(&result->vids, read->seen.items[i]);
	if (dyn_object_decode(dyn_slice_of_bytes(reply->results[0]->object),
						  &self->result_arena.allocator,
						  &object) == DYN_STATUS_OK &&
		dyn_clock_encode(&object.context, &self->result_arena.allocator,
						 &result->context) == DYN_STATUS_OK)
	{
		dyn_object_view(&object, dyn_simview_ms(world, self));
		(void) dyn_object_rows(&object, &self->result_arena.allocator, &rows,
							   &result->row_count);
	}
}

void
dyn_simsync_take(struct dyn_world *world, struct dyn_simclient *self,
				 const struct dyn_envelope *env, const ProtobufCMessage *body)
{
	const struct dyn_attempt *attempt =
		dyn_attempts_find(&self->attempts, env->correlation);
	enum dyn_status status = DYN_STATUS_INTERNAL;

	if (env->type == DYN_MESSAGE_PUT_REPLY &&
		((const Dyn__PutReply *) body)->n_results == 1)
		status =
			(enum dyn_status)((const Dyn__PutReply *) body)->results[0]->status;
	else if (env->type == DYN_MESSAGE_ERROR)
		status = (enum dyn_status)((const Dyn__Error *) body)->status;
	if (attempt->type == DYN_MESSAGE_PUT)
		dyn_sim_write_answer(world, attempt->writes[0], status);
	if (env->correlation != self->awaited)
		return;
	self->result->status = status;
	self->done = true;
	if (env->type == DYN_MESSAGE_GET_REPLY)
		take_get(world, self, (const Dyn__GetReply *) body);
}
