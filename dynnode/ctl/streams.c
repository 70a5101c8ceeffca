#include "ctl/streams.h"

#include <stdio.h>
#include <string.h>

void
ctl_streams_init(struct ctl_streams *self, struct ctl *ctl)
{
	memset(self, 0, sizeof(*self));
	self->ctl = ctl;
}

void
ctl_streams_destroy(struct ctl_streams *self)
{
	for (uint8_t i = 0; i < self->count; i++)
		dyn_arena_destroy(&self->streams[i].arena);
	self->count = 0;
}

void
ctl_streams_add(struct ctl_streams *self, struct dyn_client *client,
				uint16_t cell_first, uint16_t cell_last)
{
	const struct ctl_arguments *arguments = &self->ctl->arguments;
	struct ctl_stream *stream = &self->streams[self->count];

	dyn_arena_init(&stream->arena, dyn_allocator_malloc(), 0);
	stream->client = client;
	stream->cell_first = cell_first;
	stream->cell_last = cell_last;
	dyn__scan_request__init(&stream->request);
	stream->request.bucket =
		dyn_bytes_of_slice(dyn_slice_of(arguments->words[0]));
	stream->request.cell_first = cell_first;
	stream->request.cell_last = cell_last;
	if (arguments->prefix != NULL)
		stream->request.prefix =
			dyn_bytes_of_slice(dyn_slice_of(arguments->prefix));
	stream->request.keys_only = arguments->keys_only;
	stream->request.hash_only = self->count != 0;
	self->count++;
	dyn_scan_merge_init(&self->merge, dyn_slice_of(arguments->words[0]),
						self->count);
}

static void
set_cursor(struct ctl_stream *stream, uint32_t cell, struct dyn_slice key)
{
	if (key.size != 0)
		memcpy(stream->after_key, key.data, key.size);
	stream->request.after_cell = cell;
	stream->request.after_key =
		(ProtobufCBinaryData){ key.size, stream->after_key };
}

/* From this cell on, what the merge needs of a stream of hashes. */
static bool
next_cells(const struct ctl_streams *self, struct ctl_stream *stream,
		   uint32_t cell)
{
	uint16_t first = (uint16_t) cell;
	uint16_t last = stream->cell_last;

	if (stream == self->streams || cell > last ||
		!dyn_scan_merge_differing(&self->merge, &first, &last))
		return false;
	stream->request.cell_first = first;
	stream->request.cell_last = last;
	set_cursor(stream, 0, (struct dyn_slice){ NULL, 0 });
	return true;
}

/* Before anything was printed another owner may be asked instead. */
static void
fail(struct ctl_stream *stream, enum dyn_status status, const char *text)
{
	stream->status = status;
	if (!stream->has_begun &&
		(status == DYN_STATUS_BUILDING || status == DYN_STATUS_CORRUPT))
		return;
	fprintf(stderr, "dynctl: scan: %s: %s: %s\n",
			dyn_client_address(stream->client), dyn_status_name(status), text);
}

/* A stream's reply, in its arena; NULL when that failed, which has been
 * told. */
static const Dyn__ScanReply *
ask(struct ctl_streams *self, struct ctl_stream *stream)
{
	const Dyn__ScanReply *reply;
	const char *text = "";
	void *message = NULL;
	enum dyn_status status;

	dyn_arena_reset(&stream->arena);
	status = dyn_client_ask(
		stream->client, (uint32_t) self->ctl->arguments.timeout_ms,
		DYN_MESSAGE_SCAN, &stream->request.base, DYN_MESSAGE_SCAN_REPLY,
		&stream->arena, &message, &text);
	reply = message;
	if (status == DYN_STATUS_OK && reply->status != DYN_STATUS_OK)
	{
		status = (enum dyn_status) reply->status;
		text = reply->text;
	}
	if (status == DYN_STATUS_OK &&
		reply->after_key.len > sizeof(stream->after_key))
	{
		status = DYN_STATUS_TOO_LARGE;
		text = "its cursor is longer than a key";
	}
	stream->status = DYN_STATUS_OK;
	if (status == DYN_STATUS_OK)
		return reply;
	fail(stream, status, text);
	return NULL;
}

static bool
read_page(struct ctl_streams *self, struct ctl_stream *stream)
{
	const Dyn__ScanReply *reply = ask(self, stream);

	if (reply == NULL)
		return false;
	stream->items = dyn_arena_allocate(
		&stream->arena, (reply->n_items + 1) * sizeof(*stream->items));
	stream->item_count = (uint32_t) reply->n_items;
	for (size_t i = 0; i < reply->n_items; i++)
		stream->items[i] = (struct dyn_scan_item){
			.key = dyn_slice_of_bytes(reply->items[i]->key),
			.object = dyn_slice_of_bytes(reply->items[i]->object),
			.hash = reply->items[i]->hash,
			.status = (enum dyn_status) reply->items[i]->status,
			.cell = (uint16_t) reply->items[i]->cell
		};
	/* Whoever looks at one replica wants to see what it shows. */
	if (!self->ctl->arguments.replica &&
		!dyn_scan_page_is_sound(self->merge.bucket, stream->items,
								stream->item_count))
	{
		fail(stream, DYN_STATUS_CORRUPT,
			 "a key is damaged, and what it was nobody can tell here");
		return false;
	}
	ctl_told_view(self->ctl, reply->view_ms);
	stream->hashes = reply->cell_hashes;
	stream->hash_count = (uint32_t) reply->n_cell_hashes;
	stream->is_end = reply->end;
	stream->has_page = true;
	if (stream->request.no_items)
		return true;
	set_cursor(stream, reply->after_cell, dyn_slice_of_bytes(reply->after_key));
	if (stream->is_end)
		stream->is_end =
			!next_cells(self, stream, stream->request.cell_last + 1);
	return true;
}

/* The streams of hashes list everything behind what the first one has given:
 * its copy is not to be believed alone. */
static void
begin_anew(struct ctl_streams *self)
{
	struct dyn_slice key;
	uint16_t cell;
	bool any = dyn_scan_merge_last(&self->merge, &cell, &key);

	for (uint8_t i = 1; i < self->count; i++)
	{
		struct ctl_stream *stream = &self->streams[i];

		stream->has_page = false;
		next_cells(self, stream, any ? cell : stream->cell_first);
		if (any)
			set_cursor(stream, cell, key);
	}
}

bool
ctl_streams_feed(struct ctl_streams *self, uint8_t index)
{
	struct ctl_stream *stream = &self->streams[index];

	if (!stream->has_page && !read_page(self, stream))
		return false;
	stream->has_page = false;
	if (index == 0)
		self->key_count += stream->item_count;
	if (dyn_scan_merge_feed(&self->merge, index, stream->items,
							stream->item_count, stream->is_end))
		begin_anew(self);
	return true;
}

/* Let the streams of hashes list what differs. */
static void
compare(struct ctl_streams *self)
{
	const uint64_t *hashes[DYN_REPLICAS_MAX];
	uint16_t cell_first = self->streams[0].cell_first;
	uint32_t cell_count = self->streams[0].cell_last - cell_first + 1u;
	bool complete = true;

	for (uint8_t i = 0; i < self->count; i++)
	{
		hashes[i] = self->streams[i].hashes;
		complete &= self->streams[i].hash_count == cell_count;
	}
	if (complete)
		dyn_scan_merge_compare(&self->merge, cell_first, hashes, cell_count);
	for (uint8_t i = 1; i < self->count; i++)
	{
		struct ctl_stream *stream = &self->streams[i];

		stream->item_count = 0;
		stream->is_end = !next_cells(self, stream, cell_first);
		stream->has_page = stream->is_end;
	}
}

bool
ctl_streams_begin(struct ctl_streams *self, bool compared, uint8_t *failed)
{
	for (uint8_t i = 0; i < self->count; i++)
	{
		struct ctl_stream *stream = &self->streams[i];

		*failed = i;
		stream->request.cell_hashes = compared;
		stream->request.no_items = compared && i != 0;
		if (!read_page(self, stream))
			return false;
		stream->request.cell_hashes = stream->request.no_items = false;
		stream->has_begun = true;
	}
	if (compared)
		compare(self);
	return true;
}
