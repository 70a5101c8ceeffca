-- Statements that meet a row twice, move rows, or are mixed with others.
\getenv nodes DYNAMO_NODES
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS dynamo_fdw;
RESET client_min_messages;
CREATE SERVER modify_store FOREIGN DATA WRAPPER dynamo_fdw OPTIONS (nodes :'nodes');
CREATE FOREIGN TABLE kv (key text, value text, vclock vclock) SERVER modify_store OPTIONS (bucket 'modify');
CREATE FOREIGN TABLE direct (key text, value text) SERVER modify_store OPTIONS (bucket 'modify_direct', write_at 'statement');

-- a join that brings a row several times changes it once
INSERT INTO kv VALUES ('j', '0');
UPDATE kv SET value = 'n' FROM generate_series(1, 3) n WHERE key = 'j' RETURNING key, value;
SELECT key, value FROM kv;
BEGIN;
INSERT INTO kv VALUES ('p', '0');
UPDATE kv SET value = 'n' FROM generate_series(1, 3) n WHERE key = 'p' RETURNING key, value;
UPDATE kv SET value = 'm' || s.n FROM (VALUES ('p', 1), ('p', 1)) s (k, n) WHERE key = s.k RETURNING key, value;
COMMIT;
SELECT key, value FROM kv ORDER BY key;
DELETE FROM kv USING generate_series(1, 3) n RETURNING key;

-- also when a trigger has statements of its own; what those have changed is not changed again
CREATE TABLE seen (key text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (NEW.key); RETURN NEW; END';
CREATE TRIGGER see BEFORE UPDATE ON kv FOR EACH ROW EXECUTE FUNCTION see();
INSERT INTO kv VALUES ('t', '0');
UPDATE kv SET value = n FROM (VALUES ('n'), ('n'), ('n')) s (n) WHERE key = 't' RETURNING key, value;
SELECT key, value FROM kv;
CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.value = ''outer'' THEN UPDATE kv SET value = ''inner'' WHERE key = NEW.key; END IF; RETURN NEW; END';
UPDATE kv SET value = 'outer' WHERE key = 't';
BEGIN;
INSERT INTO kv VALUES ('u', '0');
UPDATE kv SET value = 'outer' WHERE key = 'u';
COMMIT;
SELECT key, value FROM kv;
DROP TRIGGER see ON kv;
DELETE FROM kv;

-- a partition that is changed and that rows move into
CREATE TABLE parts (key text, value text) PARTITION BY LIST (value);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
CREATE FOREIGN TABLE parts_f PARTITION OF parts FOR VALUES IN ('f') SERVER modify_store OPTIONS (bucket 'modify_f');
CREATE TABLE parts_z PARTITION OF parts FOR VALUES IN ('z');
INSERT INTO parts VALUES ('1', 'a'), ('2', 'f'), ('3', 'z'), ('4', 'f');
UPDATE parts SET value = 'f';
SELECT tableoid::regclass, * FROM parts ORDER BY key;
UPDATE parts SET value = 'f' WHERE key IN ('1', '2');
UPDATE parts SET key = '5' WHERE key = '1';
DELETE FROM parts WHERE key IN ('2', '3');
SELECT tableoid::regclass, * FROM parts ORDER BY key;
DELETE FROM parts;
DROP TABLE parts;

-- a statement that is sent takes no other table's writes with it
BEGIN;
INSERT INTO kv VALUES ('kept', '1');
INSERT INTO direct VALUES ('sent', '1');
ROLLBACK;
SELECT count(*) FROM kv;
SELECT key, value FROM direct;
DELETE FROM direct;

-- an open cursor has its rows, whatever is sent meanwhile
BEGIN;
INSERT INTO kv SELECT 'c' || i, repeat('v', 1000) FROM generate_series(1, 100) i;
DECLARE c CURSOR FOR SELECT count(*) OVER (ROWS UNBOUNDED PRECEDING), length(value) BETWEEN 4 AND 1000 FROM kv;
FETCH 1 FROM c;
SET LOCAL dynamo_fdw.write_at = statement;
UPDATE kv SET value = 'sent';
SELECT count(*), bool_or(repeat('w', 100000) ~ 'q') FROM generate_series(1, 100);
FETCH 2 FROM c;
MOVE 96 FROM c;
FETCH ALL FROM c;
COMMIT;
SELECT count(*), count(DISTINCT value) FROM kv;
DELETE FROM kv;

-- what could not be sent is not in the way of what follows
BEGIN;
SAVEPOINT s;
SET LOCAL dynamo_fdw.w = 8;
INSERT INTO direct VALUES ('again', '1');
ROLLBACK TO s;
INSERT INTO direct VALUES ('again', '2');
COMMIT;
BEGIN;
SAVEPOINT s;
SET LOCAL dynamo_fdw.w = 8;
INSERT INTO direct VALUES ('later', '1');
ROLLBACK TO s;
SET LOCAL dynamo_fdw.write_at = commit;
INSERT INTO direct VALUES ('later', '2');
COMMIT;
SELECT key, value FROM direct ORDER BY key;
DELETE FROM direct;

-- a view's check holds for every row
CREATE VIEW checked AS SELECT key, value FROM kv WHERE value <> 'bad' WITH CHECK OPTION;
INSERT INTO checked VALUES ('1', 'good'), ('2', 'bad');
SELECT count(*) FROM kv;

-- an error names any key
CREATE FOREIGN TABLE once (key bytea, value text) SERVER modify_store OPTIONS (bucket 'modify_once', insert_mode 'create');
INSERT INTO once VALUES ('\xc3ff0061', '1');
INSERT INTO once VALUES ('\xc3ff0061', '1');
DELETE FROM once;

-- a dropped column keeps no role
CREATE FOREIGN TABLE rebuilt (k text OPTIONS (field 'key'), v text OPTIONS (field 'value')) SERVER modify_store OPTIONS (bucket 'modify_rebuilt');
ALTER FOREIGN TABLE rebuilt DROP COLUMN k, DROP COLUMN v;
ALTER FOREIGN TABLE rebuilt ADD COLUMN key text, ADD COLUMN v text OPTIONS (field 'value');
INSERT INTO rebuilt VALUES ('1', 'one');
UPDATE rebuilt SET v = 'two' WHERE key = '1';
SELECT * FROM rebuilt WHERE key = '1';
DELETE FROM rebuilt;

-- writes to a server that is gone at commit
SET client_min_messages = warning;
BEGIN;
INSERT INTO kv VALUES ('gone', '1');
DROP SERVER modify_store CASCADE;
COMMIT;
SELECT count(*) FROM kv;
DROP SERVER modify_store CASCADE;
