-- INSERT, UPDATE, DELETE, COPY.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER write_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE cart (key text, value jsonb, vclock vclock)
  SERVER write_store OPTIONS (bucket 'cart');

-- two writers, neither has read: siblings
INSERT INTO cart VALUES ('alice', '["milk"]');
INSERT INTO cart VALUES ('alice', '["eggs"]');
SELECT key, value FROM cart WHERE key = 'alice' ORDER BY value;
SELECT a.vclock <>| b.vclock AS concurrent FROM cart a, cart b
  WHERE a.key = 'alice' AND b.key = 'alice' AND a.value < b.value;
-- reconciled in plain SQL
INSERT INTO cart (key, value, vclock)
  SELECT key, coalesce(jsonb_agg(DISTINCT item) FILTER (WHERE item IS NOT NULL), '[]'), vclock_merge(vclock)
  FROM cart LEFT JOIN LATERAL jsonb_array_elements(value) item ON true WHERE key = 'alice' GROUP BY key;
SELECT key, value FROM cart WHERE key = 'alice';

-- one row's clock replaces that row, and no sibling
INSERT INTO cart VALUES ('bob', '1');
INSERT INTO cart VALUES ('bob', '2');
INSERT INTO cart SELECT key, '3', vclock FROM cart WHERE key = 'bob' AND value = '1';
SELECT value FROM cart WHERE key = 'bob' ORDER BY value;

-- insert_mode
CREATE FOREIGN TABLE created (key text, value jsonb) SERVER write_store OPTIONS (bucket 'cart', insert_mode 'create');
INSERT INTO created VALUES ('bob', '4');
INSERT INTO created VALUES ('carol', '1');
SELECT value FROM created WHERE key = 'carol';
CREATE FOREIGN TABLE replaced (key text, value jsonb) SERVER write_store OPTIONS (bucket 'cart', insert_mode 'replace');
INSERT INTO replaced VALUES ('bob', '5');
SELECT value FROM replaced WHERE key = 'bob';
SET dynamo_fdw.insert_mode = 'create';
INSERT INTO cart VALUES ('bob', '6');
RESET dynamo_fdw.insert_mode;

-- ON CONFLICT DO NOTHING: if there is none
INSERT INTO cart VALUES ('bob', '7') ON CONFLICT DO NOTHING;
INSERT INTO cart VALUES ('dave', '1') ON CONFLICT DO NOTHING;
INSERT INTO cart VALUES ('erin', '1'), ('erin', '2') ON CONFLICT DO NOTHING;
SELECT key, value FROM cart WHERE key IN ('bob', 'dave', 'erin') ORDER BY key;
INSERT INTO cart VALUES ('bob', '7') ON CONFLICT (key) DO NOTHING;

-- many at once: those that exist, that come twice, that the transaction has deleted
CREATE FOREIGN TABLE once (key text, value text) SERVER write_store OPTIONS (bucket 'write_once', insert_mode 'create');
INSERT INTO once SELECT i, 'first' FROM generate_series(1, 250) i;
INSERT INTO once SELECT i % 300, 'second' FROM generate_series(1, 600) i ON CONFLICT DO NOTHING;
SELECT value, count(*) FROM once GROUP BY value ORDER BY value;
INSERT INTO once SELECT 'twice ' || i % 120, 'third' FROM generate_series(1, 200) i;
INSERT INTO once SELECT i, 'third' FROM generate_series(400, 200, -1) i;
BEGIN;
DELETE FROM once WHERE key LIKE '1%';
INSERT INTO once SELECT i, 'third' FROM generate_series(0, 309) i ON CONFLICT DO NOTHING;
SELECT value, count(*) FROM once GROUP BY value ORDER BY value;
COMMIT;
SELECT value, count(*) FROM once GROUP BY value ORDER BY value;
DELETE FROM once;

-- RETURNING
INSERT INTO cart VALUES ('frank', '1') RETURNING key, value, vclock IS NULL AS not_sent_yet;
UPDATE cart SET value = '2' WHERE key = 'frank' RETURNING key, value;
DELETE FROM cart WHERE key = 'frank' RETURNING key, value;
SELECT count(*) FROM cart WHERE key = 'frank';

-- RETURNING: an updated row has no clock of its own yet, a deleted one has all that was read
CREATE FOREIGN TABLE told (key text, value text, vclock vclock, context vclock, siblings int, written_at timestamptz, coordinator text, partition int) SERVER write_store OPTIONS (bucket 'write_told');
INSERT INTO told (key, value) VALUES ('t', '1');
INSERT INTO told (key, value) VALUES ('t', '2');
UPDATE told SET value = value || 'u' WHERE value = '1' RETURNING value, vclock, context, written_at, coordinator, partition IS NULL AS no_partition;
WITH d AS (DELETE FROM told WHERE key = 't' RETURNING *)
SELECT value, context @> vclock AS has_clocks, siblings, written_at > '2020-01-01' AS has_time, length(coordinator), partition IS NULL AS no_partition FROM d ORDER BY value COLLATE "C";
SELECT count(*) FROM told;
-- pending rows, and rows of a partition
CREATE TABLE shops (key text, value text, shop text) PARTITION BY LIST (key);
CREATE FOREIGN TABLE shop_a (key text, shop text OPTIONS (field 'coordinator'), value text) SERVER write_store OPTIONS (bucket 'write_told');
ALTER TABLE shops ATTACH PARTITION shop_a FOR VALUES IN ('a');
CREATE TABLE shop_b PARTITION OF shops FOR VALUES IN ('b');
BEGIN;
INSERT INTO shops VALUES ('a', '1'), ('b', '1');
DELETE FROM shops RETURNING tableoid::regclass, *;
COMMIT;
SELECT count(*) FROM shops;
EXPLAIN (COSTS OFF) DELETE FROM told WHERE key LIKE 't%';

-- UPDATE of all siblings: one value is one version, several stay several
INSERT INTO cart VALUES ('gina', '1');
INSERT INTO cart VALUES ('gina', '2');
UPDATE cart SET value = (value::int + 10)::text::jsonb WHERE key = 'gina';
SELECT value FROM cart WHERE key = 'gina' ORDER BY value;
UPDATE cart SET value = '"one"' WHERE key = 'gina';
SELECT value FROM cart WHERE key = 'gina';
-- one sibling only
INSERT INTO cart VALUES ('gina', '"two"');
UPDATE cart SET value = '"three"' WHERE key = 'gina' AND value = '"two"';
SELECT value FROM cart WHERE key = 'gina' ORDER BY value;
DELETE FROM cart WHERE key = 'gina' AND value = '"one"';
SELECT value FROM cart WHERE key = 'gina';
-- without a clock column too
UPDATE replaced SET value = '"four"' WHERE key = 'gina';
SELECT value FROM replaced WHERE key = 'gina';
DELETE FROM replaced WHERE key = 'gina';
SELECT count(*) FROM cart WHERE key = 'gina';
-- what was deleted can be written again
INSERT INTO cart VALUES ('gina', '"again"');
SELECT value FROM cart WHERE key = 'gina';
-- from another table
CREATE TABLE prices (key text, price int);
INSERT INTO prices VALUES ('gina', 42), ('nobody', 1);
UPDATE cart SET value = to_jsonb(price) FROM prices WHERE prices.key = cart.key;
SELECT key, value FROM cart WHERE key IN ('gina', 'nobody');
DELETE FROM cart USING prices WHERE prices.key = cart.key RETURNING cart.key;
DROP TABLE prices;

-- equal values inserted twice are two rows
INSERT INTO cart VALUES ('hugo', '1'), ('hugo', '1'), ('hugo', '2');
SELECT value, count(*) FROM cart WHERE key = 'hugo' GROUP BY value ORDER BY value;

-- what cannot be
UPDATE cart SET key = 'x' WHERE key = 'bob';
UPDATE cart SET vclock = '{}' WHERE key = 'bob';
INSERT INTO cart VALUES (NULL, '1');
INSERT INTO cart VALUES ('ida', NULL);
INSERT INTO cart (value) VALUES ('1');
INSERT INTO cart VALUES ('', '1');
INSERT INTO cart VALUES (repeat('x', 441), '1');
INSERT INTO cart VALUES (repeat('x', 440), '1');
SELECT length(key) FROM cart WHERE key = repeat('x', 440);
INSERT INTO cart VALUES ('ida', '1', '{nonsense}');
INSERT INTO cart VALUES ('ida', '1') ON CONFLICT (key) DO UPDATE SET value = '2';
TRUNCATE cart;
CREATE FOREIGN TABLE big (key text, value text) SERVER write_store OPTIONS (bucket 'big');
INSERT INTO big VALUES ('max', repeat('x', 1048576));
SELECT length(value) FROM big WHERE key = 'max';
\set VERBOSITY sqlstate
INSERT INTO big VALUES ('max1', repeat('x', 1048577));
\set VERBOSITY default
INSERT INTO big VALUES ('empty', '');
SELECT key, value = '' AS empty FROM big WHERE key = 'empty';

-- a context of somebody else's covers nothing here
INSERT INTO cart VALUES ('jane', '1');
INSERT INTO cart VALUES ('jane', '2', '{00000000000000aa.1:5!2..3}');
SELECT value FROM cart WHERE key = 'jane' ORDER BY value;

-- COPY, and INSERT of very many
COPY big FROM stdin;
c1	one
c2	two
\.
SELECT key, value FROM big WHERE key LIKE 'c_' ORDER BY key;
-- one bad row: nothing at all
\set SHOW_CONTEXT never
COPY big FROM stdin;
c3	three
c4	\N
\.
\set SHOW_CONTEXT errors
SELECT count(*) FROM big WHERE key = 'c3';
CREATE FOREIGN TABLE many (key text, value text) SERVER write_store OPTIONS (bucket 'many');
INSERT INTO many SELECT 'key' || i, repeat('v', 200) || i FROM generate_series(1, 10000) i;
SELECT count(*), count(DISTINCT key), sum(length(value)) FROM many;
CREATE FOREIGN TABLE streamed (key text, value text) SERVER write_store OPTIONS (bucket 'streamed', write_at 'statement');
INSERT INTO streamed SELECT * FROM many;
SELECT count(*) FROM streamed;
-- reads what it writes, and ends
INSERT INTO streamed SELECT key || 'x', value FROM streamed;
SELECT count(*) FROM streamed;
DELETE FROM streamed;
SELECT count(*) FROM streamed;

-- triggers and views
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.value := upper(NEW.value); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON big FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO big VALUES ('t1', 'quiet');
UPDATE big SET value = 'still quiet' WHERE key = 'c1';
SELECT key, value FROM big WHERE key IN ('t1', 'c1') ORDER BY key;
CREATE VIEW small AS SELECT key, value FROM big WHERE key LIKE 'c_';
UPDATE small SET value = 'by view' WHERE key = 'c2';
SELECT value FROM small WHERE key = 'c2';

DROP SERVER write_store CASCADE;
DROP FUNCTION shout();
