/*
 * A write behind the back of a closed store, with LMDB alone.  storerig.c
 * writes what an earlier release would have left by it.
 */
#include "storehand.h"

#include <string.h>

struct storehand
storehand_begin(const struct storerig *rig)
{
	struct storehand hand;

	storerig_must(mdb_env_create(&hand.env) == 0, "an environment");
	mdb_env_set_maxdbs(hand.env, 8);
	storerig_must(mdb_env_open(hand.env, rig->config.directory, 0, 0600) == 0,
				  "the store");
	storerig_must(mdb_txn_begin(hand.env, NULL, 0, &hand.txn) == 0,
				  "a transaction");
	return hand;
}

void
storehand_end(struct storehand *hand)
{
	storerig_must(mdb_txn_commit(hand->txn) == 0, "a commit");
	mdb_env_close(hand->env);
}

MDB_dbi
storehand_table(struct storehand *hand, const char *table)
{
	MDB_dbi dbi;

	storerig_must(mdb_dbi_open(hand->txn, table, 0, &dbi) == 0, "a table");
	return dbi;
}

void
storehand_put(struct storehand *hand, const char *table, const char *key,
			  const char *value)
{
	MDB_val name = { strlen(key), (void *) key };
	MDB_val data = { strlen(value), (void *) value };
	MDB_dbi dbi;

	storerig_must(mdb_dbi_open(hand->txn, table, MDB_CREATE, &dbi) == 0 &&
					  mdb_put(hand->txn, dbi, &name, &data, 0) == 0,
				  "a record by hand");
}
