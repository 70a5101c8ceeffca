-- Writes are sent at commit; the transaction sees them before.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER xact_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE kv (key text, value text, vclock vclock) SERVER xact_store OPTIONS (bucket 'xact');

-- ROLLBACK sends nothing
BEGIN;
INSERT INTO kv VALUES ('a', '1');
SELECT key, value, vclock FROM kv;
ROLLBACK;
SELECT count(*) FROM kv;

-- savepoints
BEGIN;
INSERT INTO kv VALUES ('a', '1');
SAVEPOINT one;
INSERT INTO kv VALUES ('a', '2'), ('b', '2');
SAVEPOINT two;
DELETE FROM kv WHERE key = 'a';
SELECT key, value FROM kv ORDER BY 1, 2;
ROLLBACK TO two;
SELECT key, value FROM kv ORDER BY 1, 2;
ROLLBACK TO one;
SELECT key, value FROM kv ORDER BY 1, 2;
SAVEPOINT three;
INSERT INTO kv VALUES ('c', '3');
RELEASE three;
COMMIT;
SELECT key, value, vclock IS NOT NULL AS sent FROM kv ORDER BY 1, 2;

-- a later write replaces what its command could see
BEGIN;
INSERT INTO kv VALUES ('d', '1');
UPDATE kv SET value = '2' WHERE key = 'd';
SELECT value FROM kv WHERE key = 'd';
UPDATE kv SET value = value || 'x' WHERE key = 'a';
SELECT value, vclock FROM kv WHERE key = 'a';
INSERT INTO kv VALUES ('a', 'beside');
SELECT value FROM kv WHERE key = 'a' ORDER BY 1;
DELETE FROM kv WHERE key = 'c';
SELECT key FROM kv ORDER BY 1;
COMMIT;
SELECT key, value FROM kv ORDER BY 1, 2;

-- inserted and deleted: nothing is sent
BEGIN;
INSERT INTO kv VALUES ('e', '1');
DELETE FROM kv WHERE key = 'e';
SELECT count(*) FROM kv WHERE key = 'e';
COMMIT;
SELECT count(*) FROM kv WHERE key = 'e';

-- reconciling what is not sent yet
BEGIN;
INSERT INTO kv VALUES ('f', '1');
COMMIT;
BEGIN;
INSERT INTO kv VALUES ('f', '2');
INSERT INTO kv SELECT key, string_agg(value, '+' ORDER BY value), vclock_merge(vclock) FROM kv WHERE key = 'f' GROUP BY key;
SELECT value FROM kv WHERE key = 'f';
COMMIT;
SELECT value FROM kv WHERE key = 'f';

-- a statement does not see its own rows
BEGIN;
INSERT INTO kv SELECT key || '2', value FROM kv;
SELECT count(*) FROM kv;
ROLLBACK;

-- an error in a block of plpgsql takes its writes back
DO $$
BEGIN
  INSERT INTO kv VALUES ('g', '1');
  BEGIN
    INSERT INTO kv VALUES ('h', '1');
    RAISE EXCEPTION 'no';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
END $$;
SELECT key FROM kv WHERE key IN ('g', 'h');

-- create: checked when executed
BEGIN;
SET LOCAL dynamo_fdw.insert_mode = 'create';
INSERT INTO kv VALUES ('i', '1');
SAVEPOINT s;
INSERT INTO kv VALUES ('i', '2');
ROLLBACK TO s;
DELETE FROM kv WHERE key = 'i';
INSERT INTO kv VALUES ('i', '3');
COMMIT;
SELECT value FROM kv WHERE key = 'i';

-- cursors see what their command saw
BEGIN;
DECLARE c CURSOR FOR SELECT value FROM kv WHERE key = 'i';
UPDATE kv SET value = '4' WHERE key = 'i';
FETCH ALL c;
SELECT value FROM kv WHERE key = 'i';
COMMIT;

-- no promise for later
BEGIN;
INSERT INTO kv VALUES ('j', '1');
PREPARE TRANSACTION 'later';
SELECT count(*) FROM kv WHERE key = 'j';
BEGIN;
SELECT count(*) FROM kv WHERE key = 'j';
ROLLBACK;

-- writes that are sent with their statement stay sent
CREATE FOREIGN TABLE direct (key text, value text) SERVER xact_store OPTIONS (bucket 'xact', write_at 'statement');
BEGIN;
INSERT INTO direct VALUES ('k', '1');
SELECT value FROM direct WHERE key = 'k';
ROLLBACK;
SELECT value FROM direct WHERE key = 'k';

-- conflict_mode error: nobody's version is passed over
CREATE FOREIGN TABLE careful (key text, value text, vclock vclock) SERVER xact_store OPTIONS (bucket 'xact', conflict_mode 'error');
INSERT INTO kv VALUES ('l', '1');
BEGIN;
UPDATE careful SET value = '2' WHERE key = 'l';
SELECT value FROM careful WHERE key = 'l';
COMMIT;
INSERT INTO kv VALUES ('l', '3');
-- only one of two siblings is touched: the other one is not covered
\set VERBOSITY sqlstate
UPDATE careful SET value = '4' WHERE key = 'l' AND value = '2';
\set VERBOSITY default
SELECT value FROM careful WHERE key = 'l' ORDER BY 1;
UPDATE careful SET value = '5' WHERE key = 'l';
SELECT value FROM careful WHERE key = 'l' ORDER BY 1;

DROP SERVER xact_store CASCADE;
