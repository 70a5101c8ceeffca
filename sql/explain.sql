-- What is pushed, and what it costs.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER explain_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE kv (key text, value text, vclock vclock) SERVER explain_store OPTIONS (bucket 'explain');
CREATE FOREIGN TABLE kv_c (key text COLLATE "C", value text) SERVER explain_store OPTIONS (bucket 'explain');
-- on all replicas, or a read that meets a late one takes a trip more
SET dynamo_fdw.w = 3;
INSERT INTO kv SELECT 'k' || i, 'v' || i FROM generate_series(1, 200) i;
RESET dynamo_fdw.w;

EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key = 'k1';
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key IN ('k1', 'k2') AND value > 'v';
EXPLAIN (COSTS OFF) SELECT key FROM kv;
EXPLAIN (COSTS OFF) SELECT count(*) FROM kv;
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key LIKE 'k1%';
-- ranges only where strings sort like their bytes
EXPLAIN (COSTS OFF) SELECT * FROM kv_c WHERE key >= 'k1' AND 'k2' > key;
-- not at all with a volatile function, or another column
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key = 'k' || random();
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key = value;
-- nested loop with the outer row's key
CREATE TABLE few (key text PRIMARY KEY);
INSERT INTO few VALUES ('k1'), ('k2');
ANALYZE few;
EXPLAIN (COSTS OFF) SELECT * FROM few JOIN kv USING (key);
SELECT count(*) FROM few JOIN kv USING (key);
-- one key rather than a list
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key IN ('k1', 'k2') AND key = current_setting('application_name');
DROP TABLE few;

-- one round trip, by literal, parameter, init plan and stable function
CREATE FUNCTION trips(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    IF line LIKE '%Round Trips%' THEN RETURN trim(line); END IF;
  END LOOP;
END $$;
SELECT trips('SELECT * FROM kv WHERE key = ''k1''');
SELECT trips('SELECT * FROM kv WHERE key = (SELECT ''k2'')');
SELECT trips('SELECT * FROM kv WHERE key = current_setting(''application_name'')');
SELECT trips('SELECT * FROM kv WHERE key = ANY (ARRAY(SELECT ''k'' || i FROM generate_series(1, 100) i))');
PREPARE p(text) AS SELECT * FROM kv WHERE key = $1;
SET plan_cache_mode = force_generic_plan;
SELECT trips('EXECUTE p(''k3'')');
RESET plan_cache_mode;

-- every cell of a scan comes from one copy, or from R
CREATE FUNCTION cells(query text, OUT verified int, OUT merged int) LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    verified := coalesce(substring(line FROM 'Cells Verified: (\d+)')::int, verified);
    merged := coalesce(substring(line FROM 'Cells Merged: (\d+)')::int, merged);
  END LOOP;
END $$;
SELECT * FROM cells('SELECT * FROM kv');
SET dynamo_fdw.compare_trees = on;
SELECT verified > 0 AS verified, verified + merged AS all FROM cells('SELECT * FROM kv');
SET dynamo_fdw.compare_trees = off;
SELECT * FROM cells('SELECT * FROM kv');
RESET dynamo_fdw.compare_trees;
SET dynamo_fdw.r = 1;
SELECT * FROM cells('SELECT * FROM kv');
RESET dynamo_fdw.r;
DROP FUNCTION cells(text);

EXPLAIN (COSTS OFF) INSERT INTO kv VALUES ('x', 'y');
EXPLAIN (COSTS OFF) UPDATE kv SET value = 'y' WHERE key = 'x';
EXPLAIN (COSTS OFF) DELETE FROM kv WHERE key = 'x';

-- ANALYZE: the planner knows the rows; the sample keeps to its memory
ANALYZE kv;
SELECT reltuples FROM pg_class WHERE relname = 'kv';
SELECT attname, n_distinct, null_frac, avg_width BETWEEN 3 AND 60 AS width FROM pg_stats
    WHERE tablename = 'kv' AND attname <> 'vclock' ORDER BY attname;
CREATE FOREIGN TABLE wide (key text, value text) SERVER explain_store OPTIONS (bucket 'explain_wide');
INSERT INTO wide SELECT i, repeat('v', 20000) FROM generate_series(1, 400) i;
SET maintenance_work_mem = '1MB';
ANALYZE wide;
RESET maintenance_work_mem;
SELECT reltuples, array_length(histogram_bounds::text::int[], 1) BETWEEN 20 AND 80 AS half_and_half
    FROM pg_stats JOIN pg_class ON relname = tablename WHERE tablename = 'wide' AND attname = 'key';
EXPLAIN SELECT key FROM wide;
-- large values make a scan dear, and so a look at each key
CREATE TABLE thirty AS SELECT i::text AS key FROM generate_series(1, 30) i;
ANALYZE thirty;
EXPLAIN (COSTS OFF) SELECT value FROM wide JOIN thirty USING (key);
EXPLAIN (COSTS OFF) SELECT wide.key FROM wide JOIN thirty USING (key);
DROP TABLE thirty;
DELETE FROM wide;
-- what was empty may be so no more
ANALYZE wide;
EXPLAIN SELECT key FROM wide;

DROP SERVER explain_store CASCADE;
DROP FUNCTION trips(text);
