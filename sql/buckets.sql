-- What buckets have of their own: the last write wins, a time to live, r and
-- w.  dynctl gives it to them.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER buckets FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE all_stay (key text, value text, vclock vclock, siblings int)
	SERVER buckets OPTIONS (bucket 'buckets_all_stay');
CREATE FOREIGN TABLE last (key text, value text, vclock vclock, siblings int, written_at timestamptz)
	SERVER buckets OPTIONS (bucket 'buckets_last');
CREATE FOREIGN TABLE last_without_clock (key text, value text)
	SERVER buckets OPTIONS (bucket 'buckets_last');
CREATE FOREIGN TABLE mortal (key text, value text, vclock vclock)
	SERVER buckets OPTIONS (bucket 'buckets_mortal');
\! "$DYNCTL" bucket set buckets_last conflict=lww --node "${DYNAMO_NODES%%,*}" | tail -n 1
\! "$DYNCTL" bucket set buckets_mortal ttl=4s r=3 --node "${DYNAMO_NODES%%,*}" | tail -n 1

-- Two inserts that have read nothing: two rows, or the last one.
INSERT INTO all_stay (key, value) VALUES ('k', 'first');
INSERT INTO all_stay (key, value) VALUES ('k', 'second');
SELECT key, value, siblings FROM all_stay ORDER BY value;
INSERT INTO last (key, value) VALUES ('k', 'first');
INSERT INTO last (key, value) VALUES ('k', 'second');
SELECT key, value, siblings FROM last;
SELECT count(*) FROM last;
SELECT key FROM last WHERE key IN ('k', 'other');
SELECT * FROM dynamo_conflicts('last');

-- In one transaction, too; until its end it sees what it has written.
BEGIN;
INSERT INTO last (key, value) VALUES ('t', 'first'), ('t', 'second');
INSERT INTO last (key, value) VALUES ('t', 'third');
SELECT count(*) FROM last WHERE key = 't';
COMMIT;
SELECT key, value FROM last WHERE key = 't';

-- Who has read replaces what he has read, and what it had won over.
UPDATE last SET value = 'third' WHERE key = 'k';
SELECT key, value FROM last WHERE key = 'k';
UPDATE last_without_clock SET value = value || '!' WHERE key = 'k';
SELECT key, value FROM last WHERE key = 'k';
SELECT bool_and(l.written_at > now() - interval '1 hour') FROM last l;

-- An old clock is no obstacle; what was written meanwhile is lost, but for
-- those who ask for an error.
SELECT vclock AS old FROM last WHERE key = 'k' \gset
UPDATE last SET value = 'fourth' WHERE key = 'k';
INSERT INTO last (key, value, vclock) VALUES ('k', 'fifth', :'old');
SELECT key, value FROM last WHERE key = 'k';
BEGIN;
UPDATE last SET value = 'mine' WHERE key = 'k';
\! "$DYNCTL" put buckets_last k theirs --w 3 --node "${DYNAMO_NODES%%,*}" > /dev/null
COMMIT;
SELECT key, value FROM last WHERE key = 'k';
ALTER FOREIGN TABLE last OPTIONS (ADD conflict_mode 'error');
\set VERBOSITY sqlstate
BEGIN;
UPDATE last SET value = 'mine again' WHERE key = 'k';
\! "$DYNCTL" put buckets_last k theirs --w 3 --node "${DYNAMO_NODES%%,*}" > /dev/null
COMMIT;
\set VERBOSITY default
SELECT key, value FROM last WHERE key = 'k';
ALTER FOREIGN TABLE last OPTIONS (DROP conflict_mode);

-- A delete is a last write.
DELETE FROM last WHERE key = 'k';
SELECT count(*) FROM last WHERE key = 'k';
SELECT key FROM last ORDER BY key;
INSERT INTO last (key, value) VALUES ('k', 'again') ON CONFLICT DO NOTHING;
INSERT INTO last (key, value) VALUES ('k', 'not') ON CONFLICT DO NOTHING;
SELECT key, value FROM last WHERE key = 'k';

-- What was put as siblings stays until it is written again.
\! "$DYNCTL" bucket set buckets_all_stay conflict=lww --node "${DYNAMO_NODES%%,*}" | tail -n 1
SELECT key, value FROM all_stay ORDER BY value;
INSERT INTO all_stay (key, value) VALUES ('k', 'third');
SELECT key, value FROM all_stay ORDER BY value;
\! "$DYNCTL" bucket set buckets_all_stay conflict=siblings --node "${DYNAMO_NODES%%,*}" | tail -n 1
INSERT INTO all_stay (key, value) VALUES ('k', 'fourth');
SELECT key, value FROM all_stay ORDER BY value;

-- A row with a time to live is there, then it is not: read by key, listed,
-- counted, created.
INSERT INTO mortal (key, value) SELECT 'k' || i, 'v' FROM generate_series(1, 3) i;
SELECT count(*) FROM mortal;
SELECT key, value FROM mortal WHERE key = 'k1';
ALTER FOREIGN TABLE mortal OPTIONS (ADD insert_mode 'create');
\set VERBOSITY sqlstate
INSERT INTO mortal (key, value) VALUES ('k1', 'w');
\set VERBOSITY default
SELECT pg_sleep(4.1);
-- A busy machine does not know so well that its nodes' clocks are equal.
DO $$
BEGIN
	FOR i IN 1..100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM mortal);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT count(*) FROM mortal;
SELECT key, value FROM mortal WHERE key = 'k1';
SELECT key FROM mortal WHERE key >= 'k' ORDER BY key;
UPDATE mortal SET value = 'late' WHERE key = 'k1' RETURNING key;
DELETE FROM mortal WHERE key = 'k1' RETURNING key;
INSERT INTO mortal (key, value) VALUES ('k1', 'w');
SELECT key, value FROM mortal;
SELECT DISTINCT state FROM dynamo_owners('mortal', 'k2');

CREATE FUNCTION messages(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		IF line LIKE '%Messages%' THEN RETURN trim(line); END IF;
	END LOOP;
END $$;
-- A read asks the bucket's r; a session learns of another with its next
-- answer.  A table's own r comes before it.
SELECT messages('SELECT key FROM mortal WHERE key = ''k1''');
\! "$DYNCTL" bucket set buckets_mortal r=1 --node "${DYNAMO_NODES%%,*}" | tail -n 1
SELECT count(*) FROM mortal WHERE key = 'k2';
SELECT messages('SELECT key FROM mortal WHERE key = ''k1''');
ALTER FOREIGN TABLE mortal OPTIONS (ADD r '2');
SELECT messages('SELECT key FROM mortal WHERE key = ''k1''');
DROP FUNCTION messages;
SET client_min_messages = warning;
DROP SERVER buckets CASCADE;
