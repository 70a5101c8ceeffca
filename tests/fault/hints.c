/*
 * hints: how many objects a node keeps for others; and throw them away.
 *
 *     hints DIRECTORY          the node may run
 *     hints DIRECTORY drop     it must not
 *
 * Prints how many there are, or were.
 */
#include <lmdb.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	MDB_env *env = NULL;
	MDB_txn *txn = NULL;
	MDB_stat found = { 0 };
	MDB_dbi hints;
	bool drops = argc == 3 && strcmp(argv[2], "drop") == 0;
	unsigned flags = drops ? 0 : MDB_RDONLY;
	int code;

	if (argc != 2 && !drops)
	{
		fprintf(stderr, "usage: hints DIRECTORY [drop]\n");
		return 2;
	}
	code = mdb_env_create(&env);
	if (code == 0)
		code = mdb_env_set_maxdbs(env, 16);
	if (code == 0)
		code = mdb_env_open(env, argv[1], flags, 0600);
	if (code == 0)
		code = mdb_txn_begin(env, NULL, flags, &txn);
	if (code == 0)
		code = mdb_dbi_open(txn, "hints", 0, &hints);
	if (code == 0)
		code = mdb_stat(txn, hints, &found);
	if (code == 0 && drops)
		code = mdb_drop(txn, hints, 0);
	if (code == 0)
		code = mdb_txn_commit(txn);
	if (code != 0)
	{
		fprintf(stderr, "hints: %s: %s\n", argv[1], mdb_strerror(code));
		return 1;
	}
	mdb_env_close(env);
	printf("%zu\n", found.ms_entries);
	return 0;
}
