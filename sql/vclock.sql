-- The type vclock: no cluster is asked here.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;

SELECT '{}'::vclock, '{a1b2c3d4e5f60718.7:9!4!6..8}'::vclock;
-- canonical: actors ascend, spaces go
SELECT ' { 0000000000000002.0:1 , 0000000000000001.3:2!1 } '::vclock;

-- malformed
SELECT ''::vclock;
SELECT '{a1b2c3d4e5f60718.7:0}'::vclock;
SELECT '{a1b2c3d4e5f60718.7:3!3}'::vclock;
SELECT '{a1b2c3d4e5f60718.7:3,a1b2c3d4e5f60718.7:4}'::vclock;
SELECT '{a1b2c3d4e5f6071.7:3}'::vclock;
-- too many entries
SELECT ('{' || string_agg(lpad(to_hex(i), 16, '0') || '.0:1', ',') || '}')::vclock
  FROM generate_series(1, 257) i;
SELECT length(('{' || string_agg(lpad(to_hex(i), 16, '0') || '.0:1', ',') || '}')::vclock::text)
  FROM generate_series(1, 256) i;

-- causality
CREATE TEMP TABLE clocks (name text, c vclock);
INSERT INTO clocks VALUES
  ('empty', '{}'),
  ('a1', '{0000000000000001.0:1}'),
  ('a2', '{0000000000000001.0:2}'),
  ('a2 without a1', '{0000000000000001.0:2!1}'),
  ('b1', '{0000000000000002.0:1}');
SELECT x.name, y.name, x.c @> y.c AS "@>", x.c <@ y.c AS "<@",
       x.c <>| y.c AS "<>|", x.c = y.c AS "="
  FROM clocks x, clocks y ORDER BY x.c, y.c;
SELECT x.c || y.c FROM clocks x, clocks y
  WHERE x.name = 'a2 without a1' AND y.name IN ('a1', 'b1') ORDER BY 1;
SELECT vclock_merge(c) FROM clocks;
SELECT vclock_merge(c) FROM clocks WHERE false;

-- sorting, grouping, hashing, merging
SELECT c, count(*) FROM (SELECT c FROM clocks UNION ALL SELECT c FROM clocks) d
  GROUP BY c ORDER BY c;
SET enable_hashagg = off;
SELECT c, count(*) FROM (SELECT c FROM clocks UNION ALL SELECT c FROM clocks) d
  GROUP BY c ORDER BY c DESC LIMIT 2;
RESET enable_hashagg;
SELECT count(*) FROM clocks x JOIN clocks y ON x.c = y.c;

SELECT '{0000000000000001.2:5!1..2!4,0000000000000003.0:1}'::vclock::jsonb;

-- the binary form is read back
CREATE TEMP TABLE copied (c vclock);
COPY (SELECT c FROM clocks) TO PROGRAM 'cat >vclock_test.bin' (FORMAT binary);
COPY copied FROM PROGRAM 'cat vclock_test.bin; rm vclock_test.bin' (FORMAT binary);
SELECT count(*) FROM copied JOIN clocks USING (c);
