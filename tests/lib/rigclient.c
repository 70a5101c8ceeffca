#include "rigclient.h"

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

const Dyn__PutResult *
rigclient_put(struct corerig *rig, uint32_t node, struct rigclient_put put)
{
	Dyn__PutRequest request = DYN__PUT_REQUEST__INIT;
	Dyn__PutOp op = DYN__PUT_OP__INIT;
	Dyn__PutOp *ops = &op;
	ProtobufCBinaryData values[RIGCLIENT_VALUES_MAX];
	uint8_t id[16];
	const Dyn__PutReply *reply;

	choose_id(id, put.id);
	while (op.n_values < RIGCLIENT_VALUES_MAX &&
		   put.values[op.n_values] != NULL)
	{
		values[op.n_values] =
			dyn_bytes_of_slice(dyn_slice_of(put.values[op.n_values]));
		op.n_values++;
	}
	op.values = values;
	op.key = dyn_bytes_of_slice(dyn_slice_of(put.key ? put.key : "k"));
	op.request_id = (ProtobufCBinaryData){ sizeof(id), id };
	op.context = dyn_bytes_of_slice(put.context);
	op.mode = put.mode;
	op.retry = put.retry;
	request.bucket =
		dyn_bytes_of_slice(dyn_slice_of(put.bucket ? put.bucket : "cart"));
	request.w = put.w;
	request.n_ops = 1;
	request.ops = &ops;
	reply = corerig_ask(rig, node, DYN_MESSAGE_PUT, &request.base);
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

/* Why there is no answer of that type. */
static enum dyn_status
refusal(const struct corerig *rig, const void *reply)
{
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_ERROR)
		return DYN_STATUS_NOT_READY;
	return (enum dyn_status)((const Dyn__Error *) rig->reply)->status;
}

enum dyn_status
rigclient_get_status(struct corerig *rig, uint32_t node, const char *key,
					 uint32_t r)
{
	Dyn__GetRequest request = DYN__GET_REQUEST__INIT;
	ProtobufCBinaryData bytes = dyn_bytes_of_slice(dyn_slice_of(key));
	const Dyn__GetReply *reply;

	request.bucket = dyn_bytes_of_slice(dyn_slice_of("cart"));
	request.r = r;
	request.n_keys = 1;
	request.keys = &bytes;
	reply = corerig_ask(rig, node, DYN_MESSAGE_GET, &request.base);
	if (reply == NULL || rig->reply_type != DYN_MESSAGE_GET_REPLY)
		return refusal(rig, reply);
	return (enum dyn_status) reply->results[0]->status;
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
