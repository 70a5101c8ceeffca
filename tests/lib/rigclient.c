/*
 * PUT, GET and READ as messages to the cores of a corerig, by its hands
 * (righand.c).
 */
#include "rigclient.h"

#include "righand.h"

#include <string.h>

/* Those that tests choose end with zeroes. */
static void
choose_id(uint8_t bytes[16], uint8_t chosen)
{
	static uint32_t count;

	memset(bytes, 0, 16);
	bytes[0] = chosen;
	if (chosen != 0)
		return;
	count++;
	memcpy(bytes, &count, sizeof(count));
	bytes[15] = 1;
}

/* A request of one put, whose parts point to each other. */
struct message
{
	Dyn__PutRequest request;
	Dyn__PutOp op;
	Dyn__PutOp *ops;
	ProtobufCBinaryData values[RIGCLIENT_VALUES_MAX];
	uint8_t id[16];
};

static void
make(struct message *self, const struct rigclient_put *put)
{
	dyn__put_request__init(&self->request);
	dyn__put_op__init(&self->op);
	choose_id(self->id, put->id);
	while (self->op.n_values < RIGCLIENT_VALUES_MAX &&
		   put->values[self->op.n_values] != NULL)
	{
		self->values[self->op.n_values] =
			dyn_bytes_of_slice(dyn_slice_of(put->values[self->op.n_values]));
		self->op.n_values++;
	}
	self->op.values = self->values;
	self->op.key = dyn_bytes_of_slice(dyn_slice_of(put->key ? put->key : "k"));
	self->op.request_id = (ProtobufCBinaryData){ sizeof(self->id), self->id };
	self->op.context = dyn_bytes_of_slice(put->context);
	self->op.mode = put->mode;
	self->op.retry = put->retry;
	self->op.retried = put->retried;
	self->request.bucket =
		dyn_bytes_of_slice(dyn_slice_of(put->bucket ? put->bucket : "cart"));
	self->request.w = put->w;
	self->request.process = put->process;
	self->request.act_until_ms = put->act_until_ms;
	self->request.n_ops = 1;
	self->ops = &self->op;
	self->request.ops = &self->ops;
}

void
rigclient_send(struct corerig *rig, uint32_t node, struct rigclient_put put)
{
	struct message message;

	make(&message, &put);
	corerig_send(rig, node, DYN_MESSAGE_PUT, &message.request.base);
}

const Dyn__PutResult *
rigclient_put(struct corerig *rig, uint32_t node, struct rigclient_put put)
{
	struct message message;
	const Dyn__PutReply *reply;

	make(&message, &put);
	reply = corerig_ask(rig, node, DYN_MESSAGE_PUT, &message.request.base);
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_PUT_REPLY)
		return NULL;
	return reply->results[0];
}

enum dyn_status
rigclient_put_status(struct corerig *rig, uint32_t node,
					 struct rigclient_put put)
{
	const Dyn__PutResult *result = rigclient_put(rig, node, put);

	return result != NULL ? (enum dyn_status) result->status
						  : DYN_STATUS_NOT_READY;
}

enum dyn_status
rigclient_write(struct corerig *rig, uint32_t node, const char *key, uint32_t w)
{
	return rigclient_put_status(
		rig, node,
		(struct rigclient_put){ .key = key, .values = { "v" }, .w = w });
}

/* Why there is no answer of that type. */
static enum dyn_status
refusal(const struct corerig *rig, const void *reply)
{
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_ERROR)
		return DYN_STATUS_NOT_READY;
	return (enum dyn_status)((const Dyn__Error *) rig->reply)->status;
}

void
rigclient_send_get(struct corerig *rig, uint32_t node, const char *key,
				   uint32_t r)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(dyn_slice_of(key));

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.r = r;
	request.n_keys = 1;
	request.keys = &bytes;
	corerig_send(rig, node, DYN_MESSAGE_GET, &request.base);
}

const Dyn__GetResult *
rigclient_get(struct corerig *rig, uint32_t node, const char *key, uint32_t r)
{
	const Dyn__GetReply *reply;

	rigclient_send_get(rig, node, key, r);
	reply = corerig_await(rig);
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_GET_REPLY)
		return NULL;
	return reply->results[0];
}

enum dyn_status
rigclient_get_status(struct corerig *rig, uint32_t node, const char *key,
					 uint32_t r)
{
	const Dyn__GetResult *result = rigclient_get(rig, node, key, r);

	return result != NULL ? (enum dyn_status) result->status
						  : refusal(rig, rig->reply);
}

const Dyn__ReadResult *
rigclient_read(struct corerig *rig, uint32_t node, const char *key,
			   const struct dyn_request_id *id, enum dyn_status *status)
{
	Dyn__ReadRequest request = DYN__READ_REQUEST__INIT;
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(dyn_slice_of(key));
	ProtobufCBinaryData id_bytes;
	const Dyn__ReadReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.n_keys = 1;
	request.keys = &bytes;
	if (id != NULL)
	{
		id_bytes = (ProtobufCBinaryData){ sizeof(id->bytes),
										  (uint8_t *) (uintptr_t) id->bytes };
		request.n_request_ids = 1;
		request.request_ids = &id_bytes;
	}
	reply = corerig_ask(rig, node, DYN_MESSAGE_READ, &request.base);
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_READ_REPLY)
	{
		*status = refusal(rig, reply);
		return NULL;
	}
	*status = (enum dyn_status) reply->results[0]->status;
	return reply->results[0];
}

enum dyn_status
rigclient_read_status(struct corerig *rig, uint32_t node, const char *key)
{
	enum dyn_status status;

	rigclient_read(rig, node, key, NULL, &status);
	return status;
}
