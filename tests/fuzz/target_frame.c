/* A frame as it comes from a socket: opened, it is what sealing makes. */
#include "fuzz/targets.h"

#include "model/arena.h"
#include "model/message.h"

#include <string.h>

/* An open frame, sealed again from what was read, has the same bytes, but for
 * the flags, which are not looked at. */
static void
seal_again(const struct dyn_envelope *env, const uint8_t *frame, size_t size)
{
	uint8_t *copy = malloc(size);

	memcpy(copy, frame, size);
	dyn_envelope_seal(env, copy);
	if (frame[6] == 0 && frame[7] == 0)
		FUZZ_REQUIRE(memcmp(copy, frame, size) == 0);
	free(copy);
}

void
fuzz_frame(const uint8_t *data, size_t size)
{
	struct dyn_slice frame = { data, size };
	struct dyn_envelope env;
	struct dyn_arena arena;
	ProtobufCMessage *body;
	enum dyn_status status = dyn_envelope_open(frame, &env);

	if (status != DYN_STATUS_OK)
	{
		FUZZ_REQUIRE(status == DYN_STATUS_BAD_REQUEST ||
					 status == DYN_STATUS_VERSION ||
					 status == DYN_STATUS_TOO_LARGE);
		return;
	}
	FUZZ_REQUIRE(env.body.data == data + DYN_ENVELOPE_SIZE);
	FUZZ_REQUIRE(env.body.size == size - DYN_ENVELOPE_SIZE);
	seal_again(&env, data, size);
	dyn_arena_init(&arena, dyn_allocator_malloc(), 0);
	(void) dyn_message_unpack(&env, &arena.allocator, &body);
	dyn_arena_destroy(&arena);
}
