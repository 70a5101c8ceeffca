/*
 * drop_hints: throw away what a node that does not run keeps for others.
 *
 *     drop_hints DIRECTORY
 *
 * Prints how many hints there were.
 */
#include <lmdb.h>

#include <stdio.h>

int
main(int argc, char **argv)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_stat found = { 0 };
	MDB_dbi hints;
	int code;

	if (argc != 2)
	{
		fprintf(stderr, "usage: drop_hints DIRECTORY\n");
		return 2;
	}
	code = mdb_env_create(&env);
	if (code == 0)
		code = mdb_env_set_maxdbs(env, 16);
	if (code == 0)
		code = mdb_env_open(env, argv[1], 0, 0600);
	if (code == 0)
		code = mdb_txn_begin(env, NULL, 0, &txn);
	if (code == 0)
		code = mdb_dbi_open(txn, "hints", 0, &hints);
	if (code == 0)
		code = mdb_stat(txn, hints, &found);
	if (code == 0)
		code = mdb_drop(txn, hints, 0);
	if (code == 0)
		code = mdb_txn_commit(txn);
	if (code != 0)
	{
		fprintf(stderr, "drop_hints: %s: %s\n", argv[1], mdb_strerror(code));
		return 1;
	}
	mdb_env_close(env);
	printf("%zu\n", found.ms_entries);
	return 0;
}
