-- Reading: by key, by many keys, all.
\getenv nodes DYNAMO_NODES
\set other_nodes :nodes ',127.0.0.1:1'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER select_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE kv (key text, value text, vclock vclock)
  SERVER select_store OPTIONS (bucket 'select');
CREATE TABLE heap (key text, value text);
INSERT INTO heap SELECT 'k' || i, 'v' || i FROM generate_series(1, 500) i;
INSERT INTO kv SELECT * FROM heap;

-- one key, in all the ways a key can be known
SELECT key, value, vclock IS NOT NULL AS has_clock FROM kv WHERE key = 'k7';
SELECT value FROM kv WHERE 'k7' = key;
SELECT value FROM kv WHERE key = (SELECT 'k' || 7);
SELECT value FROM kv WHERE key = 'k' || current_setting('server_version_num')::int / 1000000 + 7;
PREPARE by_key(text) AS SELECT value FROM kv WHERE key = $1;
EXECUTE by_key('k8');
SET plan_cache_mode = force_generic_plan;
EXECUTE by_key('k9');
EXECUTE by_key(NULL);
EXECUTE by_key('absent');
RESET plan_cache_mode;
SELECT value FROM kv WHERE key = '';
SELECT value FROM kv WHERE key = repeat('x', 441);
SELECT value FROM kv WHERE key = NULL;

-- many keys: each once, nulls for nothing
SELECT key, value FROM kv WHERE key IN ('k3', 'k1', 'nix', 'k3') ORDER BY key;
SELECT count(*) FROM kv WHERE key = ANY (ARRAY['k1', NULL, 'k2', '']);
SELECT count(*) FROM kv WHERE key = ANY ('{}');
SELECT count(*) FROM kv WHERE key = ANY (NULL::text[]);
SELECT count(*) FROM kv WHERE key = ANY (ARRAY(SELECT key FROM heap));
SELECT count(*) FROM kv WHERE key IN (SELECT key FROM heap WHERE value LIKE 'v1%');
SELECT count(*) FROM kv WHERE key NOT IN ('k1', 'k2');
SELECT count(*) FROM kv WHERE key = 'k1' OR key = 'k2';
SELECT count(*) FROM kv WHERE key = 'k1' AND key = 'k2';
SELECT count(*) FROM kv WHERE key = 'k1' AND value = 'v2';

-- everything
SELECT count(*), count(DISTINCT key), min(value), max(value) FROM kv;
SELECT count(*) FROM (SELECT key, value FROM kv EXCEPT SELECT * FROM heap) d;
SELECT count(*) FROM (SELECT * FROM heap EXCEPT SELECT key, value FROM kv) d;
SELECT count(*) FROM (SELECT * FROM kv LIMIT 10) d;
SELECT count(*) FROM (SELECT * FROM kv LIMIT 0) d;

-- ranges, prefixes
SELECT (SELECT count(*) FROM kv WHERE key >= 'k45' AND key < 'k46') =
       (SELECT count(*) FROM heap WHERE key >= 'k45' AND key < 'k46') AS same;
SELECT (SELECT count(*) FROM kv WHERE key COLLATE "C" > 'k45') =
       (SELECT count(*) FROM heap WHERE key COLLATE "C" > 'k45') AS same;
SELECT key FROM kv WHERE key LIKE 'k49_' ORDER BY key;
SELECT count(*) FROM kv WHERE key LIKE 'k4%9';
SELECT count(*) FROM kv WHERE key LIKE 'k\_%';
SELECT count(*) FROM kv WHERE key ^@ 'k49';
SELECT count(*) FROM kv WHERE key LIKE NULL;
SELECT count(*) FROM kv WHERE key NOT LIKE 'k4%';

-- joins, subqueries, rescans
SELECT h.key, kv.value FROM heap h JOIN kv USING (key) WHERE h.value IN ('v1', 'v2') ORDER BY 1;
SELECT count(*) FROM heap h LEFT JOIN kv ON kv.key = h.key || 'x';
SELECT h.key, (SELECT value FROM kv WHERE kv.key = h.key) FROM heap h WHERE h.value IN ('v5', 'v6') ORDER BY 1;
SELECT h.key, kv.value FROM (VALUES ('k10'), ('k11'), (NULL)) h(key), LATERAL (SELECT * FROM kv WHERE kv.key = h.key) kv ORDER BY 1;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*) FROM heap h JOIN kv USING (key) WHERE h.value LIKE 'v10%';
RESET enable_hashjoin; RESET enable_mergejoin;

-- cursors
BEGIN;
DECLARE c CURSOR FOR SELECT key FROM kv;
MOVE 100 c;
SELECT count(*) FROM kv WHERE key = 'k1';
MOVE ALL c;
CLOSE c;
COMMIT;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT key FROM kv WHERE key = 'k1';
COMMIT;
FETCH ALL held;
CLOSE held;

-- any value with a text form
CREATE FOREIGN TABLE typed (key text, value timestamptz) SERVER select_store OPTIONS (bucket 'typed');
SET datestyle = 'German';
INSERT INTO typed VALUES ('t', '2026-01-02 03:04:05+00');
SET datestyle = 'ISO, MDY'; SET timezone = 'UTC';
SELECT * FROM typed;
CREATE FOREIGN TABLE typed_text (key text, value text) SERVER select_store OPTIONS (bucket 'typed');
SELECT value LIKE '2026-01-0%' AS iso FROM typed_text;

-- bytes
CREATE FOREIGN TABLE bytes (key bytea, value bytea) SERVER select_store OPTIONS (bucket 'bytes');
INSERT INTO bytes VALUES ('\x00ff', '\x'), ('\x00fe', '\x0001ff');
SELECT key, value FROM bytes WHERE key = '\x00ff';
SELECT key, value FROM bytes WHERE key >= '\x00fe' ORDER BY key;
SELECT key, value FROM bytes WHERE key < '\x00ff' ORDER BY key;
CREATE FOREIGN TABLE bytes_as_text (key text, value text) SERVER select_store OPTIONS (bucket 'bytes');
\set VERBOSITY sqlstate
SELECT * FROM bytes_as_text;
\set VERBOSITY default

-- other columns
CREATE FOREIGN TABLE wide (key text, value text, vclock vclock, context vclock,
                           siblings int, written_at timestamptz, coordinator text, partition int)
  SERVER select_store OPTIONS (bucket 'wide');
INSERT INTO wide (key, value) VALUES ('w', 'a');
INSERT INTO wide (key, value) VALUES ('w', 'b');
SELECT key, value, siblings, context @> vclock AS covers, context = vclock AS same,
       written_at BETWEEN now() - interval '1 minute' AND now() + interval '1 minute' AS recent,
       length(coordinator), partition BETWEEN 0 AND 4095 AS in_range
  FROM wide ORDER BY value;
INSERT INTO wide (key, value, siblings) VALUES ('w', 'c', 2);
SELECT vclock_merge(vclock) = vclock_merge(context) AS rows_make_the_context FROM wide;

-- an open cursor, and the server is altered beside it: first its timeout, then
-- where its nodes are
BEGIN;
DECLARE c CURSOR FOR SELECT key FROM kv;
MOVE 1 c;
ALTER SERVER select_store OPTIONS (ADD timeout '4000');
SELECT value FROM kv WHERE key = 'k1';
MOVE 1 c;
ALTER SERVER select_store OPTIONS (SET nodes :'other_nodes');
SELECT value FROM kv WHERE key = 'k1';
MOVE 1 c;
ROLLBACK;
SELECT value FROM kv WHERE key = 'k1';

DROP SERVER select_store CASCADE;
DROP TABLE heap;
