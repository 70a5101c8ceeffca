/* bucket: what buckets have of their own, and giving it to them. */
#include "ctl/ctl.h"

#include "model/bucket.h"
#include "model/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum
{
	ASK_MS_MAX = 1000, /* of a node that only has to confirm */
	POLL_US = 20000
};

static const struct
{
	const char *name;
	uint64_t ms;
} units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
	{ "s", 1000 },     { "ms", 1 },
};

/* ----------------------------------------------------------------- printing */

/* "90m", "1500ms"; "never" for none. */
static void
format_ttl(uint64_t ms, char *out, size_t size)
{
	size_t i = 0;

	if (ms == 0)
	{
		snprintf(out, size, "never");
		return;
	}
	while (ms % units[i].ms != 0)
		i++;
	snprintf(out, size, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
}

static void
format_quorum(uint8_t own, uint32_t cluster, char *out, size_t size)
{
	if (own != 0)
		snprintf(out, size, "%u", own);
	else
		snprintf(out, size, "%u (cluster)", cluster);
}

static void
print_json(const struct dyn_bucket *self, const Dyn__Settings *settings)
{
	printf("{\"bucket\": ");
	ctl_print_json(dyn_bucket_name(self));
	printf(", \"conflict\": \"%s\", \"ttl_ms\": %" PRIu64
		   ", \"r\": %u, \"w\": %u, \"own_r\": %s, \"own_w\": %s"
		   ", \"n\": %u, \"version\": %" PRIu64 "}\n",
		   dyn_conflict_name(self->conflict), self->ttl_ms,
		   self->r ? self->r : settings->r, self->w ? self->w : settings->w,
		   self->r ? "true" : "false", self->w ? "true" : "false", settings->n,
		   self->version);
}

static void
print_head(void)
{
	printf("%-24s %-9s %-10s %-12s %-12s %s\n", "bucket", "conflict", "ttl",
		   "r", "w", "n");
}

static void
print_row(const struct dyn_bucket *self, const Dyn__Settings *settings)
{
	char ttl[32];
	char r[32];
	char w[32];

	format_ttl(self->ttl_ms, ttl, sizeof(ttl));
	format_quorum(self->r, settings->r, r, sizeof(r));
	format_quorum(self->w, settings->w, w, sizeof(w));
	ctl_print_value(dyn_bucket_name(self));
	printf("%*s %-9s %-10s %-12s %-12s %u\n",
		   self->name_size < 24 ? 24 - self->name_size : 0, "",
		   dyn_conflict_name(self->conflict), ttl, r, w, settings->n);
}

static void
print(const struct ctl *ctl, const struct dyn_bucket *bucket,
	  const Dyn__Settings *settings, bool first)
{
	if (ctl->arguments.json)
	{
		print_json(bucket, settings);
		return;
	}
	if (first)
		print_head();
	print_row(bucket, settings);
}

/* ------------------------------------------------------------------- asking */

static const Dyn__BucketReply *
ask(struct ctl *self, const char *name, Dyn__Bucket *set)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;

	request.name = dyn_bytes_of_slice(dyn_slice_of(name));
	request.set = set;
	return ctl_ask(self, self->client, DYN_MESSAGE_BUCKET, &request.base,
				   DYN_MESSAGE_BUCKET_REPLY);
}

/* The one bucket of an answer; false, and said, when there is none. */
static bool
take_one(const Dyn__BucketReply *reply, struct dyn_bucket *out)
{
	if (reply == NULL)
		return false;
	if (reply->n_buckets == 1 && dyn_bucket_of_message(reply->buckets[0], out))
		return true;
	fprintf(stderr, "dynctl: bucket: the node sent a malformed answer\n");
	return false;
}

static int
list(struct ctl *self, const Dyn__Settings *settings)
{
	const Dyn__BucketReply *reply = ask(self, "", NULL);

	if (reply == NULL)
		return CTL_FAILED;
	if (reply->n_buckets == 0 && !self->arguments.json)
		printf("no bucket has properties of its own\n");
	for (size_t i = 0; i < reply->n_buckets; i++)
	{
		struct dyn_bucket bucket;

		if (!dyn_bucket_of_message(reply->buckets[i], &bucket))
			return CTL_FAILED;
		print(self, &bucket, settings, i == 0);
	}
	return CTL_OK;
}

/* ------------------------------------------------------------------ setting */

/* "90s", "1h", "0" or "never". */
static bool
parse_ttl(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long number;

	if (strcmp(text, "never") == 0 || strcmp(text, "0") == 0)
	{
		*out = 0;
		return true;
	}
	number = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].name) == 0)
		{
			if (number > DYN_TTL_MS_MAX / units[i].ms)
				return false;
			*out = number * units[i].ms;
			return true;
		}
	return false;
}

/* "2", or "cluster" for what the cluster has. */
static bool
parse_quorum(const char *text, uint32_t n, uint8_t *out)
{
	char *end;
	unsigned long number;

	if (strcmp(text, "cluster") == 0)
	{
		*out = 0;
		return true;
	}
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != 0 || number < 1 || number > n)
		return false;
	*out = (uint8_t) number;
	return true;
}

/* One name=value into the bucket; false, and said, when it is nonsense. */
static bool
take_property(const char *word, uint32_t n, struct dyn_bucket *bucket)
{
	const char *value = strchr(word, '=');
	struct dyn_slice name = { (const uint8_t *) word,
							  value ? (size_t) (value - word) : 0 };

	if (value == NULL)
	{
		fprintf(stderr, "dynctl: bucket: \"%s\" is not property=value\n", word);
		return false;
	}
	value++;
	if (dyn_slice_equal(name, dyn_slice_of("conflict")))
	{
		if (dyn_conflict_parse(dyn_slice_of(value), &bucket->conflict))
			return true;
		fprintf(stderr,
				"dynctl: bucket: conflict: \"%s\" is neither siblings nor "
				"lww\n",
				value);
	}
	else if (dyn_slice_equal(name, dyn_slice_of("ttl")))
	{
		if (parse_ttl(value, &bucket->ttl_ms))
			return true;
		fprintf(stderr,
				"dynctl: bucket: ttl: \"%s\" is no time such as 500ms, 90s, "
				"30m, 12h or 7d (never = none; at most 36525 days)\n",
				value);
	}
	else if (dyn_slice_equal(name, dyn_slice_of("r")) ||
			 dyn_slice_equal(name, dyn_slice_of("w")))
	{
		if (parse_quorum(value, n, word[0] == 'r' ? &bucket->r : &bucket->w))
			return true;
		fprintf(stderr,
				"dynctl: bucket: %c: \"%s\" is neither a number from 1 to %u, "
				"the cluster's n, nor \"cluster\"\n",
				word[0], value, n);
	}
	else if (dyn_slice_equal(name, dyn_slice_of("n")))
		fprintf(stderr, "dynctl: bucket: n is the cluster's: all buckets have "
						"as many replicas\n");
	else
		fprintf(stderr,
				"dynctl: bucket: there is no property \"%.*s\": there are "
				"conflict, ttl, r and w\n",
				(int) name.size, word);
	return false;
}

/* Does this node know the bucket as it was set, or newer? */
static bool
knows(struct ctl *self, struct dyn_client *client,
	  const struct dyn_bucket *bucket)
{
	Dyn__BucketRequest request = DYN__BUCKET_REQUEST__INIT;
	uint32_t timeout_ms = (uint32_t) self->arguments.timeout_ms;
	const char *text;
	void *reply;
	struct dyn_bucket other;

	request.name = dyn_bytes_of_slice(dyn_bucket_name(bucket));
	return dyn_client_ask(
			   client, timeout_ms < ASK_MS_MAX ? timeout_ms : ASK_MS_MAX,
			   DYN_MESSAGE_BUCKET, &request.base, DYN_MESSAGE_BUCKET_REPLY,
			   &self->arena, &reply, &text) == DYN_STATUS_OK &&
		   ((const Dyn__BucketReply *) reply)->n_buckets == 1 &&
		   dyn_bucket_of_message(((const Dyn__BucketReply *) reply)->buckets[0],
								 &other) &&
		   other.version >= bucket->version;
}

/* Wait for it, so that whoever writes next finds it in force. */
static bool
wait_until_known(struct ctl *self, const char *address,
				 const struct dyn_bucket *bucket)
{
	struct dyn_client *client = dyn_client_open(address);
	int rounds = self->arguments.timeout_ms * 1000 / POLL_US / 2 + 1;
	bool known = false;

	while (client != NULL && rounds-- > 0 && !known)
	{
		known = knows(self, client, bucket);
		if (!known)
			usleep(POLL_US);
	}
	dyn_client_close(&client);
	return known;
}

/* The members that this node can reach learn it at once; the others when they
 * are back. */
static void
confirm(struct ctl *self, const Dyn__Welcome *welcome,
		const struct dyn_bucket *bucket)
{
	struct dyn_ring ring;
	uint32_t count = 0;

	if (!ctl_ring(self, welcome, &ring))
		return;
	for (uint32_t i = 0; i < ring.member_count; i++)
	{
		const char *address = ring.members[i].address;

		if (i < welcome->n_peer_up && welcome->peer_up[i] &&
			wait_until_known(self, address, bucket))
			count++;
		else
			fprintf(stderr,
					"dynctl: bucket: %s does not know it yet; it will learn it "
					"when it hears from the others\n",
					address);
	}
	if (!self->arguments.json)
		printf("known to %u of %u nodes\n", count, ring.member_count);
}

static int
set(struct ctl *self, const Dyn__Welcome *welcome)
{
	const char *name = self->arguments.words[1];
	struct dyn_bucket bucket;
	Dyn__Bucket message;

	if (!take_one(ask(self, name, NULL), &bucket))
		return CTL_FAILED;
	for (int i = 2; i < self->arguments.word_count; i++)
		if (!take_property(self->arguments.words[i], welcome->settings->n,
						   &bucket))
			return CTL_USAGE;
	dyn_bucket_to_message(&bucket, &message);
	if (!take_one(ask(self, name, &message), &bucket))
		return CTL_FAILED;
	print(self, &bucket, welcome->settings, true);
	confirm(self, welcome, &bucket);
	return CTL_OK;
}

int
ctl_bucket(struct ctl *self)
{
	const struct ctl_arguments *arguments = &self->arguments;
	const char *what = arguments->word_count > 0 ? arguments->words[0] : "";
	const Dyn__Welcome *welcome;
	struct dyn_bucket bucket;
	bool lists = strcmp(what, "list") == 0 && arguments->word_count == 1;
	bool shows = strcmp(what, "show") == 0 && arguments->word_count == 2;
	bool sets = strcmp(what, "set") == 0 && arguments->word_count >= 3;

	if (!lists && !shows && !sets)
		return CTL_USAGE;
	if (!lists &&
		dyn_bucket_check(dyn_slice_of(arguments->words[1])) != DYN_STATUS_OK)
	{
		fprintf(stderr, "dynctl: bucket: a bucket's name has 1 to 63 bytes\n");
		return CTL_USAGE;
	}
	welcome = ctl_hello(self, self->client);
	if (welcome == NULL)
		return CTL_FAILED;
	if (lists)
		return list(self, welcome->settings);
	if (sets)
		return set(self, welcome);
	if (!take_one(ask(self, arguments->words[1], NULL), &bucket))
		return CTL_FAILED;
	print(self, &bucket, welcome->settings, true);
	return CTL_OK;
}
