/*
 * Between the threads of a store: completions on their way to dispatch, and
 * the failure that ends everything.  lmdb.c and writer.c both stand on it.
 */
#include "io/store/state.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void
dyn_store_state_wake(struct dyn_store_state *self)
{
	uint64_t one = 1;
	ssize_t done;

	/* EAGAIN: the counter stands at its end, which is readable too. */
	do
		done = write(self->wakeup_fd, &one, sizeof(one));
	while (done < 0 && errno == EINTR);
}

void
dyn_store_state_push(struct dyn_store_state *self,
					 struct dyn_store_completion *completion)
{
	if (self->done == NULL)
		dyn_store_state_wake(self);
	*self->done_tail = completion;
	self->done_tail = &completion->next;
}

void
dyn_store_state_push_stored(struct dyn_store_state *self, uint64_t token,
							enum dyn_status status)
{
	struct dyn_store_completion *completion =
		dyn_store_completion_new(DYN_EVENT_STORED);

	completion->event.stored.token = token;
	completion->event.stored.status = status;
	dyn_store_state_push(self, completion);
}

void
dyn_store_state_fail(struct dyn_store_state *self, const char *what, int code)
{
	pthread_mutex_lock(&self->mutex);
	if (!self->has_failed)
		snprintf(self->failure, sizeof(self->failure), "%s failed: %s", what,
				 mdb_strerror(code));
	self->has_failed = true;
	dyn_store_state_wake(self);
	pthread_mutex_unlock(&self->mutex);
}
