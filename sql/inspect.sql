-- Functions that look into a cluster.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER inspect_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE seen (key text, value text, vclock vclock) SERVER inspect_store
  OPTIONS (bucket 'inspect');
CREATE FOREIGN TABLE seen_bytes (key bytea, value text, vclock vclock) SERVER inspect_store
  OPTIONS (bucket 'inspect');

-- nodes: those of the server's option, each with its share
SELECT count(*), bool_and(answers AND writable), bool_and(status = 'valid'),
       bool_and(length(node) = 32), bool_and(uptime > '0'), bool_and(version <> ''),
       string_agg(address, ',' ORDER BY address) = :'nodes' AS addresses
  FROM dynamo_nodes('inspect_store');
SELECT sum(slots) = 3 * sum(first_slots) AS three_each,
       max(first_slots) - min(first_slots) <= 1 AS balanced, max(hints) AS hints
  FROM dynamo_nodes('inspect_store');
SELECT building, in_doubt FROM dynamo_nodes('inspect_store');
-- one machine, one clock
SELECT bool_and(clock_skew BETWEEN '-1 min' AND '1 min') FROM dynamo_nodes('inspect_store');
-- the ring: every slot, distinct nodes in each partition
SELECT count(DISTINCT partition) = max(partition) + 1 AS all_partitions,
       count(*) = 3 * count(DISTINCT partition) AS three_each
  FROM dynamo_ring('inspect_store');
SELECT count(*) FROM (SELECT FROM dynamo_ring('inspect_store')
  GROUP BY partition HAVING count(DISTINCT node) <> 3) x;
SELECT count(*) FROM dynamo_ring('inspect_store') r JOIN dynamo_nodes('inspect_store') n
  USING (node, address) HAVING count(*) = (SELECT sum(slots) FROM dynamo_nodes('inspect_store'));

-- partitions: the same owners; soon after the start all have been compared
SELECT count(*) FILTER (WHERE owners IS DISTINCT FROM o.addresses) AS other_owners,
       bool_and(pairs = 3) AS three_pairs, count(*) = count(DISTINCT partition) AS once_each,
       count(*) FILTER (WHERE building <> '{}') AS building
  FROM dynamo_partitions('inspect_store') p JOIN (SELECT partition,
    array_agg(address ORDER BY slot) AS addresses FROM dynamo_ring('inspect_store') GROUP BY 1) o
  USING (partition);
DO $$
BEGIN
  FOR i IN 1..300 LOOP
    EXIT WHEN (SELECT bool_and(pairs_verified = pairs) FROM dynamo_partitions('inspect_store'));
    PERFORM pg_sleep(0.1);
  END LOOP;
END $$;
SELECT bool_and(pairs_verified = 3) AS all_verified,
       bool_and(last_verified_equal > '0') AND max(last_verified_equal) < '1 min' AS lately
  FROM dynamo_partitions('inspect_store');

-- counters
INSERT INTO seen (key, value) VALUES ('one', '1'), ('two', '2'), ('gone', '3');
SELECT count(DISTINCT address), bool_and(value >= 0),
       sum(value) FILTER (WHERE name = 'put_ops') > 0 AS has_put
  FROM dynamo_stats('inspect_store');

-- owners of a key, and what they hold (all of them, once the writes are there)
DELETE FROM seen WHERE key = 'gone';
SET dynamo_fdw.w = 3;
INSERT INTO seen (key, value) VALUES ('two', '2b');
INSERT INTO seen (key, value) VALUES ('gone', '4');
DELETE FROM seen WHERE key = 'gone';
RESET dynamo_fdw.w;
SELECT slot, state, versions FROM dynamo_owners('seen', 'two');
SELECT slot, state, versions FROM dynamo_owners('seen', 'gone');
SELECT slot, state, versions, context FROM dynamo_owners('seen', 'never');
SELECT count(DISTINCT node), count(DISTINCT partition),
       bool_and(o.context @> s.vclock)
  FROM dynamo_owners('seen', 'two') o, seen s WHERE s.key = 'two';
SELECT slot, state FROM dynamo_owners('seen', '\x74776f'::bytea);
SELECT count(*) FROM dynamo_owners('seen', 'two') JOIN dynamo_ring('inspect_store')
  USING (partition, slot, node, address);
SELECT * FROM dynamo_owners('seen', '');
SELECT * FROM dynamo_owners('seen', repeat('x', 441));
SELECT * FROM dynamo_owners('seen', NULL::text);

-- conflicts
SELECT key, siblings, context = (SELECT vclock_merge(vclock) FROM seen WHERE key = 'two')
  FROM dynamo_conflicts('seen');
INSERT INTO seen_bytes (key, value) VALUES ('\x00ff', 'a');
INSERT INTO seen_bytes (key, value) VALUES ('\x00ff', 'b');
SELECT key, siblings FROM dynamo_conflicts('seen_bytes') ORDER BY key;
INSERT INTO seen (key, value, vclock)
  SELECT key, string_agg(value, '+' ORDER BY value), vclock_merge(vclock)
  FROM seen WHERE key = 'two' GROUP BY key;
DELETE FROM seen_bytes WHERE key = '\x00ff';
SELECT * FROM dynamo_conflicts('seen');

-- what they are not for
CREATE FOREIGN DATA WRAPPER inspect_dummy;
CREATE SERVER inspect_other FOREIGN DATA WRAPPER inspect_dummy;
SELECT * FROM dynamo_nodes('inspect_other');
SELECT * FROM dynamo_nodes('no_such_server');
CREATE TABLE inspect_heap (key text);
SELECT * FROM dynamo_conflicts('inspect_heap');
SELECT * FROM dynamo_owners('pg_class', 'x');

-- they need what reading needs
SET ROLE regress_dynamo;
SELECT count(*) FROM dynamo_nodes('inspect_store');
SELECT count(*) FROM dynamo_stats('inspect_store');
SELECT count(*) FROM dynamo_ring('inspect_store');
SELECT count(*) FROM dynamo_partitions('inspect_store');
SELECT count(*) FROM dynamo_owners('seen', 'two');
SELECT count(*) FROM dynamo_conflicts('seen');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER inspect_store TO regress_dynamo;
GRANT SELECT ON seen TO regress_dynamo;
SET ROLE regress_dynamo;
SELECT count(*) FROM dynamo_nodes('inspect_store');
SELECT count(*) FROM dynamo_owners('seen', 'two');
RESET ROLE;

DROP TABLE inspect_heap;
DROP FOREIGN DATA WRAPPER inspect_dummy CASCADE;
DROP SERVER inspect_store CASCADE;
