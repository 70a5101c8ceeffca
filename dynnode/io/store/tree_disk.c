/*
 * Records of the hash tree as bytes, below tree.c and tree_load.c, which
 * decide what to write and what to believe.
 */
#include "io/store/tree_disk.h"

#include "io/store/bytes.h"
#include "model/hash.h"

enum
{
	NUMBER_SIZE = 8, /* of branch or log record; in a branch's key 4 */
	BRANCH_KEY_SIZE = 4,
	SUM_SIZE = 8,
	HASH_SIZE = 8,
	LEAF_SIZE = 4 + HASH_SIZE,
	BRANCH_SIZE = NUMBER_SIZE + DYN_TREE_FANOUT * HASH_SIZE + SUM_SIZE,
	LOG_SIZE_MAX = NUMBER_SIZE + DYN_STORE_LOG_LEAVES_MAX * LEAF_SIZE + SUM_SIZE
};

static uint8_t *
put_number(uint8_t *out, uint64_t number, unsigned size)
{
	dyn_store_put_number(out, number, size);
	return out + size;
}

/* Big-endian: so numbers ascend in the table. */
static void
put_key(uint8_t *out, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[i] = (uint8_t) (number >> (8 * (size - 1 - i)));
}

uint64_t
dyn_store_tree_number(MDB_val key)
{
	const uint8_t *in = key.mv_data;
	uint64_t number = 0;

	for (size_t i = 0; i < key.mv_size; i++)
		number = number << 8 | in[i];
	return number;
}

static uint64_t
sum_of(const uint8_t *bytes, size_t size)
{
	return dyn_hash_bytes((struct dyn_slice){ bytes, size });
}

/* A value whose bytes are as they were written, under the number it tells. */
static bool
is_sound(MDB_val key, size_t key_size, MDB_val value)
{
	const uint8_t *bytes = value.mv_data;
	size_t size = value.mv_size;

	return key.mv_size == key_size && size >= NUMBER_SIZE + SUM_SIZE &&
		   dyn_store_get_number(bytes + size - SUM_SIZE, SUM_SIZE) ==
			   sum_of(bytes, size - SUM_SIZE) &&
		   dyn_store_get_number(bytes, NUMBER_SIZE) ==
			   dyn_store_tree_number(key);
}

/* ---- branches ---- */

int
dyn_store_tree_put_branch(MDB_cursor *cursor, uint32_t branch,
						  const uint64_t leaves[DYN_TREE_FANOUT])
{
	uint8_t key_bytes[BRANCH_KEY_SIZE];
	uint8_t bytes[BRANCH_SIZE];
	uint8_t *at = put_number(bytes, branch, NUMBER_SIZE);
	MDB_val key = { BRANCH_KEY_SIZE, key_bytes };
	MDB_val value = { BRANCH_SIZE, bytes };
	uint64_t any = 0;
	int code;

	put_key(key_bytes, branch, BRANCH_KEY_SIZE);
	for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
	{
		any |= leaves[i];
		at = put_number(at, leaves[i], HASH_SIZE);
	}
	if (any != 0)
	{
		put_number(at, sum_of(bytes, BRANCH_SIZE - SUM_SIZE), SUM_SIZE);
		return mdb_cursor_put(cursor, &key, &value, 0);
	}
	code = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
	if (code == 0)
		code = mdb_cursor_del(cursor, 0);
	return code == MDB_NOTFOUND ? 0 : code;
}

bool
dyn_store_tree_get_branch(MDB_val key, MDB_val value,
						  uint64_t leaves[DYN_TREE_FANOUT])
{
	const uint8_t *at = value.mv_data;

	if (value.mv_size != BRANCH_SIZE ||
		!is_sound(key, BRANCH_KEY_SIZE, value) ||
		dyn_store_tree_number(key) >= DYN_TREE_BRANCH_COUNT)
		return false;
	for (uint32_t i = 0; i < DYN_TREE_FANOUT; i++)
		leaves[i] =
			dyn_store_get_number(at + NUMBER_SIZE + i * HASH_SIZE, HASH_SIZE);
	return true;
}

uint32_t
dyn_store_tree_guess(MDB_val key, MDB_val value, uint64_t branches[2])
{
	uint32_t count = 0;

	if (key.mv_size == BRANCH_KEY_SIZE)
		branches[count++] = dyn_store_tree_number(key);
	if (value.mv_size >= NUMBER_SIZE)
		branches[count++] = dyn_store_get_number(value.mv_data, NUMBER_SIZE);
	return count;
}

/* ---- the log ---- */

int
dyn_store_tree_put_log(MDB_cursor *cursor, uint64_t number,
					   const struct dyn_store_leaf *leaves, uint32_t count)
{
	uint8_t key_bytes[NUMBER_SIZE];
	uint8_t bytes[LOG_SIZE_MAX];
	uint8_t *at = put_number(bytes, number, NUMBER_SIZE);
	MDB_val key = { NUMBER_SIZE, key_bytes };
	MDB_val value = { .mv_data = bytes };

	put_key(key_bytes, number, NUMBER_SIZE);
	for (uint32_t i = 0; i < count; i++)
	{
		at = put_number(at, leaves[i].leaf, LEAF_SIZE - HASH_SIZE);
		at = put_number(at, leaves[i].hash, HASH_SIZE);
	}
	at = put_number(at, sum_of(bytes, (size_t) (at - bytes)), SUM_SIZE);
	value.mv_size = (size_t) (at - bytes);
	return mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
}

uint32_t
dyn_store_tree_log_count(MDB_val value)
{
	return value.mv_size < NUMBER_SIZE + SUM_SIZE
			   ? 0
			   : (uint32_t) (value.mv_size - NUMBER_SIZE - SUM_SIZE) /
					 LEAF_SIZE;
}

int
dyn_store_tree_drop_log(MDB_cursor *cursor, uint64_t *number, uint32_t *count)
{
	MDB_val key;
	MDB_val value;
	int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

	if (code != 0)
		return code;
	*number = dyn_store_tree_number(key);
	*count = dyn_store_tree_log_count(value);
	return mdb_cursor_del(cursor, 0);
}

bool
dyn_store_tree_read_log(MDB_val key, MDB_val value, dyn_store_leaf_visit visit,
						void *context)
{
	const uint8_t *at = value.mv_data;
	uint32_t count = dyn_store_tree_log_count(value);

	if (!is_sound(key, NUMBER_SIZE, value))
		return false;
	at += NUMBER_SIZE;
	for (uint32_t i = 0; i < count; i++, at += LEAF_SIZE)
	{
		uint64_t leaf = dyn_store_get_number(at, LEAF_SIZE - HASH_SIZE);

		if (leaf >= DYN_TREE_LEAF_COUNT)
			return false;
		visit(context, (uint32_t) leaf,
			  dyn_store_get_number(at + LEAF_SIZE - HASH_SIZE, HASH_SIZE));
	}
	return true;
}
